from rowcall.explain.analysis import Relations, analyse, keep_proofs, note_proofs, relations
from rowcall.explain.causes import Cause, Group, Sample, find_causes, read_rejected
from rowcall.explain.cleaning import write_cleaning_list
from rowcall.explain.drift import Drift, drifts
from rowcall.explain.proof import Proof
from rowcall.explain.prove import Prover
from rowcall.explain.samples import with_samples
from rowcall.explain.story import Fate, Link, Story, StoryHop
from rowcall.explain.tell import Teller

__all__ = [
    "Cause",
    "Drift",
    "Fate",
    "Group",
    "Link",
    "Proof",
    "Prover",
    "Relations",
    "Sample",
    "Story",
    "StoryHop",
    "Teller",
    "analyse",
    "drifts",
    "find_causes",
    "keep_proofs",
    "note_proofs",
    "read_rejected",
    "relations",
    "with_samples",
    "write_cleaning_list",
]
