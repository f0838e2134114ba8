"""What refines a reference's code without changing it, as DuckDB SQL over the judged row j.

A dangling reference `never_existed` where its value lies beyond the sequence that gives the keys out, and `was_deleted` where
it lies below, or where Django's admin log tells of the deletion. Of a parent that a rule excludes the evidence is the rule,
of a content type whether it is unknown or only not mapped. The detail tells more of the one row: when and by whom a parent was
deleted, the members of a cycle, the candidates of an ambiguous reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from rowcall.mapping.model import Reference
from rowcall.plan.knowledge import Knowledge
from rowcall.rows import Reason
from rowcall.sql import literal

DELETIONS = (
    "deletions"  # DuckDB table (place, id, deleted_at, actor): the last deletion of each row that the admin log knows
)


def place_of(table: str, column: str) -> str:
    """Where a value was looked up and not found."""
    return f"{table}.{column}"


def _keyed(reference: Reference, know: Knowledge) -> list[str]:
    """Places of a reference's paths where a table's own key is looked up: only of these does the log tell."""
    hops = [hop for route in reference.routes for hop in route.path]
    keys = {hop: know.source.tables[hop.table].primary_key for hop in hops}
    return sorted({place_of(h.table, h.to_column) for h, key in keys.items() if key and key.columns == (h.to_column,)})


def deletions_sql(know: Knowledge) -> str | None:
    """SELECT place text, id text, deleted_at text (ISO 8601, UTC), actor text on the source; None where no log
    can be read."""
    if know.admin_log is None:
        return None
    log, types = know.admin_log
    if know.content_types:  # with the ids that types had formerly
        named = [(number, name.split(".", 1)) for number, name in know.content_types.items()]
        listed = ", ".join(f"({number}, {literal(app)}, {literal(model)})" for number, (app, model) in named)
        types = f"(values {listed}) t (id, app_label, model)"
    else:
        types = f"{types} t"
    at = "to_char(l.action_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    return (
        "select distinct on (t.app_label, t.model, l.object_id) t.app_label || '_' || t.model as place, "
        f"l.object_id::text as id, {at} as deleted_at, l.user_id::text as actor "
        f"from {log} l join {types} on t.id = l.content_type_id "
        "where l.action_flag = 3 and l.object_id is not null "  # DELETION: django.contrib.admin.models
        "order by t.app_label, t.model, l.object_id, l.action_time desc"
    )


class Evidence:
    """Of one reference, whose fields are j.{name}_code, _seen and _note."""

    def __init__(self, name: str, reference: Reference, know: Knowledge, created: str | None) -> None:
        """`created`: DuckDB SQL of the row's own time as text, where the mapping names it (its cutoff)."""
        self.name, self.know, self.created = name, know, created
        self.code, self.seen, self.note = (f"j.{name}_{field}" for field in ("code", "seen", "note"))
        self.alias = f"deleted_{name}"
        self.keyed = _keyed(reference, know) if know.admin_log else []

    @property
    def joins(self) -> tuple[str, ...]:
        """What the closer query joins to j."""
        if not self.keyed:
            return ()
        table = f"split_part({self.note}, '.', 2)"
        dangling = f"{self.code} = {literal(Reason.DANGLING_REFERENCE.value)}"
        keyed = f"{self.note} in ({', '.join(map(literal, self.keyed))})"
        condition = f"{dangling} and {keyed} and {self.alias}.place = {table} and {self.alias}.id = {self.seen}"
        return (f"left join {DELETIONS} {self.alias} on {condition}",)

    @property
    def evidence(self) -> str:
        return (
            f"case {self.code} when 'dangling_reference' then {self._gone()} "
            f"when 'parent_excluded' then {self.note} when 'unknown_type' then {self.note} end"
        )

    @property
    def detail(self) -> str:
        return (
            f"case when {self.code} in ('cyclic_path', 'ambiguous_reference') then {self.note} "
            f"when {self.code} = 'dangling_reference' then {self._told()} end"
        )

    def _gone(self) -> str:
        number = f"try_cast({self.seen} as hugeint)"
        branches = " ".join(
            f"when {literal(place)} then case when {number} between 1 and {last} then 'was_deleted' else 'never_existed' end"
            for place, last in self._lasts().items()
        )
        by_sequence = f"case {self.note} {branches} end" if branches else "null"
        if not self.keyed:
            return by_sequence
        return f"case when {self.alias}.id is not null then 'was_deleted' else {by_sequence} end"

    def _told(self) -> str:
        number = f"try_cast({self.seen} as hugeint)"
        branches = " ".join(
            f"when {literal(place)} then case when {number} between 1 and {last} then 'below the last key given out, {last}; no "
            f"deletion is logged' else 'beyond the last key given out, {last}' end"
            for place, last in self._lasts().items()
        )
        by_sequence = f"case {self.note} {branches} end" if branches else "null"
        if not self.keyed:
            return by_sequence
        logged = f"'deleted ' || {self.alias}.deleted_at || ' by user ' || {self.alias}.actor || {self._made_later()}"
        return f"case when {self.alias}.id is not null then {logged} else {by_sequence} end"

    def _made_later(self) -> str:
        if self.created is None:
            return "''"
        later = f"try_cast({self.created} as timestamptz) > try_cast({self.alias}.deleted_at as timestamptz)"
        return f"case when {later} then ', before this row was made' else '' end"

    def _lasts(self) -> Mapping[str, int]:
        return {place_of(table, column): last for (table, column), last in self.know.sequences.items()}
