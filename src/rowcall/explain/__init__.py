from rowcall.explain.causes import Cause, Group, create_rejected, find_causes, load_rejected
from rowcall.explain.story import Fate, Link, Story, StoryHop
from rowcall.explain.tell import Teller

__all__ = [
    "Cause",
    "Fate",
    "Group",
    "Link",
    "Story",
    "StoryHop",
    "Teller",
    "create_rejected",
    "find_causes",
    "load_rejected",
]
