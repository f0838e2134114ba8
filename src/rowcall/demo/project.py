"""The demo's project: the target's schema and the mapping, as files that a user would have written."""

from __future__ import annotations

from importlib.resources import files
from uuid import NAMESPACE_URL, UUID, uuid5

TARGET_SQL = files(__package__).joinpath("target.sql").read_text("utf-8")


def namespace(seed: int) -> UUID:
    """The demo's namespace: not a secret, unlike that of a real project, so that equal seeds give equal ids."""
    return uuid5(NAMESPACE_URL, f"rowcall-demo:{seed}")


def mapping_yaml(seed: int) -> str:
    """The text of rowcall.yaml for the demo's two embedded servers, `legacy` and `target`."""
    template = files(__package__).joinpath("rowcall.yaml").read_text("utf-8")
    return template.replace(str(UUID(int=0)), str(namespace(seed)))
