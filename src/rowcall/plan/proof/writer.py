"""The Proof of a cause: one SELECT in plain Postgres, on the source alone, of the keys that this entity and code reject.

A row's cause is the first of its defects in the fixed order of codes, so a proof asks for the rows that have a defect of this
code and none of an earlier one. Where a parent's fate matters, the rows of that entity that do not migrate stand in a WITH
clause of their own, and theirs before them; a cyclic group falls by WITH RECURSIVE from the rows with a defect of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from rowcall.mapping.model import ELEMENT, KEYS, Entity, Reference
from rowcall.plan.elements import FAULTS, element_entity, fault
from rowcall.plan.merge import WAY, another, lonely
from rowcall.plan.plan import Plan
from rowcall.plan.proof.paths import CODE, ITSELF, Fate, Paths
from rowcall.plan.proof.rows import Defect, Rows
from rowcall.plan.proof.uniques import Uniqueness
from rowcall.plan.proof.values import value_defect
from rowcall.plan.step import Step
from rowcall.rows import Reason
from rowcall.sql import ident, label, literal

Known = Collection[tuple[str, str, str | None]]  # (entity, code, column) of every sort of rejected rows that there is
CIRCLE = "circle"  # in place of a code: rows that have a defect of their own, and parents that fell by it
_UNTOLD = {
    Reason.REFUSED_BY_TARGET: "only the target knows what it refuses",
    Reason.EXPRESSION_FAILED: "an expression that fails on a row would end the query, too",
}


class Untold(Exception):
    """The source alone cannot tell: `why` says what of."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def proof_sql(plan: Plan, entity: str, code: Reason, known: Known) -> str:
    """SELECT source_key text, distinct: the rows of the entity whose cause is this code. Raises Untold."""
    return _Writer(plan, known).proof(plan.mapping.entity(entity), code)


class _Writer:
    def __init__(self, plan: Plan, known: Known) -> None:
        self.plan, self.known, self.know = plan, known, plan.knowledge
        self.tables: dict[str, str] = {}  # of the WITH clause, in an order that Postgres can read

    def proof(self, entity: Entity, code: Reason) -> str:
        if code in _UNTOLD:
            raise Untold(_UNTOLD[code])
        if entity.where or code.order > Reason.AFTER_CUTOFF.order:
            # A row on which something fails is not excluded by anything else, and its other values are not judged.
            self._need(entity, Reason.EXPRESSION_FAILED.value, None, _UNTOLD[Reason.EXPRESSION_FAILED])
        if code.order >= Reason.PARENT_QUARANTINED.order:
            self._need(entity, CIRCLE, None, "rows of a circle keep each other back")
        with_fates = code.order >= Reason.PARENT_EXCLUDED.order
        rows = Rows(entity, self.know.source)
        defects = self._defects(rows, self._paths(() if with_fates else None))
        if Reason.DUPLICATE_KEY.order <= code.order:
            defects = self._with_uniqueness(rows, defects)
        able = [d for d in defects if min(c.order for c in d.codes) <= code.order]
        told = self._told(entity, able, code)
        own = [f"d{n}" for n, d in enumerate(told) if code in d.codes]
        earlier = [(f"d{n}", _listed(c for c in d.codes if c.order < code.order)) for n, d in enumerate(told)]
        listed = ", ".join(f"{d.sql} as d{n}" for n, d in enumerate(told))
        if not own:
            raise Untold("nothing that the source can tell is wrong with these rows")
        where = [f"{literal(code.value)} in ({', '.join(own)})"]
        where += [f"coalesce({name}, '') not in ({codes})" for name, codes in earlier if codes]
        select = (
            f"select k::text as source_key\nfrom (\n  select j.k, {listed or 'null as d0'}\n  from {self._judged(rows, told)}\n"
            f"  where not j.excluded\n) d\nwhere {' and '.join(where)}"
        )
        return self._with() + select

    # -- the WITH clause --------------------------------------------------------------------------------------------

    def _with(self) -> str:
        if not self.tables:
            return ""
        return "with recursive " + ",\n".join(f"{name} as (\n  {sql}\n)" for name, sql in self.tables.items()) + "\n"

    def _add(self, name: str, sql: str) -> str:
        quoted = ident(label(name))
        self.tables[quoted] = sql.replace(ITSELF, quoted)
        return quoted

    def fate(self, entity: str) -> Fate:
        """The rows of an entity that do not migrate, by what that makes of their children."""
        step = next(s for s in self.plan.steps if entity in s.group.entities)
        if step.group.cyclic:
            return f"(select k, code from {self._fallen(step)} where entity = {literal(entity)})", True
        name = f"{entity} left behind"
        if (quoted := ident(label(name))) in self.tables:
            return quoted, False
        rows = Rows(self.plan.mapping.entity(entity), self.know.source)
        return self._add(name, self._left(rows, self._sound(rows, ()))), False

    def merged(self, name: str, merge: Reference) -> str:
        """(k, names) as a table: for which rows of an entity others are to stand, whatever becomes of these, and their names."""
        if (quoted := ident(label(f"{name} merged"))) in self.tables:
            return quoted
        entity, to = self.plan.mapping.entity(name), merge.routes[0].to
        rows, paths = Rows(entity, self.know.source), replace(self._paths(None), version=" of merges")
        answer = paths.answer(0, merge, rows, frozenset({"code", "entity", "parent", "names"}))
        way = Defect(frozenset(), None, None, {f"{WAY}_{f}": sql for f, sql in answer.fields.items()}, answer.joins)
        names = f"j.{WAY}_names" if self.plan.mapping.entity(to).merge else f"{literal(to + ' ')} || j.{WAY}_names"
        return self._add(
            f"{name} merged",
            f"select j.k::text as k, {names} as names from {self._judged(rows, [way])} "
            f"where not j.excluded and {another(entity, 'entity')}",
        )

    def _sound(self, rows: Rows, hopeful: Sequence[str]) -> list[Defect]:
        """All defects of an entity, where the source can tell them. Raises Untold where rows have others."""
        for code, why in _UNTOLD.items():
            self._need(rows.entity, code.value, None, why)
        defects = self._defects(rows, self._paths(hopeful))
        return self._told(rows.entity, self._with_uniqueness(rows, defects))

    def _left(self, rows: Rows, defects: Sequence[Defect]) -> str:
        found = ", ".join(f"({d.sql})" for d in defects)
        bad = f"coalesce({found}) is not null" if found else "false"
        return (
            "select j.k, case when j.excluded then 'parent_excluded' else 'parent_quarantined' end as code "
            f"from {self._judged(rows, defects)} where j.excluded or {bad}"
        )

    def _fallen(self, step: Step) -> str:
        """A cyclic group's rows that do not migrate, as (entity, k, code): those with a defect of their own where every parent
        of the group is thought to migrate, then whoever needs one of them, to the fixpoint."""
        members = step.group.entities
        name = f"{' and '.join(members)} left behind"
        if (quoted := ident(label(name))) in self.tables:
            return quoted
        owns, links = [], []
        for member in members:
            rows = Rows(self.plan.mapping.entity(member), self.know.source)
            defects = self._sound(rows, members)
            owns.append(
                f"select {literal(member)}::text as entity, own.k::text as k, own.code from ({self._left(rows, defects)}) own"
            )
            links += self._links(rows, defects)
        linked = self._add(f"{' and '.join(members)} links", "\n  union all ".join(links))
        fall = "(g.code = 'parent_quarantined' and l.sound) or (g.code = 'parent_excluded' and l.included)"
        return self._add(
            name,
            f"({' union all '.join(owns)}) union select l.entity, l.k, 'parent_quarantined' from {ITSELF} g "
            f"join {linked} l on l.parent_entity = g.entity and l.parent = g.k where {fall}",
        )

    def _links(self, rows: Rows, defects: Sequence[Defect]) -> list[str]:
        """Who needs whom inside of a group: (entity, k, parent_entity, parent, sound, included)."""
        entity = rows.entity
        # A row for which another stands needs nothing but that one.
        alone = f"not coalesce({another(entity, 'entity')}, false)" if entity.merge else "true"
        return [
            f"select {literal(entity.name)}::text as entity, j.k::text as k, j.{g.name}_entity as parent_entity, "
            f"j.{g.name}_parent as parent, {g.needs_sound} as sound, {g.needs_included} as included "
            f"from {self._judged(rows, defects)} where not j.excluded and j.{g.name}_parent is not null "
            f"and {'true' if entity.merge and g.name == WAY else alone}"
            for g in self.plan.judge(entity.name).group_references
        ]

    # -- one entity -------------------------------------------------------------------------------------------------

    def _paths(self, hopeful: Sequence[str] | None) -> Paths:
        """`hopeful`: parents that are thought to migrate; None: no parent's fate matters."""
        know = self.know

        def fate(entity: str) -> Fate | None:
            return None if entity in (hopeful or ()) else self.fate(entity)

        return Paths(
            self.plan.mapping,
            know.source,
            know.content_types,
            self._add,
            None if hopeful is None else fate,
            self.merged,
            " at first" if hopeful else "",
        )

    def _judged(self, rows: Rows, defects: Sequence[Defect]) -> str:
        """The row j: its key, whether a rule excludes it, and what its defects speak of."""
        where = [rows.condition(f"where{n}", rule.condition) for n, rule in enumerate(rows.entity.where)]
        inner = {name: sql for d in defects for name, sql in d.inner.items()}
        columns = "".join(f", {sql} as {name}" for name, sql in inner.items())
        joins = "".join(f"\n  {join}" for join in dict.fromkeys(join for d in defects for join in d.joins))
        excluded = " or ".join(f"not {one}" for one in where) or "false"
        return f"(select e.k, ({excluded}) as excluded{columns} from {rows.sql(excluded + columns + joins)}{joins}) j"

    def _defects(self, rows: Rows, paths: Paths) -> list[Defect]:
        """What may be wrong with a row by itself; uniqueness comes to it."""
        entity, target = rows.entity, self.know.target.tables[rows.entity.target]
        found: list[Defect] = []
        for number, reference in enumerate(entity.references):
            found += self._each(number, rows, paths) if reference.each else [self._reference(number, rows, paths)]
        if entity.cutoff:
            later = f"({ident(entity.cutoff.column)} > {literal(entity.cutoff.at)}::timestamptz) is true"
            inner = {"cutoff": rows.read("cutoff", f"({later})")}
            code = Reason.AFTER_CUTOFF
            sql = f"case when j.cutoff then {literal(code.value)} end"
            found.append(Defect(frozenset({code}), sql, entity.cutoff.column, inner))
        for number, rule in enumerate(entity.columns):
            column = target.column(rule.column)
            if column is not None and (defect := value_defect(number, rule, column, rows, self.know)):
                found.append(defect)
        for number, condition in enumerate(entity.rules):
            inner = {f"rule{number}": rows.condition(f"rule{number}", condition.condition)}
            sql = f"case when not j.rule{number} then {literal(Reason.RULE_FAILED.value)} end"
            found.append(Defect(frozenset({Reason.RULE_FAILED}), sql, None, inner))
        return _unmerged(entity, found) if entity.merge else found

    def _reference(self, number: int, rows: Rows, paths: Paths) -> Defect:
        reference, name = rows.entity.references[number], f"r{number}"
        if any(route.there for route in reference.routes):
            codes = frozenset(_possible(reference, True)) - reference.missing
            return Defect(codes, None, reference.column, why="the rows to which it leads are in the target")
        column = self.know.target.tables[rows.entity.target].column(reference.column)
        nullable = column is not None and not column.not_null
        wanted = CODE | ({"hop", "plain"} if nullable else set()) | self._followed(rows.entity, number)
        answer = paths.answer(number, reference, rows, wanted)
        allowed = _listed(reference.missing)
        fine = [f"j.{name}_code in ({allowed})"] if allowed else []
        if nullable:
            fine.append(f"(j.{name}_code = 'null_reference' and j.{name}_hop = 1 and j.{name}_plain)")
        sql = f"case when {' or '.join(fine)} then null else j.{name}_code end" if fine else f"j.{name}_code"
        inner = {f"{name}_{field}": answer.fields[field] for field in sorted(wanted)}
        codes = frozenset(_possible(reference, paths.fate is not None)) - reference.missing
        return Defect(codes, sql, reference.column, inner, answer.joins)

    def _each(self, number: int, rows: Rows, paths: Paths) -> list[Defect]:
        """A reference in each element of a column: a row may have several defects there, one for each code."""
        entity, reference, name = rows.entity, rows.entity.references[number], f"r{number}"
        assert reference.each is not None
        faults = {code: mark for mark, code in FAULTS.items()}
        codes = [*_possible(reference, paths.fate is not None), *faults]
        if any(route.there for route in reference.routes):
            untold = frozenset(codes) - reference.missing
            return [Defect(untold, None, reference.column, why="what an element leads to the source does not know")]
        elements = Rows(element_entity(entity, reference, self.know.source), self.know.source)
        k, element = (elements.read(n, ident(n)) for n in ("rowcall_k", ELEMENT))
        answer = paths.answer(number, replace(reference, each=None), elements)
        strange = literal(Reason.NOT_CONVERTIBLE.value)
        inner = f"{k} as k, case when {element} is null then {strange} else {answer.fields['code']} end as code"
        joins = "".join(f"\n  {join}" for join in answer.joins)
        led = f"select distinct {inner} from {elements.sql(inner + joins)}{joins}"
        table = self._add(f"{entity.name} {reference.column} elements{paths.version}", led)
        column = self.know.target.tables[entity.target].column(reference.column)
        whole = rows.read(f"x {reference.each.column}", f"{ident(reference.each.column)} is null")
        broken = fault(reference.each, ident(reference.each.column))
        wrong = rows.read(f"fault {reference.each.column}", broken) if broken else ""
        found = []
        for code in (c for c in codes if c not in reference.missing):
            is_code, at = literal(code.value), f"{name}_{code.value}"
            has = f"u{at}.k is not null"
            if code is Reason.NULL_REFERENCE and column is not None and column.not_null:
                has = f"({has} or {whole})"
            if code in faults and wrong:
                has = f"({has} or {wrong} = {literal(faults[code])})"
            join = f"left join (select k from {table} where code = {is_code}) u{at} on u{at}.k = e.k::text"
            found.append(
                Defect(frozenset({code}), f"case when j.{at} then {is_code} end", reference.column, {at: has}, (join,))
            )
        if reference.each.kind == KEYS:
            why = "whether two keys become one only the run knows"
            found.append(Defect(frozenset({Reason.DUPLICATE_KEY}), None, reference.column, why=why))
        return found

    def _followed(self, entity: Entity, number: int) -> set[str]:
        """What else must be known of a reference: whom it names, where rows of a group fall together or must be unique."""
        judge = self.plan.judge(entity.name)
        reference = entity.references[number]
        unique = reference.merges or any(reference.column in u.columns for u in judge.uniques)
        return {"entity", "parent"} if unique or any(g.name == f"r{number}" for g in judge.group_references) else set()

    def _with_uniqueness(self, rows: Rows, defects: Sequence[Defect]) -> list[Defect]:
        uniqueness = Uniqueness(self.plan, rows)
        if not uniqueness.uniques:
            return list(defects)
        if why := uniqueness.untold():
            return [*defects, Defect(frozenset({Reason.DUPLICATE_KEY}), None, None, why=why)]
        others = self._told(rows.entity, defects)
        own = Rows(rows.entity, self.know.source)
        own.reads |= rows.reads
        judged = self._judged(own, [*others, Defect(frozenset(), None, None, uniqueness.inner(own))])
        sound = " and ".join(f"({d.sql}) is null" for d in others) or "true"
        name = self._add(f"{rows.entity.name} duplicates", uniqueness.later_ones(judged, f"not j.excluded and {sound}"))
        code = Reason.DUPLICATE_KEY
        sql = f"case when j.duplicate is not null then {literal(code.value)} end"
        joins = (f"left join {name} u on u.k = e.k",)
        return [*defects, Defect(frozenset({code}), sql, None, {"duplicate": "u.k"}, joins)]

    def _told(self, entity: Entity, defects: Sequence[Defect], upto: Reason | None = None) -> list[Defect]:
        """The defects that the source can tell. Raises Untold where rows have one of the others (of a code that matters)."""
        for defect in defects:
            for code in defect.codes if defect.sql is None else ():
                if upto is None or code.order <= upto.order:
                    self._need(entity, code.value, defect.column, defect.why)
        return [defect for defect in defects if defect.sql is not None]

    def _need(self, entity: Entity, code: str, column: str | None, why: str) -> None:
        """Raises Untold where the entity has rows that were rejected so."""
        if any(e == entity.name and c == code and column in (None, at) for e, c, at in self.known):
            where = f"{entity.name}.{column}" if column else entity.name
            raise Untold(f"{where}, {code}: {why}")


def _unmerged(entity: Entity, defects: Sequence[Defect]) -> list[Defect]:
    """The defects, where a row for which another stands has none but that it does not find it."""
    first, *others = defects
    if first.sql is None:
        return [first, *(replace(d, sql=None, why=first.why) for d in others)]
    alone = f"not coalesce({another(entity, 'entity')}, false)"
    told = [replace(first, sql=lonely(entity, "entity", first.sql))]
    for d in others:
        sql = d.sql and f"case when {alone} then {d.sql} end"
        told.append(replace(d, sql=sql, inner=d.inner | first.inner, joins=(*first.joins, *d.joins)))
    return told


def _possible(reference: Reference, with_fates: bool) -> Iterable[Reason]:
    """The codes that a reference may end with."""
    hops = [hop for route in reference.routes for hop in route.path]
    yield from (Reason.NULL_REFERENCE, Reason.AMBIGUOUS_REFERENCE, Reason.DANGLING_REFERENCE)
    if reference.sentinels:
        yield Reason.SENTINEL_REFERENCE
    if reference.type_column is not None:
        yield Reason.UNKNOWN_TYPE
    if any(hop.climb for hop in hops):
        yield Reason.CYCLIC_PATH
    if with_fates:
        yield from (Reason.PARENT_EXCLUDED, Reason.PARENT_QUARANTINED)


def _listed(codes: Iterable[Reason]) -> str:
    return ", ".join(literal(code.value) for code in sorted(codes, key=lambda code: code.order))
