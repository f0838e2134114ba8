"""A reference in each element of a column, in the judge's query: DuckDB SQL. The elements of a batch's rows are taken apart, each
goes its own way, and what becomes of them is put together again, in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid5

from rowcall.mapping.model import ARRAY, ELEMENT, JSON, KEYS, TEXT, TYPE, Entity, Mapping, Reference
from rowcall.plan.elements import FAULTS, marked, pattern
from rowcall.plan.evidence import Evidence
from rowcall.plan.given import PLAIN
from rowcall.plan.judge import Read
from rowcall.plan.keys import VARCHAR, bare, need_column
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.paths import FIELDS, HopTable, RouteCompiler, Start, combine
from rowcall.plan.polymorphic import by_type
from rowcall.plan.values import Finding, Output
from rowcall.rows import Reason
from rowcall.sql import literal

# An array's binary form: dimensions, whether there are NULLs, the elements' type, their number, the first one's index; then each
# with its length. src/backend/utils/adt/arrayfuncs.c, array_recv(). Types by pg_type.dat.
_OIDS = {"_uuid": 2950, "_text": 25, "_varchar": 1043}
_FAULTY = ", ".join(map(literal, FAULTS))
# What is kept of an element that leads nowhere, by the quick query and by the closer one.
_LED = ("code", "dropped", "hop", "seen")
_LED_CLOSELY = (*_LED, "root_entity", "root_key", "parent_entity", "parent", "note")


@dataclass(frozen=True)
class EachPart:
    """Its part in the compiled query. `conceded`: SQL over j of a list of links that became NULL."""

    read: Read
    between: str
    statements: tuple[str, ...]
    quick_join: str  # with what the quick query needs of an element
    join: str
    inner: dict[str, str]
    output: Output
    finding: Finding
    conceded: str | None


def compile_each(
    number: int, reference: Reference, entity: Entity, mapping: Mapping, know: Knowledge, hops: dict[str, HopTable]
) -> EachPart:
    return _Each(number, reference, entity, mapping, know, hops).part()


class _Each:
    def __init__(
        self,
        number: int,
        reference: Reference,
        entity: Entity,
        mapping: Mapping,
        know: Knowledge,
        hops: dict[str, HopTable],
    ) -> None:
        assert reference.each is not None
        self.name, self.reference, self.entity, self.each = f"r{number}", reference, entity, reference.each
        self.mapping, self.know, self.hops = mapping, know, hops
        self.alias = f"el{number}"
        self.target = need_column(know.target.tables[entity.target], reference.column)
        self.mark = uuid5(mapping.namespace, "each").hex  # that nobody knows: it cannot stand in a row

    def part(self) -> EachPart:
        sql = marked(self.each, self.mark)
        read = Read(self.alias, sql)
        statements, joins, fields = self._routes()
        inner = {f"{self.name}_{part}": f"{self.name}.{part}" for part in ("es", "astray")}
        if self.each.kind != ARRAY:
            inner[f"{self.name}_p"] = f"string_split(n.{self.alias}, {literal(self.mark)})"
        between = "," if self.each.kind == ARRAY else self.mark
        quick, whole = (self._join(joins, fields, kept) for kept in (_LED, _LED_CLOSELY))
        return EachPart(
            read, between, statements, quick, whole, inner, self._output(), self._finding(), self._conceded()
        )

    @property
    def _written(self) -> tuple[str, ...]:
        """What is kept of every element: what is written of it."""
        if self.each.kind == ARRAY:
            return ("uid", "put") if self.each.packed else ("uid",)
        return ("put", "raw", "uid") if self.each.kind == KEYS else ("put",)

    # -- an element -------------------------------------------------------------------------------------------------

    def _routes(self) -> tuple[tuple[str, ...], list[str], dict[str, str]]:
        statements: list[str] = []
        joins: list[str] = []
        answers: list[dict[str, str]] = []
        rows = self.know.source.tables[self.each.table(self.entity.name)]
        for place, route in enumerate(self.reference.routes):
            name = f"route {self.entity.name}.{self.reference.column} {place}"
            compiler = RouteCompiler(name, route, self.reference, self.mapping, self.know.source, self.hops)
            answer = compiler.answer(Start("x.v", VARCHAR, among="x"), rows, f"{self.name}_{place}")
            statements += compiler.statements
            joins += answer.joins
            answers.append(answer.fields | {PLAIN: "false"})
        if self.reference.type_column is not None:
            return tuple(statements), joins, by_type(self.reference, answers, "x.t", self.know.content_types)
        if len(answers) == 1:
            return tuple(statements), joins, answers[0]
        return tuple(statements), joins, dict(combine([("", fields) for fields in answers]))

    def _join(self, joins: list[str], fields: dict[str, str], led: tuple[str, ...]) -> str:
        """For each row `es`, its elements, and `astray`, those that lead nowhere, both in their order."""
        told = {f: f"case when x.known then {fields[f]} end" for f in FIELDS}
        strange = literal(Reason.NOT_CONVERTIBLE.value)
        told["code"] = f"case when x.known then {fields['code']} when x.raw is not null then {strange} end"
        told["seen"] = f"case when x.known then {fields['seen']} else x.raw end"
        allowed = ", ".join(sorted(literal(r.value) for r in self.reference.missing)) or "null"
        kept = {name: name for name in ("pos", "raw", *led)} | {
            "code": f"case when code in ({allowed}) then null else code end",
            "dropped": f"case when code in ({allowed}) then code end",
            "uid": "case when code is null then uid end",
            "put": f"case when code is null and uid is not null then {self._packed()} end",
        }
        listed = ", ".join(f"{sql} as {name}" for name, sql in told.items())
        es, astray = (", ".join(f"{n} := {kept[n]}" for n in ("pos", *names)) for names in (self._written, led))
        return (
            f"left join (\n  with x as materialized ({self._exploded()})\n"
            f"  select k, list_sort(list(struct_pack({es}))) as es,\n"
            f"    list_sort(list(struct_pack({astray})) filter (where code is not null)) as astray from (\n"
            f"    select x.k, x.pos, x.raw, x.t, {listed}\n    from x {' '.join(joins)}\n  ) group by k\n"
            f") {self.name} on {self.name}.k = n.k"
        )

    def _exploded(self) -> str:
        """(k, pos, raw, t, v, known): a row for each element of the batch."""
        if self.each.kind == ARRAY:
            listed = f"case when n.{self.alias} not in ({_FAULTY}) then from_json(n.{self.alias}, '[\"VARCHAR\"]') end"
            places, raw = "range(1, len(e) + 1)", "e[i]"
        else:
            listed = f"string_split(n.{self.alias}, {literal(self.mark)})"
            places, raw = "range(2, len(e) + 1, 2)", "e[i]"
            if self.each.kind in (JSON, KEYS):
                raw = "json_extract_string('\"' || e[i] || '\"', '$')"
        rows = f"select k, i as pos, {raw} as raw from (select k, e, unnest({places}) as i from (select n.k, {listed} as e from n))"
        known = "raw is not null and raw[1] not in ('[', '{')" if self.each.kind == JSON else "raw is not null"
        type_, value = "null::varchar", "raw"
        if self.each.packed:
            value, known = self._extract(ELEMENT), f"regexp_matches(raw, {literal('^' + pattern(self.each) + '$')})"
            type_ = self._extract(TYPE) if TYPE in self.each.packed else type_
        return f"select *, {type_} as t, {value} as v, {known} as known from ({rows})"

    def _extract(self, part: str) -> str:
        return f"regexp_extract(raw, {literal(pattern(self.each, part))}, 1)"

    def _packed(self) -> str:
        """An element's text in the target: the uuid in the place of the key, the content type's name in that of its number."""
        uid = "uuid_text(uid)"
        if not self.each.packed:
            return uid
        numbers: dict[str, str] = {str(n): name for n, name in self.know.content_types.items()}
        named = {route.content_type for route in self.reference.routes}
        branches = " ".join(f"when {literal(n)} then {literal(name)}" for n, name in numbers.items() if name in named)
        parts = {TYPE: f"case t {branches} else t end" if branches else "t", ELEMENT: uid}
        pieces = [literal(piece) if n % 2 == 0 else parts[piece] for n, piece in enumerate(self.each.packed) if piece]
        return f"({' || '.join(pieces)})"

    # -- the column -------------------------------------------------------------------------------------------------

    def _output(self) -> Output:
        value, es, kind = f"j.{self.alias}", f"j.{self.name}_es", bare(self.target.type).name
        if self.each.kind == ARRAY:
            item = "case when e.uid is null then 'ffffffff' else '00000010' || hex(e.uid) end"
            if self.each.packed:
                item = "case when e.put is null then 'ffffffff' else printf('%08x', strlen(e.put)) || hex(e.put) end"
            oid = f"{_OIDS[kind]:08x}"
            items = f"array_to_string(list_transform({es}, lambda e: {item}), '')"
            nulls = f"case when len(list_filter({es}, lambda e: e.uid is null)) > 0 then '00000001' else '00000000' end"
            full = f"'00000001' || {nulls} || '{oid}' || printf('%08x', len({es})) || '00000001' || {items}"
            sql = f"unhex(case when {es} is null then '0000000000000000{oid}' else {full} end)"
            return Output(self.target.name, f"case when {value} is not null then {sql} end", "raw")
        put = "coalesce(to_json(e.put)::varchar, 'null')" if self.each.kind in (JSON, KEYS) else "e.put"
        # No lambda looks at a column of the row: DuckDB would lay it out once for each element.
        between, puts = f"j.{self.name}_p[1:len(j.{self.name}_p):2]", f"list_transform({es}, lambda e: {put})"
        joined = "lambda z: coalesce(z[1], '') || coalesce(z[2], '')"
        text = f"array_to_string(list_transform(list_zip({between}, coalesce({puts}, [])), {joined}), '')"
        return Output(
            self.target.name, f"case when {value} is not null then {text} end", "jsonb" if kind == "jsonb" else "text"
        )

    def _finding(self) -> Finding:
        value, failed = f"j.{self.alias}", f"list_filter(j.{self.name}_astray, lambda e: e.code is not null)"
        faults = {} if self.each.kind == TEXT else FAULTS
        told = [f"when {value} = {literal(mark)} then {literal(code.value)}" for mark, code in faults.items()]
        told += [f"when {value} is null then {literal(Reason.NULL_REFERENCE.value)}"] if self.target.not_null else []
        rest = f"{failed}[1].code"
        if self.each.kind == KEYS:  # of which one would get lost
            raw, uids = (f"list_distinct(list_transform(j.{self.name}_es, lambda e: e.{f}))" for f in ("raw", "uid"))
            same = f"coalesce(len({failed}), 0) = 0 and len({raw}) > len({uids})"
            told.append(f"when {same} then {literal(Reason.DUPLICATE_KEY.value)}")
        whole = f"case {' '.join(told)} end" if told else "null"
        column, name = literal(self.target.name), literal(self.reference.column)
        evidence = Evidence(self.name, self.reference, replace(self.know, admin_log=None), None)
        about = (s.replace(f"j.{self.name}_", "e.") for s in (evidence.evidence, evidence.detail))
        many = (
            f"list_transform({failed}, lambda e: rejection({{place}}, e.code, {column}, {name}, e.hop, e.seen, {', '.join(about)}, "
            "false, e.root_entity, e.root_key, e.parent_entity, e.parent))"
        )
        nothing = ", ".join(["null"] * 3 + ["false"] + ["null"] * 4)
        one = f"rejection({{place}}, {whole}, {column}, {name}, 1, {nothing})"
        many = f"case when {whole} is not null then [{one}] else {many} end"
        code = f"case {' '.join(told)} else {rest} end" if told else rest
        return Finding(code, self.target.name, self.reference.column, many=many)

    def _conceded(self) -> str | None:
        if not self.reference.missing:
            return None
        dropped = f"list_filter(j.{self.name}_astray, lambda e: e.dropped is not null)"
        fields = f'"column" := {literal(self.reference.column)}, code := e.dropped, hop := e.hop, value := e.seen'
        return f"list_transform({dropped}, lambda e: struct_pack({fields}))"
