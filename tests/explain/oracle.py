"""What must become of the demo's legacy rows, worked out row by row from its tables alone: plain lookups in Python, nothing of the
engine. The mapping's rules are written down here once more, by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowcall.postgres.connect import Session
from rowcall.rows import Reason

Row = tuple[str, str]  # (entity, key)
Fact = tuple[Reason, Row | None]  # a defect, and the root of the parent that keeps the row back
End = tuple[str | None, Reason | None]  # where a way leads: the name that it has for a case, and why it leads nowhere

R = Reason
# Defects of a row's own values, in the order in which the mapping declares the columns.
VALUES = {
    "orders": "dispatch_instruction: kind not in (1, 2, 3, 4) => not_in_enum"
    "; status not in ('NEW', 'REVIEW', 'PRODUCTION', 'SHIPPED', 'DONE', 'CANCELLED') => not_in_enum",
    "case_states": "dispatch_case_state: created_at > '2025-10-18 00:00:00+00' => after_cutoff"
    "; state not in ('NEW', 'REVIEW', 'PRODUCTION', 'SHIPPED', 'DONE', 'HOLD') => not_in_enum",
    "case_files": "dispatch_file: filename = '' => rule_failed",
    "purchases": "dispatch_purchase: not pg_input_is_valid(total, 'numeric') => not_convertible"
    "; case when pg_input_is_valid(total, 'numeric') then abs(total::numeric) >= 1e10 or total::numeric <> round(total::numeric, 2)"
    " end => out_of_range"
    "; delivered_on !~ '^\\d{4}-\\d\\d-\\d\\d$' => not_convertible"
    "; delivered_on ~ '^\\d{4}-\\d\\d-\\d\\d$' and not pg_input_is_valid(delivered_on, 'date') => out_of_range",
    "system_messages": "dispatch_notification: template_context is null => null_in_required"
    "; not pg_input_is_valid(template_context, 'json') => malformed_json"
    "; pg_input_is_valid(template_context, 'json') and not pg_input_is_valid(template_context, 'jsonb') => unstorable_text"
    "; channel not in ('email', 'push', 'sms', 'inapp') => not_in_enum",
}  # fmt: skip


@dataclass
class Oracle:
    """`verdicts`: (entity, key) -> (code, root) of every row that cannot migrate."""

    source: Session
    excluded: set[Row] = field(default_factory=set)
    known: dict[str, set[int]] = field(default_factory=dict)
    verdicts: dict[Row, tuple[str, Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {entity: self._values(told) for entity, told in VALUES.items()}
        self.people()
        self.orders()
        self.teams()
        self.case_of = dict(self.rows("select instruction_id, id from dispatch_case where instruction_id is not null"))
        self.order_ids = {i for (i,) in self.rows("select id from dispatch_instruction")}
        self.plans = {
            i: (up, order) for i, up, order in self.rows("select id, parent_id, instruction_id from dispatch_plan")
        }
        self.messages()
        self.files()
        self.others()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.source.rows(sql)

    def _values(self, told: str) -> dict[int, list[Fact]]:
        table, _, listed = told.partition(": ")
        found: dict[int, list[Fact]] = defaultdict(list)
        for one in listed.split("; "):
            condition, _, code = one.partition(" => ")
            for (key,) in self.rows(f"select id from {table} where {condition}"):
                found[key].append((Reason(code), None))
        return found

    # -- one row ----------------------------------------------------------------------------------------------------

    def judge(self, entity: str, key: int, facts: Iterable[Fact | None]) -> None:
        """The first in the contract's order is the cause; who has a defect of its own is its own root."""
        self.known.setdefault(entity, set()).add(key)
        found = sorted([f for f in facts if f] + self.values.get(entity, {}).get(key, []), key=lambda f: f[0].order)
        if found:
            own = any(code != R.PARENT_QUARANTINED for code, _ in found)
            root = (entity, str(key)) if own else found[0][1]
            assert root is not None
            self.verdicts[entity, str(key)] = (found[0][0].value, root)

    def parent(self, entity: str, key: int | None, *, required: bool = True) -> Fact | None:
        """What the parent's fate makes of its child."""
        row = (entity, str(key))
        if key is None:
            return (R.NULL_REFERENCE, None) if required else None
        if row in self.excluded:
            return R.PARENT_EXCLUDED, None
        if key not in self.known[entity]:
            return R.DANGLING_REFERENCE, None
        return (R.PARENT_QUARANTINED, self.verdicts[row][1]) if row in self.verdicts else None

    def duplicates(self, entity: str, rows: Sequence[tuple[int, Any]]) -> None:
        """Of the rows that would migrate, the lowest key keeps the value."""
        taken: set[Any] = set()
        for key, value in sorted(rows):
            if (entity, str(key)) not in self.verdicts | dict.fromkeys(self.excluded):
                if value in taken:
                    self.judge(entity, key, [(R.DUPLICATE_KEY, None)])
                taken.add(value)

    # -- entity by entity -------------------------------------------------------------------------------------------

    def people(self) -> None:
        self.known["profiles"] = {i for (i,) in self.rows("select id from auth_user")}
        self.excluded = {
            ("profiles", str(i)) for (i,) in self.rows("select id from auth_user where username like 'qa-%'")
        }
        self.duplicates("profiles", self.rows("select id, lower(email) from auth_user"))
        for entity in ("doctors", "technicians"):
            sql = f"""select u.id from auth_user u
                join auth_user_groups m on m.user_id = u.id join auth_group g on g.id = m.group_id
                where g.name = '{entity}' and u.username not like 'qa-%'"""
            for (user,) in self.rows(sql):
                self.judge(entity, user, [self.parent("profiles", user)])
        self.known["offices"] = {i for (i,) in self.rows("select id from dispatch_office")}

    def orders(self) -> None:
        self.known |= {"patients": set(), "orders": set(), "cases": set()}
        for key, office in self.rows("select id, office_id from dispatch_patient"):
            self.judge("patients", key, [self.parent("offices", office)])
        sql = "select id, patient_id, office_id, created_by_id from dispatch_instruction"
        for key, patient, office, user in self.rows(sql):
            facts = [self.parent("patients", patient), self.parent("offices", office), self.parent("profiles", user)]
            self.judge("orders", key, facts)
        for key, order, patient in self.rows("select id, instruction_id, patient_id from dispatch_case"):
            facts = [self.parent("orders", order, required=False), self.parent("patients", patient, required=False)]
            self.judge("cases", key, facts)

    def teams(self) -> None:
        """Teams and members need each other: whoever is not sound falls, and takes along who needs it, to the end. One lost row at
        a time stands behind another here, so that there is one root to tell."""
        teams = {i: (office, lead) for i, office, lead in self.rows("select id, office_id, lead_id from dispatch_team")}
        members = {i: (team, user) for i, team, user in self.rows("select id, team_id, user_id from dispatch_member")}
        self.known |= {"teams": set(teams), "members": set(members)}
        for key, (office, lead) in teams.items():
            missing = (R.DANGLING_REFERENCE, None) if lead not in members else None
            self.judge("teams", key, [self.parent("offices", office), missing])
        for key, (team, user) in members.items():
            missing = (R.DANGLING_REFERENCE, None) if team not in teams else None
            self.judge("members", key, [missing, self.parent("profiles", user)])
        before = -1
        while before < len(self.verdicts):
            before = len(self.verdicts)
            for key, (_, lead) in teams.items():
                if ("teams", str(key)) not in self.verdicts:
                    self.judge("teams", key, [self.parent("members", lead)])
            for key, (team, _) in members.items():
                if ("members", str(key)) not in self.verdicts:
                    self.judge("members", key, [self.parent("teams", team)])

    # -- ways to a case ---------------------------------------------------------------------------------------------

    def by_order(self, order: int | None, hop: int) -> End:
        if order is None:
            return None, R.NULL_REFERENCE
        if order not in self.order_ids:
            return f"?{hop}:{order}", R.DANGLING_REFERENCE
        case = self.case_of.get(order)
        return (None, R.DANGLING_REFERENCE) if case is None else (str(case), None)

    def by_plan(self, plan: int | None, hop: int) -> End:
        """Up to the plan that names the order."""
        if plan not in self.plans:
            return f"?{hop}:{plan}", R.DANGLING_REFERENCE
        seen: set[int | None] = set()
        while self.plans[plan][1] is None:
            seen.add(plan)
            up = self.plans[plan][0]
            if up is None:
                return None, R.NULL_REFERENCE
            if up not in self.plans:
                return f"?{hop + 1}:{up}", R.DANGLING_REFERENCE
            if up in seen:
                return None, R.CYCLIC_PATH
            plan = up
        return self.by_order(self.plans[plan][1], hop + 2)

    def arrived(self, end: End) -> Fact | None:
        name, code = end
        return (code, None) if code else self.parent("cases", int(name or 0))

    def messages(self) -> None:
        types = {
            i: f"{app}.{model}" for i, app, model in self.rows("select id, app_label, model from django_content_type")
        }
        types |= {12: "dispatch.plan"} if 12 not in types else {}
        ways: dict[str, Callable[[int], End]] = {
            "dispatch.plan": lambda i: self.by_plan(i, 1),
            "dispatch.instruction": lambda i: self.by_order(i, 1),
            "dispatch.case": lambda i: (str(i), None),
        }
        for key, type_, thing, user in self.rows(
            "select id, content_type_id, object_id, author_id from dispatch_record"
        ):
            way = ways.get(types.get(type_, ""))
            fact = self.arrived(way(thing)) if way else (R.UNKNOWN_TYPE, None)
            self.judge("case_messages", key, [self.parent("profiles", user), fact])

    def files(self) -> None:
        by_order: dict[int, list[End]] = defaultdict(list)
        by_plan: dict[int, list[End]] = defaultdict(list)
        for file, order in self.rows("select file_id, instruction_id from dispatch_file_instruction"):
            by_order[file].append(self.by_order(order, 2))
        for file, plan in self.rows("select file_id, plan_id from dispatch_file_plan"):
            by_plan[file].append(self.by_plan(plan, 2))
        for key, user in self.rows("select id, uploaded_by_id from dispatch_file"):
            fact = self.met([by_order[key], by_plan[key]])
            self.judge("case_files", key, [fact, self.parent("profiles", user, required=False)])

    def met(self, ways: Sequence[Sequence[End]]) -> Fact | None:
        """All links of all ways: they must name one case. Where none names one, the first way tells why."""
        named = {end for way in ways for end in way if end[0] is not None}
        if len(named) > 1:
            return R.AMBIGUOUS_REFERENCE, None
        if named:
            return self.arrived(named.pop())
        reasons = {code for _, code in ways[0] if code} or {R.DANGLING_REFERENCE}
        assert len(reasons) == 1
        return reasons.pop(), None

    def others(self) -> None:
        for key, case, user in self.rows("select id, case_id, changed_by_id from dispatch_case_state"):
            fact = (R.SENTINEL_REFERENCE, None) if case == 0 else self.parent("cases", case)
            self.judge("case_states", key, [fact, self.parent("profiles", user, required=False)])
        for key, message, file in self.rows("select id, record_id, file_id from dispatch_message_attachment"):
            self.judge(
                "message_attachments", key, [self.parent("case_messages", message), self.parent("case_files", file)]
            )
        for key, case, user in self.rows("select id, case_id, operator_id from dispatch_operation"):
            self.judge("operations", key, [self.parent("cases", case), self.parent("profiles", user, required=False)])
        for key, office, user in self.rows("select id, office_id, granted_by_id from dispatch_role_permission"):
            facts = [self.parent("offices", office), self.parent("profiles", user, required=False)]
            self.judge("role_permissions", key, facts)
        for key, order, office in self.rows("select id, instruction_id, office_id from dispatch_purchase"):
            self.judge("purchases", key, [self.parent("orders", order, required=False), self.parent("offices", office)])
        self.duplicates("purchases", self.rows("select id, invoice_no from dispatch_purchase"))
        for key, user in self.rows("select id, recipient_id from dispatch_notification"):
            self.judge("system_messages", key, [self.parent("profiles", user)])
