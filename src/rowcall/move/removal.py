"""Target rows that a catch-up removes: those that are as rowcall wrote them, and to which no row that stays refers.

All of it works on `rowcall_change` (ledger/catch_ups.sql), in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rowcall.ledger.book import EntityRecord
from rowcall.postgres.connect import Session
from rowcall.sql import ident, literal, qualified


def _pending(alias: str) -> str:
    return f"{alias}.what = 'remove' and {alias}.kept is null and not {alias}.done"


class Removal:
    """`records` are all entities of the run."""

    def __init__(self, session: Session, records: Sequence[EntityRecord]) -> None:
        self.session, self.records = session, records
        self._keys = [key for table in {r.target_table for r in records} for key in _referring(session, table)]

    def look(self) -> None:
        """Locks the rows that are to change, and tells which of them somebody changed or removed: these stay so."""
        for r in self.records:
            table, own = qualified(r.target_table), ident(r.id_column)
            mine = f"c.entity = {r.id} and c.what in ('update', 'remove', 'mark')"
            self.session.execute(
                f"select from {table} t where {own} in (select target_id from rowcall_change c where {mine}) for update"
            )
            self.session.execute(
                f"update rowcall_change c set kept = 'edited' from {table} t where {mine} and t.{own} = c.target_id "
                "and t.xmin::text::bigint not in (select xid from rowcall.own_xids)"
            )
            lost = f"{mine} and c.kept is null and not exists (select from {table} t where t.{own} = c.target_id)"
            self.session.execute(f"update rowcall_change c set kept = 'removed' where {lost} and c.what = 'update'")
            self.session.execute(
                f"update rowcall_change c set done = true, detail = 'before', what = 'remove' where {lost} and c.what <> 'update'"
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

    def _block(self, key: Mapping[str, str]) -> int:
        """Keeps the rows to which, by one foreign key, a row refers that does not go with them."""
        goes = "".join(
            f" and not exists (select from rowcall_change o where o.entity = {r.id} and o.target_id = d.{ident(r.id_column)} "
            f"and {_pending('o')} and not o.blocked)"
            for r in self.records if r.target_table == key["table"]
        )  # fmt: skip
        return sum(
            self.session.execute(
                f"update rowcall_change c set blocked = true from {qualified(r.target_table)} t where c.entity = {r.id} and "
                f"{_pending('c')} and not c.blocked and t.{ident(r.id_column)} = c.target_id and exists "
                f"(select from {qualified(key['table'])} d where {key['joined']}{goes})"
            )
            for r in self.records
            if r.target_table == key["refers_to"]
        )

    def _delete(self, members: Sequence[EntityRecord]) -> None:
        """A step's rows in one statement, as they may refer to each other."""
        parts = [
            f"d{r.id} as (delete from {qualified(r.target_table)} t using rowcall_change c where c.entity = {r.id} "
            f"and {_pending('c')} and not c.blocked and t.{ident(r.id_column)} = c.target_id returning c.entity, c.source_key)"
            for r in members
        ]
        gone = " union all ".join(f"select entity, source_key from d{r.id}" for r in members)
        self.session.execute(
            f"with {', '.join(parts)} update rowcall_change c set done = true from ({gone}) g "
            "where c.entity = g.entity and c.source_key = g.source_key"
        )
        numbers = ", ".join(str(r.id) for r in members)
        self.session.execute(
            f"update rowcall_change c set kept = 'refused', detail = 'a trigger or rule of the target' "
            f"where c.entity in ({numbers}) and {_pending('c')} and not c.blocked"
        )


def _referring(session: Session, table: str) -> list[dict[str, str]]:
    """The foreign keys to a table, whatever schema they are in; `joined` is SQL over its row t and a row d that refers to it.
    https://www.postgresql.org/docs/current/catalog-pg-constraint.html"""
    rows = session.rows(
        "select n.nspname || '.' || r.relname, array_agg(a.attname::text order by k.place), "
        "array_agg(b.attname::text order by k.place) "
        "from pg_constraint c join pg_class r on r.oid = c.conrelid join pg_namespace n on n.oid = r.relnamespace "
        "cross join lateral unnest(c.conkey, c.confkey) with ordinality k (own, theirs, place) "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.own "
        "join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.theirs "
        f"where c.contype = 'f' and c.conparentid = 0 and c.confrelid = {literal(qualified(table))}::regclass "
        "group by c.oid, n.nspname, r.relname"
    )
    return [
        {
            "table": name,
            "refers_to": table,
            "joined": " and ".join(f"d.{ident(o)} = t.{ident(theirs)}" for o, theirs in zip(own, to, strict=True)),
        }
        for name, own, to in rows
    ]
