from rowcall.explain.causes import Cause, Group, Sample, create_rejected, find_causes, load_rejected
from rowcall.explain.proof import Proof
from rowcall.explain.story import Fate, Link, Story, StoryHop
from rowcall.explain.tell import Teller

__all__ = [
    "Cause",
    "Fate",
    "Group",
    "Link",
    "Proof",
    "Sample",
    "Story",
    "StoryHop",
    "Teller",
    "create_rejected",
    "find_causes",
    "load_rejected",
]
