"""Rows of the target that are written anew: staged, then updated in one statement, by halving where the target refuses some."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rowcall.move.assignment import Assignment
from rowcall.move.halving import by_halves
from rowcall.move.verdicts import Verdicts
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, copy_in, insert
from rowcall.sql import ident, qualified

_STAGE, _KEY = "rowcall_anew", "rowcall source key"


def rewrite(
    session: Session, work: Assignment, batches: Iterable[Verdicts], changing: Collection[str]
) -> dict[str, Refusal]:
    """Updates these columns of the rows of `rowcall_change`; what the target refuses stays as it is: key -> why."""
    columns = [o.column for o in work.judge.outputs]
    names = ", ".join(map(ident, columns))
    keys: list[str] = []
    session.execute(
        f"create temporary table {_STAGE} on commit drop as select {names} from {qualified(work.table.qualified)} with no data"
    )
    session.execute(f"alter table {_STAGE} add column {ident(_KEY)} text")
    for verdicts in batches:
        if verdicts.accepted.num_rows:
            copy_in(session, _STAGE, [*columns, _KEY], [verdicts.keyed_rows()])
            keys += verdicts.accepted_keys
    session.execute(f"create index on {_STAGE} ({ident(_KEY)})")
    session.execute(f"analyze {_STAGE}")
    refused = _of_others(session, work)
    refused |= _all(_Anew(session, work, changing), [key for key in keys if key not in refused])
    session.execute(f"drop table {_STAGE}")
    return refused


def _of_others(session: Session, work: Assignment) -> dict[str, Refusal]:
    """Rows that have the uuid of their parent, and have another parent now: an id that was given once stays."""
    own = work.judge.entity.id_column
    if own not in {reference.column for reference in work.judge.entity.references}:
        return {}
    rows = session.rows(
        f"select s.{ident(_KEY)} from {_STAGE} s join rowcall_change c "
        f"on c.entity = {work.entity} and c.source_key = s.{ident(_KEY)} where s.{ident(own)} <> c.target_id"
    )
    return {key: Refusal("", f"{own} would change") for (key,) in rows}


def _all(anew: _Anew, keys: Sequence[str]) -> dict[str, Refusal]:
    """A row may take a unique value that another gives up: as long as any of them comes in, the others are tried again."""
    refused = anew.update(keys)
    while any(r.sqlstate == "23505" for r in refused.values()):
        left = anew.update(list(refused))
        if len(left) == len(refused):
            break
        refused = left
    return refused


class _Anew:
    """The updates of one entity's rows that are staged."""

    def __init__(self, session: Session, work: Assignment, changing: Collection[str]) -> None:
        self.session, self.table = session, work.table.qualified
        # An id that was given once stays; a column that is GENERATED ALWAYS AS IDENTITY takes no value in an UPDATE.
        fixed = {work.judge.entity.id_column, *(c.name for c in work.table.columns if c.identity == "a")}
        set_ = ", ".join(f"{ident(name)} = s.{ident(name)}" for name in changing if name not in fixed)
        own = ident(work.judge.entity.id_column)
        self.sql = (
            f"update {qualified(self.table)} t set {set_} from {_STAGE} s join rowcall_change c on c.entity = {work.entity} "
            f"and c.source_key = s.{ident(_KEY)} where t.{own} = c.target_id and s.{ident(_KEY)} = any("
        ).replace("%", "%%") + "%s)"
        self.nothing = not set_

    def update(self, keys: Sequence[str]) -> dict[str, Refusal]:
        """Key -> why, of the rows that are refused."""
        return {} if self.nothing else by_halves(self.session, keys, self._try)

    def _try(self, keys: list[str]) -> int:
        return insert(self.session, self.sql, self.table, [keys])
