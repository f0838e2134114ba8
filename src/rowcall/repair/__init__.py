from rowcall.repair.decide import decide, named
from rowcall.repair.effect import Effect, Request, Sample
from rowcall.repair.fitting import fitting
from rowcall.repair.offers import Offer, offers
from rowcall.repair.planned import failed, planned, with_defaults
from rowcall.repair.purge import Purged, purge
from rowcall.repair.registry import find_remedies, own_remedies
from rowcall.repair.rehearsal import Rehearsal, Rehearsed
from rowcall.repair.remedy import Place, Remedy, Setting
from rowcall.repair.repairer import Repairer
from rowcall.repair.retry import RETRY, Retried, retry
from rowcall.repair.undo import Undone, undo_all, undo_repair
from rowcall.repair.use import Use
from rowcall.repair.ways import Ways

__all__ = [
    "RETRY",
    "Effect",
    "Offer",
    "Place",
    "Purged",
    "Rehearsal",
    "Rehearsed",
    "Remedy",
    "Repairer",
    "Request",
    "Retried",
    "Sample",
    "Setting",
    "Undone",
    "Use",
    "Ways",
    "decide",
    "failed",
    "find_remedies",
    "fitting",
    "named",
    "offers",
    "own_remedies",
    "planned",
    "purge",
    "retry",
    "undo_all",
    "undo_repair",
    "with_defaults",
]
