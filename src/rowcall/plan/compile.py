"""Compiles an entity's mapping into its judge."""

from __future__ import annotations

import re
from dataclasses import replace

from rowcall.mapping.model import ColumnRule, Entity, Mapping, PythonCall, Reference, Route
from rowcall.plan.each import compile_each
from rowcall.plan.evidence import Evidence
from rowcall.plan.given import PLAIN, given_parent, given_value
from rowcall.plan.graph import parents
from rowcall.plan.ids import digest_sql, made_of
from rowcall.plan.judge import Function, GroupReference, Judge, Read, asked_name, duplicates_table, out_name
from rowcall.plan.keys import bare, entity_key, kind, need_column, read_as
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.merge import merged, merged_columns, unmerged
from rowcall.plan.paths import FIELDS, HopTable, RouteCompiler, Start, combine
from rowcall.plan.polymorphic import by_type
from rowcall.plan.rejections import rejections
from rowcall.plan.uniques import judged_uniques
from rowcall.plan.values import Ask, Filled, Finding, Output, fill, of_one_width
from rowcall.rows import Reason
from rowcall.schema import Type, Unique
from rowcall.sql import ident, label, literal

# Columns of a table of answers.
ANSWER = {
    "k": "varchar",
    "code": "varchar",
    "evidence": "varchar",
    "detail": "varchar",
    "bytes": "blob",
}


def compile_entity(
    entity: Entity, mapping: Mapping, know: Knowledge, group: frozenset[str], given: frozenset[str] = frozenset()
) -> tuple[Judge, dict[str, HopTable]]:
    """Compiles one entity. `group` holds the entities of its cyclic group (empty where it is in none); `given` the target
    columns for which repairs have something: rows of which the tables `given_table` know it take that."""
    compiler = _Compiler(entity, mapping, know, group, given)
    return compiler.compile(), compiler.hops


AS_ARROW = {"bool", "int2", "int4", "int8", "float4", "float8", "bytea"}  # what functions get as such, all else as text


class _Compiler:
    def __init__(
        self, entity: Entity, mapping: Mapping, know: Knowledge, group: frozenset[str], given: frozenset[str]
    ) -> None:
        self.entity, self.mapping, self.know, self.group, self.given = entity, mapping, know, group, given
        self.hops: dict[str, HopTable] = {}
        self.table = know.source.tables[entity.source]
        self.target = know.target.tables[entity.target]
        self.key = entity_key(entity, know.source)
        self.reads: dict[str, Read] = {"k": Read("k", self.key.sql)}
        self.joins: list[str] = []
        self.evidence_joins: list[str] = []  # of the closer query, which tells what refines a code
        self.inner: dict[str, str] = {}  # alias -> SQL over n and its joins, for the references
        self.findings: list[Finding] = []
        self.outputs: list[Output] = []
        self.asks: list[Ask] = []
        self.functions: list[Function] = []
        self.prepare: list[str] = []
        self.conceded: list[str] = []
        self.conceded_lists: list[str] = []
        self.quick_joins: dict[str, str] = {}  # what stands in the quick query in the place of a join
        self.apart: list[tuple[str, str]] = []
        self.group_references: list[GroupReference] = []

    def compile(self) -> Judge:
        for number, reference in enumerate(self.entity.references):
            self._reference(number, reference)
        self._cutoff()
        self._id()
        for number, rule in enumerate(self.entity.columns):
            self._column(number, rule)
        # Values of one width lie side by side in a row of COPY, where they are laid out together (move.encode).
        self.outputs.sort(key=lambda output: not of_one_width(need_column(self.target, output.column)))
        self._uniqueness()
        self._rules()
        self.findings.append(
            Finding("case when j.failed is not null then 'expression_failed' end", evidence="j.failed")
        )
        self.findings = unmerged(self.entity, self.findings)
        rejected = f"j.excluded is null and {self._any()} is not null"
        return Judge(
            self.entity,
            self.key,
            tuple(self.reads.values()) + self._where_reads(),
            tuple(self.outputs),
            tuple(self.asks),
            tuple(self.prepare),
            tuple(self.hops),
            parents(self.entity),
            self._uniques(),
            tuple(self.group_references),
            self._sql(f"case when {rejected} then {rejections(self.findings, self.entity, self.group)} end"),
            self._quick_sql(),
            self._passing(),
            self.given,
            tuple(self.functions),
            tuple(self.apart),
        )

    def _id(self) -> None:
        """Its digits, where neither a column nor a reference fills it."""
        if self.entity.given_id:
            return
        if self.entity.ids.column is not None:
            self.reads["made_of"] = Read("made_of", made_of(self.entity))
        self.outputs.insert(
            0,
            Output(
                self.entity.id_column, digest_sql(self.know.namespace(self.mapping, self.entity), self.entity), "raw"
            ),
        )

    # -- references -------------------------------------------------------------------------------------------------

    def _reference(self, number: int, reference: Reference) -> None:
        if reference.each is not None:
            self._each(number, reference)
            return
        routes = [self._route(number, place, reference, route) for place, route in enumerate(reference.routes)]
        name = f"r{number}"
        if reference.type_column is not None:
            type_ = self._start(reference.type_column).sql
            fields = by_type(reference, routes, type_, self.know.content_types)
        elif len(routes) == 1:
            fields = routes[0]
        else:
            fields = dict(combine([("", r) for r in routes])) | {PLAIN: " and ".join(r[PLAIN] for r in routes)}
        if reference.column in self.given:
            given = given_parent(self.entity.name, reference.column, f"{name}_given")
            self.joins.append(given.join)
            fields = {f: given.instead(f, sql) for f, sql in fields.items()}
        for field in (*FIELDS, PLAIN):
            self.inner[f"{name}_{field}"] = fields[field]
        self._reference_finding(name, reference)

    def _each(self, number: int, reference: Reference) -> None:
        part = compile_each(number, reference, self.entity, self.mapping, self.know, self.hops)
        self.reads[part.read.alias] = part.read
        self.apart.append((part.read.alias, part.between))
        self.prepare += part.statements
        self.joins.append(part.join)
        self.quick_joins[part.join] = part.quick_join
        self.inner |= part.inner
        self.outputs.append(part.output)
        self.findings.append(part.finding)
        if part.conceded:
            self.conceded_lists.append(part.conceded)

    def _route(self, number: int, place: int, reference: Reference, route: Route) -> dict[str, str]:
        compiler = RouteCompiler(
            f"route {self.entity.name}.{reference.column} {place}",
            route, reference, self.mapping, self.know.source, self.hops,
        )  # fmt: skip
        start = self._start(compiler.start_column)
        answer = compiler.answer(start, self.table, f"r{number}_{place}")
        self.prepare += compiler.statements
        self.joins += answer.joins
        plain = f"{start.sql} is null"
        if route.path[
            0
        ].climb:  # it leads nowhere upwards; a row that has no name to be climbed from is not told by that
            plain = f"{self._start(route.path[0].column).sql} is null and {start.sql} is not null"
        return answer.fields | {PLAIN: f"({plain})"}

    def _start(self, column: str) -> Start:
        found = need_column(self.table, column)
        alias = label(f"p {column}")
        self.reads[alias] = Read(alias, read_as(found))
        return Start(f"n.{ident(alias)}", kind(found))

    def _reference_finding(self, name: str, reference: Reference) -> None:
        """The rejection of a reference that leads nowhere, unless the mapping lets it be NULL."""
        target = need_column(self.target, reference.column)
        code, allowed = f"j.{name}_code", sorted(r.value for r in reference.missing)
        conceded = f"{code} in ({', '.join(map(literal, allowed))})" if allowed else "false"
        plain_null = (
            f"({code} = 'null_reference' and j.{name}_hop = 1 and j.{name}_{PLAIN})" if not target.not_null else "false"
        )
        fine = " or ".join(part for part in (conceded, plain_null) if part != "false")
        created = "j.cutoff_value" if self.entity.cutoff else None
        evidence = Evidence(name, reference, self.know, created)
        self.evidence_joins += evidence.joins
        self.findings.append(
            Finding(
                f"case when {fine} then null else {code} end" if fine else code,
                target.name,
                reference.column,
                f"j.{name}_hop",
                f"j.{name}_seen",
                evidence.evidence,
                evidence.detail,
                root=(f"j.{name}_root_entity", f"j.{name}_root_key"),
                parent=(f"j.{name}_parent_entity", f"j.{name}_parent"),
            )
        )
        if not reference.merges:
            self.outputs.append(Output(reference.column, f"case when {code} is null then j.{name}_uid end", "raw"))
        if allowed and not reference.merges:
            fields = (
                f'"column" := {literal(reference.column)}, code := {code}, hop := j.{name}_hop, value := j.{name}_seen'
            )
            self.conceded.append(f"case when {conceded} and not {plain_null} then struct_pack({fields}) end")
        if any(route.to in self.group for route in reference.routes):
            self.group_references.append(
                GroupReference(
                    name,
                    Reason.PARENT_QUARANTINED not in reference.missing,
                    Reason.PARENT_EXCLUDED not in reference.missing,
                )
            )

    # -- values -----------------------------------------------------------------------------------------------------

    def _column(self, number: int, rule: ColumnRule) -> None:
        target = need_column(self.target, rule.column)
        source: Type | None = None
        if rule.source is not None:
            source = need_column(self.table, rule.source).type
        elif rule.sql is not None:
            source = self.know.types[(self.table.qualified, rule.sql)]
        filled = fill(number, rule, target, source, self.know.content_types, self.know.literals)
        self._add(number, filled, f"columns.{rule.column}")
        if rule.python and filled.read:
            self._function(number, rule.python, filled.read[0], filled.read_type, f"columns.{rule.column}")

    def _function(self, number: int, python: PythonCall, alias: str, kind: str, label: str) -> None:
        """What a function makes comes in the place of what was read, once that is there."""
        inputs = [f"i{number}_{place}" for place, _ in enumerate(python.columns)]
        for given, name in zip(inputs, python.columns, strict=True):
            column = need_column(self.table, name)
            plain = bare(column.type).name in AS_ARROW
            self.reads[given] = Read(given, ident(name) + ("" if plain else "::text"))
        self.functions.append(Function(alias, tuple(inputs), python.call, label, kind == "bytea"))

    def _add(self, number: int, filled: Filled, label: str) -> None:
        if filled.output.column in self.given:
            given = given_value(self.entity.name, filled.output.column, f"v{number}")
            self.joins.append(given.join)
            self.inner |= given.inner
            filled = given.fill(filled)
        self.outputs.append(filled.output)
        if filled.read:
            alias, sql = filled.read
            self.reads[alias] = Read(alias, sql, filled.fallible, label, filled.read_type)
        if filled.ask:
            self.asks.append(filled.ask)
        if filled.finding:
            finding = filled.finding
            code = f"case when j.failed is null then {finding.code} end" if filled.fallible else finding.code
            self.findings.append(replace(finding, code=code))

    def _uniqueness(self) -> None:
        if self._uniques():
            self.joins.append(f"left join {duplicates_table(self.entity.name)} d on d.k = n.k")
            self.inner["duplicate"] = "d.columns"
            code = "case when j.duplicate is not null then 'duplicate_key' end"
            self.findings.append(Finding(code, None, value="null", evidence="j.duplicate"))

    def _uniques(self) -> tuple[Unique, ...]:
        return judged_uniques(self.entity, self.mapping, self.know, frozenset(output.column for output in self.outputs))

    # -- rules ------------------------------------------------------------------------------------------------------

    def _cutoff(self) -> None:
        if (cutoff := self.entity.cutoff) is None:
            return
        condition = f"({ident(cutoff.column)} > {literal(cutoff.at)}::timestamptz) is true"
        self.reads["cutoff"] = Read("cutoff", f"({condition})")
        self.reads["cutoff_value"] = Read("cutoff_value", f"{ident(cutoff.column)}::text")
        code = "case when j.cutoff then 'after_cutoff' end"
        self.findings.append(Finding(code, cutoff.column, value="j.cutoff_value"))

    def _rules(self) -> None:
        for number, rule in enumerate(self.entity.rules):
            alias = f"rule{number}"
            self.reads[alias] = Read(alias, f"(({rule.condition}\n) is true)", True, f"rules.{rule.name}")
            code = f"case when j.failed is null and not j.{alias} then 'rule_failed' end"
            self.findings.append(Finding(code, None, evidence=literal(rule.name)))

    def _where_reads(self) -> tuple[Read, ...]:
        return tuple(
            Read(f"where{number}", f"(({rule.condition}\n) is true)", True, f"where.{rule.name}")
            for number, rule in enumerate(self.entity.where)
        )

    # -- the query --------------------------------------------------------------------------------------------------

    def _passing(self) -> dict[str, str]:
        aliases = {f"j.{alias}": alias for alias in self.reads}
        return {out_name(o.column): aliases[o.sql] for o in self.outputs if o.sql in aliases}

    def _quick_sql(self) -> str:
        suspect = " or ".join(f"coalesce({question.suspect}, false)" for question in self.asks) or "false"
        passing = self._passing()
        computed = {out_name(o.column): o for o in self.outputs if out_name(o.column) not in passing}
        # A conversion may fail on what was not accepted.
        columns = {name: f"case when j.sound then {o.sql} end" if o.asked else o.sql for name, o in computed.items()}
        if self.entity.where or self.entity.merge:
            columns["excluded"] = self._excluded()
        columns |= self._merged_columns(self._excluded())
        if self.conceded or self.conceded_lists:
            columns["conceded"] = self._conceded()
        columns |= {name: f"j.{name}" for name in self._group_columns()}
        listed = "".join(f",\n  {sql} as {ident(name)}" for name, sql in columns.items())
        sound = f"not j.suspect and (({self._excluded()}) is not null or {self._any(codes=True)} is null)"
        if self.given:  # what is given stands in the closer query alone
            sound = "false"
        inner = self.inner | self._no_answers() | {"suspect": suspect}
        used = {name: sql for name, sql in inner.items() if re.search(rf"\bj\.{name}\b", sound + listed)}
        alias = "".join(f",\n    {sql} as {ident(name)}" for name, sql in used.items())
        joins = "\n  ".join(self.quick_joins.get(join, join) for join in self.joins)
        return f"""with first as (
  select n.*{alias}
  from n
  {joins}
), looked as (
  select j.*, {sound} as sound
  from first j
)
select j.row as row, j.sound as sound{listed}
from looked j"""

    def _sql(self, findings: str) -> str:
        codes = ",\n    ".join(f"({f.code}) as f{i}" for i, f in enumerate(self.findings)) or "null as f0"
        inner = "".join(f",\n    {sql} as {ident(name)}" for name, sql in (self.inner | self._answers()).items())
        asks = [f"left join {ident('ask ' + a.alias)} {a.alias} on {a.alias}.k = n.k" for a in self.asks]
        joins = "\n  ".join([*self.joins, *asks])
        outputs = "".join(f",\n  {o.sql} as {ident(out_name(o.column))}" for o in self.outputs)
        asked = "".join(f",\n  {o.asked} as {ident(asked_name(o.column))}" for o in self.outputs if o.asked)
        groups = "".join(f",\n  j.{name} as {name}" for name in self._group_columns())
        groups += "".join(f",\n  {sql} as {name}" for name, sql in self._merged_columns("j.excluded").items())
        evidence = "\n  ".join(self.evidence_joins)
        return f"""with j as (
  select n.*{inner}
  from n
  {joins}
), judged as (
  select j.*, {self._excluded()} as excluded,
    {codes}
  from j
)
select j.k as k, j.excluded as excluded,
  {findings} as findings,
  {self._conceded()} as conceded{outputs}{asked}{groups}
from judged j
  {evidence}"""

    def _merged_columns(self, excluded: str) -> dict[str, str]:
        merge = self.entity.merge
        chained = merge is not None and self.mapping.entity(merge.routes[0].to).merge is not None
        return merged_columns(self.entity, excluded, chained)

    def _group_columns(self) -> list[str]:
        return [f"{g.name}_{part}" for g in self.group_references for part in ("parent_entity", "parent")]

    def _answers(self) -> dict[str, str]:
        return {f"{a.alias}_{part}": f"{a.alias}.{part}" for a in self.asks for part in ANSWER}

    def _no_answers(self) -> dict[str, str]:
        return {f"{a.alias}_{part}": f"null::{type_}" for a in self.asks for part, type_ in ANSWER.items()}

    def _excluded(self) -> str:
        branches = " ".join(
            f"when j.where{i} is not true then {literal(rule.name)}" for i, rule in enumerate(self.entity.where)
        )
        # Where a condition itself fails the row is neither in nor out; any other failure does not matter to it.
        failed = "contains(', ' || j.failed, ', where.')"
        first = ""  # what a query does not return has nothing on which a condition could fail
        if self.entity.query is not None and not self.entity.query.counted:
            first = f"when j.where0 is not true then {literal(self.entity.where[0].name)}"
        ruled = f"case {first} when {failed} then null {branches} end" if branches else "null::varchar"
        return f"coalesce({ruled}, {merged(self.entity)})" if self.entity.merge else ruled

    def _any(self, *, codes: bool = False) -> str:
        """The first code of a row; `codes`: from the codes themselves, not from their columns."""
        found = [f.code if codes else f"j.f{i}" for i, f in enumerate(self.findings)]
        return f"coalesce({', '.join(found)})" if found else "null"

    def _conceded(self) -> str:
        if not self.conceded and not self.conceded_lists:
            return "null"
        listed = f"list_filter([{', '.join(self.conceded)}], lambda c: c is not null)" if self.conceded else ""
        for many in self.conceded_lists:
            listed = f"list_concat({listed}, {many})" if listed else many
        return f"case when len({listed}) > 0 then {listed} end"
