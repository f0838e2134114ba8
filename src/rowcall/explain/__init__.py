from rowcall.explain.analysis import analyse, keep_proofs, note_proofs
from rowcall.explain.causes import Cause, Group, Sample, create_rejected, find_causes, load_rejected
from rowcall.explain.proof import Proof
from rowcall.explain.prove import Prover, sorts
from rowcall.explain.story import Fate, Link, Story, StoryHop
from rowcall.explain.tell import Teller

__all__ = [
    "Cause",
    "Fate",
    "Group",
    "Link",
    "Proof",
    "Prover",
    "Sample",
    "Story",
    "StoryHop",
    "Teller",
    "analyse",
    "create_rejected",
    "find_causes",
    "keep_proofs",
    "load_rejected",
    "note_proofs",
    "sorts",
]
