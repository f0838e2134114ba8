"""Link to another parent, which an expression or a path finds: such as the general one of the same owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedies.stub_parent import filled
from rowcall.repair.remedy import COLUMN, REFERENCES, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class LinkParent(Remedy):
    name = "link_parent"
    does = "link to an existing parent that a path or an expression finds, such as a general one of the same owner"
    codes = REFERENCES - {Reason.UNKNOWN_TYPE}
    finds_parents = True
    settings = (
        Setting("path", "another path to the parent, in the mapping's language"),
        Setting("key", "or an SQL expression over the source's row that yields the parent's key"),
        Setting(
            "create", "how the columns of a parent are filled that is created where none is found; none by default"
        ),
        Setting("once_per", "an SQL expression over the source's row: the owner for whom one such parent is created"),
        Setting("to", "the parent's entity, where the reference may lead to several"),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        keys = [row.key for row in rows]
        linked = found(use, keys)
        for key, parents in linked.items():
            if len(parents) == 1:  # several that disagree are no parent
                yield Amendment(key, use.column, is_parent=True, parent_entity=use.parent, parent_key=parents[0])
        if use.settings.get("create") is not None:
            yield from self._created(use, [key for key in keys if not linked.get(key)])

    def _created(self, use: Use, keys: Sequence[str]) -> Iterator[Amendment]:
        """A parent of its own for each owner who has none; nothing for a row whose owner is not known."""
        if use.settings.get("once_per") is None:
            raise UsageError(
                "link_parent creates a parent once per owner, and nothing says who that is",
                hint='write such as `--set once_per="customer_id"`',
            )
        owners = use.computed(str(use.settings["once_per"]), keys) if keys else {}
        whom = {key: f"owner {owner}" for key, owner in owners.items() if owner is not None}
        for key, uid in use.create(filled(use, use.settings["create"]), whom).items():
            yield Amendment(key, use.column, is_parent=True, parent_entity=use.parent, parent_id=uid)


def found(use: Use, keys: Sequence[str]) -> dict[str, list[str]]:
    """Key -> the keys of the parents that the settings find."""
    path, key = use.settings.get("path"), use.settings.get("key")
    if (path is None) == (key is None):
        raise UsageError(
            "link_parent needs `path` or `key`, exactly one: a way to the parent",
            hint='write such as `--set path="office_id -> office.id"`, or see docs/remedies/link_parent.md',
        )
    if path is not None:
        return use.parents(path, keys)
    return {k: [v] for k, v in use.computed(str(key), keys).items() if v is not None}
