"""Rows of a cyclic group on their way into the target: they wait in temporary tables and enter it in ONE statement.

Postgres checks foreign keys when a statement ends, so that neither a self reference nor a cycle of required references needs
an order, a deferrable constraint or a constraint taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rowcall.errors import TargetRefused
from rowcall.move.assignment import Assignment
from rowcall.move.settle import REKEYED, SWALLOWED
from rowcall.move.verdicts import Verdicts
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, RowsRefused, copy_in, insert
from rowcall.schema import ForeignKey
from rowcall.sql import ident, qualified

Refused = dict[tuple[str, str], Refusal]


class RowsFound(Exception):
    """Rows that the target does not take: to be judged as refused, and all the others again."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(f"{len(refused)} rows")


class Stage:
    """Of one cyclic step, in the caller's transaction; `work`: entity -> how its rows are settled."""

    def __init__(self, step: Step, plan: Plan, session: Session, work: Mapping[str, Assignment]) -> None:
        self.step, self.plan, self.session, self.work = step, plan, session, work

    def __enter__(self) -> Stage:
        for judge in self.step.judges:
            self.session.execute(
                f"create temporary table {ident(self._table(judge))} on commit drop as "
                f"select {_columns(judge)} from {qualified(judge.entity.target)} with no data"
            )
            self.session.execute(f"alter table {ident(self._table(judge))} add column {ident(_KEY)} text")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # else the transaction is over, and they with it
            for judge in self.step.judges:
                self.session.execute(f"drop table {ident(self._table(judge))}")

    def _table(self, judge: Judge) -> str:
        return f"rowcall_stage_{self.work[judge.entity.name].entity}"

    def take(self, verdicts: Verdicts) -> None:
        """The accepted rows of a batch."""
        judge = verdicts.judge
        if verdicts.accepted.num_rows:
            names = [o.column for o in judge.outputs] + [_KEY]
            copy_in(self.session, self._table(judge), names, [verdicts.keyed_rows()])

    # -- into the target --------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """All stages in one statement. Raises RowsFound with the rows that the target does not take."""
        parts = [
            f"p{i} as ({_into(j)} select {_columns(j)} from {ident(self._table(j))} returning 1)"
            for i, j in enumerate(self.step.judges)
        ]
        sql = f"with {', '.join(parts)} select " + " + ".join(f"(select count(*) from p{i})" for i in range(len(parts)))
        try:
            with self.session.transaction():
                insert(self.session, sql, self.step.judges[0].entity.target)
                if swallowed := self._missing():
                    raise RowsFound(swallowed)
        except RowsRefused as error:
            found = self._culprits()
            if not found:
                raise TargetRefused(
                    self.step.judges[0].entity.target,
                    f"refuses the rows of a cycle ({error.refusal.evidence}), none of them alone",
                    sqlstate=error.refusal.sqlstate,
                    hint="see the constraint or trigger named here; make it deferrable or quarantine by a rule of the mapping",
                ) from None
            raise RowsFound(found) from None

    def _missing(self) -> Refused:
        """Rows of the stages that did not arrive."""
        found: Refused = {}
        for judge in self.step.judges:
            id_column = ident(judge.entity.id_column)
            rows = self.session.rows(
                f"select {ident(_KEY)} from {ident(self._table(judge))} s where not exists "
                f"(select from {qualified(judge.entity.target)} t where t.{id_column} = s.{id_column})"
            )
            found |= {(judge.entity.name, key): SWALLOWED for (key,) in rows}
        return found

    def _culprits(self) -> Refused:
        """Rows that the target refuses for a reason other than the group's own references.

        Parents are placed before their children, so that a missing parent hides no other defect; what is left then are rows
        in circles and the children of refused rows. Everything is taken back at the end.
        """
        found: Refused = {}
        for judge in (j for j in self.step.judges if j.entity.given_id):
            found |= self._taken(judge)
        try:
            with self.session.transaction():
                while any(self._place_ready(judge, found) for judge in self.step.judges):
                    pass
                if not found:
                    for judge in self.step.judges:
                        self._place(judge, self._keys(judge, "true"), self._inner(judge), found)
                raise _Undo
        except _Undo:
            return found

    def _taken(self, judge: Judge) -> Refused:
        """Rows whose id, which is not made of their key, another row has: in the target, or before them on the stage."""
        entity, own = judge.entity, ident(judge.entity.id_column)
        unique = next(u for u in self.work[entity.name].table.uniques if u.columns == (entity.id_column,))
        rows = self.session.rows(
            f"select {ident(_KEY)} from (select {ident(_KEY)}, {own}, row_number() over (partition by {own} "
            f"order by length({ident(_KEY)}), {ident(_KEY)}) as place from {ident(self._table(judge))}) s "
            f"where place > 1 or exists (select from {qualified(entity.target)} t where t.{own} = s.{own})"
        )
        refusal = Refusal("23505", unique.name)
        return {(entity.name, key): refusal for (key,) in rows}

    def _place_ready(self, judge: Judge, found: Refused) -> bool:
        """Places the rows whose parents are in; whether there were any."""
        ready = "".join(f" and {_parents_in(judge, key)}" for key in self._inner(judge))
        keys = [key for key in self._keys(judge, "true" + ready) if (judge.entity.name, key) not in found]
        self._place(judge, keys, (), found)
        return bool(keys)

    def _inner(self, judge: Judge) -> tuple[ForeignKey, ...]:
        """The target's foreign keys inside the group."""
        own = {j.entity.target for j in self.step.judges}
        table = self.plan.knowledge.target.tables[judge.entity.target]
        return tuple(key for key in table.foreign_keys if key.table in own)

    def _keys(self, judge: Judge, condition: str) -> list[str]:
        """Keys of the rows in the stage (alias s) that meet the condition and are not in the target yet."""
        id_column = ident(judge.entity.id_column)
        rows = self.session.rows(
            f"select {ident(_KEY)} from {ident(self._table(judge))} s where not exists "
            f"(select from {qualified(judge.entity.target)} t where t.{id_column} = s.{id_column}) and {condition} order by 1"
        )
        return [key for (key,) in rows]

    def _place(self, judge: Judge, keys: Sequence[str], inner: Sequence[ForeignKey], found: Refused) -> None:
        """Inserts these rows, by halving down to those that the target refuses."""
        refusal = self._refusal(judge, keys) if keys else None
        if refusal is None or (refusal.sqlstate == "23503" and refusal.constraint in {key.name for key in inner}):
            return
        if len(keys) == 1:
            found[(judge.entity.name, keys[0])] = refusal
            return
        middle = len(keys) // 2
        self._place(judge, keys[:middle], inner, found)
        self._place(judge, keys[middle:], inner, found)

    def _refusal(self, judge: Judge, keys: Sequence[str]) -> Refusal | None:
        """Inserts rows, or tells why the target does not take them all."""
        sql = f"{_into(judge)} select {_columns(judge)} from {ident(self._table(judge))} where {ident(_KEY)} = any("
        try:
            with self.session.transaction():
                if insert(self.session, f"{_escaped(sql)}%s)", judge.entity.target, [list(keys)]) != len(keys):
                    raise RowsRefused(SWALLOWED)
                if self.work[judge.entity.name].table.triggers and set(keys).intersection(self._keys(judge, "true")):
                    raise RowsRefused(REKEYED)
        except RowsRefused as error:
            return error.refusal
        return None


def _parents_in(judge: Judge, key: ForeignKey) -> str:
    """SQL: whether the row that a foreign key of the staged row s names is in the target, is the row itself, or is NULL."""
    filled = {output.column for output in judge.outputs}
    if not filled.issuperset(key.columns):
        return "true"
    pairs = list(zip(key.columns, key.to_columns, strict=True))
    null = " or ".join(f"s.{ident(column)} is null" for column in key.columns)
    landed = " and ".join(f"p.{ident(to)} = s.{ident(column)}" for column, to in pairs)
    itself = " and ".join(
        f"s.{ident(to)} = s.{ident(column)}" if to in filled and key.table == judge.entity.target else "false"
        for column, to in pairs
    )
    return f"({null} or ({itself}) or exists (select from {qualified(key.table)} p where {landed}))"


class _Undo(Exception):
    pass


_KEY = "rowcall source key"


def _into(judge: Judge) -> str:
    """SQL: the head of an INSERT that takes values for identity columns, as COPY does."""
    return f"insert into {qualified(judge.entity.target)} ({_columns(judge)}) overriding system value"


def _escaped(sql: str) -> str:
    """SQL that stands beside parameters, whose sign is %."""
    return sql.replace("%", "%%")


def _columns(judge: Judge) -> str:
    return ", ".join(ident(o.column) for o in judge.outputs)
