"""Target rows that a catch-up removes: those that are as rowcall wrote them, and to which no row that stays refers.

All of it works on `rowcall_change` (ledger/catch_ups.sql), in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from uuid import UUID

from rowcall.ledger.book import EntityRecord
from rowcall.ledger.catch_ups import CatchUpBook
from rowcall.move.halving import by_halves
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import insert
from rowcall.sql import ident, literal, qualified

_IDS = "\0ids"


def _pending(alias: str) -> str:
    return f"{alias}.what = 'remove' and {alias}.kept is null and not {alias}.done"


@dataclass(frozen=True)
class _Referring:
    """A foreign key from any table (`table`, and as SQL `rows`) to one of the run's; `joined` is SQL over its row t and a row d
    that refers to it."""

    table: str
    rows: str
    refers_to: str
    joined: str


class Removal:
    """`records` are all entities of the run."""

    def __init__(self, session: Session, records: Sequence[EntityRecord]) -> None:
        self.session, self.records, self.book = session, records, CatchUpBook(session)
        self._keys = [key for table in {r.target_table for r in records} for key in _referring(session, table)]

    def look(self, *, overwrite: bool = False) -> None:
        """Locks the rows that are to change, and tells which of them somebody changed or removed: these stay so, unless the source
        is to win.

        Every row of the run that somebody changed is noted for good: what follows may write such a row, too (a trigger of the
        target, ON UPDATE CASCADE), and its xmin would be rowcall's then.
        """
        for r in self.records:
            table, own = qualified(r.target_table), ident(r.id_column)
            mine = f"c.entity = {r.id} and c.what in ('update', 'remove', 'mark')"
            self.session.execute(
                f"select from {table} t where {own} in (select target_id from rowcall_change c where {mine}) for update"
            )
            self.session.execute(
                "insert into rowcall.edited_row (target_table, target_id) "
                f"select {literal(r.target_table)}, t.{own} from {table} t "
                "where t.xmin::text::bigint not in (select xid from rowcall.own_xids) and exists "
                f"(select from rowcall.written w where w.entity = {r.id} and w.target_id = t.{own}) on conflict do nothing"
            )
            if overwrite:
                self.session.execute(
                    f"delete from rowcall.edited_row e using rowcall_change c where {mine} and e.target_id = c.target_id "
                    f"and e.target_table = {literal(r.target_table)}"
                )
            self.session.execute(
                f"update rowcall_change c set kept = 'edited' from rowcall.edited_row e where {mine} "
                f"and e.target_table = {literal(r.target_table)} and e.target_id = c.target_id"
            )
            lost = f"{mine} and not exists (select from {table} t where t.{own} = c.target_id)"
            then = "what = 'insert'" if overwrite else "kept = 'removed'"
            self.session.execute(f"update rowcall_change c set {then} where {lost} and c.what = 'update'")
            self.session.execute(
                f"update rowcall_change c set done = true, detail = 'before', what = 'remove', kept = null "
                f"where {lost} and c.what <> 'update'"
            )

    def remove(self, *, last: bool = False) -> None:
        """Removes what can go, children first. `last`: what cannot stays for good."""
        self.session.execute("update rowcall_change set blocked = false where blocked")
        while any(self._block(key) for key in self._keys):
            pass
        for _, members in groupby(sorted(self.records, key=lambda r: -r.step), key=lambda r: r.step):
            self._delete(list(members))
        if last:
            self.session.execute(f"update rowcall_change c set kept = 'referred' where {_pending('c')}")

    def _block(self, key: _Referring) -> int:
        """Keeps the rows to which, by one foreign key, a row refers that does not go with them."""
        goes = "".join(
            f" and not exists (select from rowcall_change o where o.entity = {r.id} and o.target_id = d.{ident(r.id_column)} "
            f"and {_pending('o')} and not o.blocked)"
            for r in self.records if r.target_table == key.table
        )  # fmt: skip
        return sum(
            self.session.execute(
                f"update rowcall_change c set blocked = true from {qualified(r.target_table)} t where c.entity = {r.id} and "
                f"{_pending('c')} and not c.blocked and t.{ident(r.id_column)} = c.target_id and exists "
                f"(select from {key.rows} d where {key.joined}{goes})"
            )
            for r in self.records
            if r.target_table == key.refers_to
        )

    def _delete(self, members: Sequence[EntityRecord]) -> None:
        """A step's rows in one statement, as they may refer to each other."""
        numbers = ", ".join(str(r.id) for r in members)
        rows: list[tuple[int, UUID, str]] = self.session.rows(
            f"select c.entity, c.target_id, c.source_key from rowcall_change c where c.entity in ({numbers}) and {_pending('c')} "
            "and not c.blocked order by c.entity, c.source_key"
        )
        refused = by_halves(self.session, rows, partial(self._gone, members))
        for r in members:
            own = {key: refusal for (entity, _, key), refusal in refused.items() if entity == r.id}
            if own:
                why = [refusal.evidence for refusal in own.values()]
                self.book.do("keep", "refused", list(own), why, r.id)
        self.session.execute(
            f"update rowcall_change c set done = true where c.entity in ({numbers}) and {_pending('c')} and not c.blocked"
        )

    def _gone(self, members: Sequence[EntityRecord], rows: Sequence[tuple[int, UUID, str]]) -> int:
        """Removes these rows, of the target's tables; how many are gone."""
        ids = [uid for _, uid, _ in rows]
        each = [
            f"delete from {qualified(r.target_table)} t using rowcall_change c where c.entity = {r.id} and {_pending('c')} "
            f"and not c.blocked and t.{ident(r.id_column)} = c.target_id and c.target_id = any({_IDS})"
            for r in members
        ]
        if len(members) == 1:  # a table with rules takes no part in a WITH
            insert(self.session, _with_ids(each[0]), members[0].target_table, [ids])
        else:
            parts = ", ".join(f"d{n} as ({sql} returning 1)" for n, sql in enumerate(each))
            counts = " + ".join(f"(select count(*) from d{n})" for n in range(len(each)))
            insert(self.session, _with_ids(f"with {parts} select {counts}"), members[0].target_table, [ids] * len(each))
        left = " + ".join(
            f"(select count(*) from rowcall_change c join {qualified(r.target_table)} t on t.{ident(r.id_column)} = c.target_id "
            f"where c.entity = {r.id} and {_pending('c')} and not c.blocked and c.target_id = any({_IDS}))"
            for r in members
        )
        return len(rows) - int(self.session.value(_with_ids(f"select {left}"), [ids] * len(members)))


def _with_ids(sql: str) -> str:
    """SQL with a parameter for each _IDS; a % in a name is none."""
    return sql.replace("%", "%%").replace(_IDS, "%s")


def _referring(session: Session, table: str) -> list[_Referring]:
    """The foreign keys to a table or to one of its partitions, whatever schema they are in.
    https://www.postgresql.org/docs/current/catalog-pg-constraint.html"""
    root = f"{literal(qualified(table))}::regclass"
    rows = session.rows(
        "select n.nspname, r.relname, array_agg(a.attname::text order by k.place), array_agg(b.attname::text order by k.place) "
        "from pg_constraint c join pg_class r on r.oid = c.conrelid join pg_namespace n on n.oid = r.relnamespace "
        "cross join lateral unnest(c.conkey, c.confkey) with ordinality k (own, theirs, place) "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.own "
        "join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.theirs "
        f"where c.contype = 'f' and c.conparentid = 0 and (c.confrelid = {root} "
        f"or c.confrelid in (select relid from pg_partition_tree({root}))) group by c.oid, n.nspname, r.relname"
    )
    return [
        _Referring(
            f"{schema}.{name}", ident(schema, name), table,
            " and ".join(f"d.{ident(o)} = t.{ident(theirs)}" for o, theirs in zip(own, to, strict=True)),
        )
        for schema, name, own, to in rows
    ]  # fmt: skip
