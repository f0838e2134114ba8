"""The demo's legacy data, corrupted by hand before the run, in ways that the demo does not plant: each shows under its code and
with its root.

What must come of it is told twice without the engine: by a query of each corruption's own, on the corrupted source, and by an
oracle over all rows (oracle.py), which knows what happens where two of them meet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from rowcall.demo.build import build
from rowcall.migration import Migration
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers

from .oracle import Oracle, Row

# Teams and their members need each other, which nothing in the demo does.
TEAMS_SOURCE = """
create table dispatch_team (id int primary key, office_id int not null, lead_id int not null, name text not null);
create table dispatch_member (id int primary key, team_id int not null, user_id int not null);
"""
TEAMS_TARGET = """
create table teams (id uuid primary key, office_id uuid not null references offices, lead_id uuid not null, name text not null);
create table members (id uuid primary key, team_id uuid not null references teams, user_id uuid not null references profiles);
alter table teams add foreign key (lead_id) references members;
"""
TEAMS_MAPPING = """
  teams:
    from: dispatch_team
    columns: {name: name}
    references:
      office_id: {to: offices, path: office_id}
      lead_id: {to: members, path: lead_id}
  members:
    from: dispatch_member
    references:
      team_id: {to: teams, path: team_id}
      user_id: {to: profiles, path: user_id}
"""
JSON = {
    '{"a": 1': "malformed_json",
    '{"a": 1,}': "malformed_json",
    "{a: 1}": "malformed_json",
    '{"a": undefined}': "malformed_json",
    "<context/>": "malformed_json",
    '{"a": 01}': "malformed_json",
    '{"a": "one\ttwo"}': "malformed_json",
    '{"a\\u0000b": 1}': "unstorable_text",
}
SOUND_ORDERS = """
select o.id from dispatch_instruction o
join dispatch_patient p on p.id = o.patient_id join dispatch_case c on c.instruction_id = o.id
where o.office_id <> {office} and p.office_id <> {office} and o.created_by_id not in ({users}) and o.id not in ({used})
"""


@dataclass
class Damage:
    """What is being spoilt. `expected`: name -> SELECT entity, key, code, root_entity, root_key, asked when all is done."""

    source: Session
    dice: Random
    office: int = 0
    users: list[int] = field(default_factory=list)  # who does not migrate
    used: list[int] = field(default_factory=lambda: [0])  # orders that a corruption has to itself
    expected: dict[str, str] = field(default_factory=dict)

    def pick(self, sql: str) -> int:
        """One of the keys that a query names, by chance."""
        return int(self.dice.choice(sorted(key for (key,) in self.source.rows(sql))))

    def pick_order(self, more: str = "") -> int:
        """A sound order that no other corruption is about."""
        listed = SOUND_ORDERS.format(office=self.office, users=self._users, used=", ".join(map(str, self.used)))
        order = self.pick(listed + more)
        self.used.append(order)
        return order

    @property
    def _users(self) -> str:
        return ", ".join(map(str, self.users))

    def do(self, sql: str) -> None:
        self.source.execute(sql)


def own(entity: str, table: str, code: str, condition: str) -> str:
    """Rows with a defect of their own."""
    return f"select '{entity}', id::text, '{code}', '{entity}', id::text from {table} where {condition}"


def victims(entity: str, table: str, root: str, key: str, condition: str) -> str:
    return (
        f"select '{entity}', t.id::text, 'parent_quarantined', '{root}', ({key})::text from {table} t where {condition}"
    )


# -- the corruptions ----------------------------------------------------------------------------------------------------


def an_author_is_left_out(d: Damage) -> None:
    """A soft-deleted parent: the account becomes a test account."""
    user = d.pick("select created_by_id from dispatch_instruction group by 1 having count(*) between 2 and 6")
    d.do(f"update auth_user set username = 'qa-' || username where id = {user}")
    d.users.append(user)
    d.expected["excluded author"] = "\nunion all ".join(
        own(entity, table, "parent_excluded", f"{column} = {user}")
        for entity, table, column in (
            ("orders", "dispatch_instruction", "created_by_id"), ("case_messages", "dispatch_record", "author_id"),
            ("case_states", "dispatch_case_state", "changed_by_id"), ("operations", "dispatch_operation", "operator_id"),
            ("system_messages", "dispatch_notification", "recipient_id"),
        )
    )  # fmt: skip
    orders = f"(select id from dispatch_instruction where created_by_id = {user})"
    d.expected["excluded author's cases"] = victims(
        "cases", "dispatch_case", "orders", "t.instruction_id", f"t.instruction_id in {orders}"
    )


def two_people_share_an_address(d: Damage) -> None:
    """Of the two the lower key keeps it; the orders of the other stay behind."""
    user = d.pick(f"select created_by_id from dispatch_instruction where created_by_id not in ({d._users}) group by 1 "
                  "having count(*) between 2 and 6")  # fmt: skip
    first = d.pick(f"select id from auth_user where id < {user} and username not like 'qa-%'")
    d.do(f"update auth_user set email = upper((select email from auth_user where id = {first})) where id = {user}")
    d.users.append(user)
    d.expected["shared address"] = own("profiles", "auth_user", "duplicate_key", f"id = {user}")
    d.expected["orders of who lost it"] = victims(
        "orders", "dispatch_instruction", "profiles", "t.created_by_id", f"t.created_by_id = {user}"
    )


def an_office_is_deleted(d: Damage) -> None:
    d.office = d.pick(
        "select office_id from dispatch_instruction group by 1 having count(*) * 3 < (select count(*) from dispatch_instruction)"
    )
    d.do(f"delete from dispatch_office where id = {d.office}")
    d.expected["deleted office"] = "\nunion all ".join(
        own(entity, table, "dangling_reference", f"office_id = {d.office}")
        for entity, table in (
            ("patients", "dispatch_patient"), ("orders", "dispatch_instruction"),
            ("role_permissions", "dispatch_role_permission"), ("purchases", "dispatch_purchase"),
        )
    )  # fmt: skip


def a_patient_is_deleted(d: Damage) -> None:
    """Victims over four tables: the order dangles; its case, that case's messages and their attachments stay behind it."""
    order = d.pick_order("and o.id in (select instruction_id from dispatch_plan)")
    plan = d.pick(f"select id from dispatch_plan where instruction_id = {order}")
    message = d.pick("select id from dispatch_record where content_type_id in (12, 52)")
    d.do(
        f"update dispatch_record set object_id = {plan}, author_id = o.created_by_id "
        f"from dispatch_instruction o where o.id = {order} and dispatch_record.id = {message}"
    )
    attachment = d.pick("select id from dispatch_message_attachment")
    d.do(f"update dispatch_message_attachment set record_id = {message} where id = {attachment}")
    d.do(f"delete from dispatch_patient where id = (select patient_id from dispatch_instruction where id = {order})")
    case = f"(select id from dispatch_case where instruction_id = {order})"
    messages = f"""(select r.id from dispatch_record r join dispatch_plan p on p.id = r.object_id
                    where r.content_type_id in (12, 52) and p.instruction_id = {order})"""
    d.expected["order of a deleted patient"] = own(
        "orders", "dispatch_instruction", "dangling_reference", f"id = {order}"
    )
    d.expected["its case"] = victims("cases", "dispatch_case", "orders", f"{order}", f"t.id = {case}")
    d.expected["its messages"] = victims(
        "case_messages", "dispatch_record", "orders", f"{order}", f"t.id in {messages}"
    )
    d.expected["their attachments"] = victims(
        "message_attachments", "dispatch_message_attachment", "orders", f"{order}", f"t.record_id in {messages}"
    )


def a_content_type_is_renamed(d: Damage) -> None:
    d.do("update django_content_type set model = 'casefile' where app_label = 'dispatch' and model = 'case'")
    type_ = "(select id from django_content_type where model = 'casefile')"
    d.expected["renamed type"] = own("case_messages", "dispatch_record", "unknown_type", f"content_type_id = {type_}")


def a_content_type_has_a_new_id(d: Damage) -> None:
    """Half of its messages go with it; nothing in the mapping says what the old number was."""
    old = d.pick("select id from django_content_type where app_label = 'dispatch' and model = 'instruction'")
    moved = [
        i
        for (i,) in d.source.rows(f"select id from dispatch_record where content_type_id = {old} order by id")
        if d.dice.random() < 0.5
    ]
    d.do(f"update django_content_type set id = 60 where id = {old}")
    d.do(f"update dispatch_record set content_type_id = 60 where id in ({', '.join(map(str, moved))})")
    d.expected["a type's old id"] = own("case_messages", "dispatch_record", "unknown_type", f"content_type_id = {old}")


def a_hierarchy_becomes_a_circle(d: Damage) -> None:
    child = d.pick(
        f"""select p.id from dispatch_plan p join dispatch_plan top on top.id = p.parent_id and top.instruction_id is not null
            where p.instruction_id is null and top.instruction_id not in ({", ".join(map(str, d.used))})
            and exists (select from dispatch_record r where r.object_id in (p.id, top.id) and r.content_type_id in (12, 52))"""
    )
    d.do(f"""update dispatch_plan set instruction_id = null, parent_id = {child}
             where id = (select parent_id from dispatch_plan where id = {child})""")
    d.expected["plans in a circle"] = own(
        "case_messages", "dispatch_record", "cyclic_path",
        f"content_type_id in (12, 52) and object_id in ({child}, (select parent_id from dispatch_plan where id = {child}))",
    )  # fmt: skip


def a_file_of_two_orders(d: Damage) -> None:
    order, other = d.pick_order("and o.id in (select instruction_id from dispatch_file_instruction)"), d.pick_order()
    file = d.pick(f"select file_id from dispatch_file_instruction where instruction_id = {order}")
    d.do(f"insert into dispatch_file_instruction (file_id, instruction_id) values ({file}, {other})")
    attachment = d.pick("select id from dispatch_message_attachment")
    d.do(f"update dispatch_message_attachment set file_id = {file} where id = {attachment}")
    d.expected["file of two orders"] = own("case_files", "dispatch_file", "ambiguous_reference", f"id = {file}")


def a_file_has_no_name(d: Damage) -> None:
    files = f"""select {{}} from dispatch_file_instruction l join dispatch_file f on f.id = l.file_id
                where f.uploaded_by_id is null or f.uploaded_by_id not in ({d._users})"""
    order = d.pick_order(f"and o.id in ({files.format('l.instruction_id')})")
    file = d.pick(f"select id from ({files.format('f.id, l.instruction_id')}) f where instruction_id = {order}")
    d.do(f"update dispatch_file set filename = '' where id = {file}")
    d.expected["nameless file"] = own("case_files", "dispatch_file", "rule_failed", f"id = {file}")


def a_message_is_deleted(d: Damage) -> None:
    message = d.pick("select record_id from dispatch_message_attachment join dispatch_record r on r.id = record_id")
    d.do(f"delete from dispatch_record where id = {message}")
    d.expected["attachments of a deleted message"] = own(
        "message_attachments", "dispatch_message_attachment", "dangling_reference", f"record_id = {message}"
    )


def a_state_is_of_no_case(d: Damage) -> None:
    state = d.pick("select id from dispatch_case_state where case_id > 0 and created_at < '2025-01-01'")
    d.do(f"update dispatch_case_state set case_id = 0 where id = {state}")
    d.expected["sentinel"] = own("case_states", "dispatch_case_state", "sentinel_reference", f"id = {state}")


def an_order_has_a_strange_status(d: Damage) -> None:
    order = d.pick_order()
    d.do(f"update dispatch_instruction set status = 'LOST' where id = {order}")
    d.expected["strange status"] = own("orders", "dispatch_instruction", "not_in_enum", "status = 'LOST'")
    d.expected["its case stays, too"] = victims(
        "cases", "dispatch_case", "orders", f"{order}", f"t.instruction_id = {order}"
    )


def purchases_are_spoilt(d: Damage) -> None:
    """Each of its own order, for no other corruption is to be met."""
    for name, change, code in (
        ("a total in words", "total = 'twelve'", "not_convertible"),
        ("a total with a comma", "total = '12,50'", "not_convertible"),
        ("a total of too many digits", "total = '1.239'", "out_of_range"),
        ("no such day", "delivered_on = '2024-02-30'", "out_of_range"),
    ):
        order = d.pick_order(
            f"and o.id in (select instruction_id from dispatch_purchase where office_id <> {d.office})"
        )
        key = d.pick(f"select id from dispatch_purchase where instruction_id = {order} and office_id <> {d.office}")
        d.do(f"update dispatch_purchase set {change} where id = {key}")
        d.expected[name] = own("purchases", "dispatch_purchase", code, f"id = {key}")


def an_invoice_comes_twice(d: Damage) -> None:
    orders = [
        d.pick_order(f"and o.id in (select instruction_id from dispatch_purchase where office_id <> {d.office})")
        for _ in "ab"
    ]
    one, two = sorted(
        d.pick(f"select id from dispatch_purchase where instruction_id = {order} and office_id <> {d.office}")
        for order in orders
    )
    d.do(
        f"update dispatch_purchase set invoice_no = (select invoice_no from dispatch_purchase where id = {two}) where id = {one}"
    )
    d.expected["second of an invoice"] = own("purchases", "dispatch_purchase", "duplicate_key", f"id = {two}")


def json_is_spoilt(d: Damage) -> None:
    keys = sorted(k for (k,) in d.source.rows(
        f"""select n.id from dispatch_notification n join auth_user u on u.id = n.recipient_id and u.username not like 'qa-%'
            where u.id not in ({d._users}) and pg_input_is_valid(template_context, 'jsonb')"""))  # fmt: skip
    for (text, code), key in zip(JSON.items(), d.dice.sample(keys, len(JSON)), strict=True):
        d.source.rows("update dispatch_notification set template_context = %s where id = %s returning id", [text, key])
        d.expected[f"JSON {text!r}"] = own("system_messages", "dispatch_notification", code, f"id = {key}")


def a_ring_of_teams_is_cut_off(d: Damage) -> None:
    """Teams 1 to 8, each led by a member of another one, in rings of 1, 2, 3 and 2. Of one ring a team's office is gone: nobody in
    it has another way out. The other rings migrate."""
    office = d.pick(f"select id from dispatch_office where id <> {d.office}")
    user = d.pick(f"select id from auth_user where username not like 'qa-%' and id not in ({d._users})")
    leads = {1: 1, 2: 3, 3: 2, 4: 5, 5: 6, 6: 4, 7: 8, 8: 7}  # team -> the team whose member leads it
    teams = ", ".join(f"({team}, {office}, {lead}0, 'team {team}')" for team, lead in leads.items())
    members = ", ".join(f"({team}{n}, {team}, {user})" for team in leads for n in range(2))
    d.do(f"insert into dispatch_team values {teams}; insert into dispatch_member values {members}")
    team = d.dice.choice((2, 3, 4, 5, 6, 7, 8))
    d.do(f"update dispatch_team set office_id = 999999 where id = {team}")
    ring = next(set(r) for r in ((2, 3), (4, 5, 6), (7, 8)) if team in r)
    others = ", ".join(map(str, sorted(ring - {team})))
    d.expected["team without an office"] = own("teams", "dispatch_team", "dangling_reference", f"id = {team}")
    d.expected["the teams of its ring"] = victims("teams", "dispatch_team", "teams", f"{team}", f"t.id in ({others})")
    d.expected["the members of its ring"] = victims(
        "members", "dispatch_member", "teams", f"{team}", f"t.team_id in ({others}, {team})"
    )


CORRUPTIONS: tuple[Callable[[Damage], None], ...] = (
    an_author_is_left_out, two_people_share_an_address, an_office_is_deleted, a_patient_is_deleted, an_order_has_a_strange_status,
    purchases_are_spoilt, an_invoice_comes_twice, a_hierarchy_becomes_a_circle, a_content_type_is_renamed,
    a_content_type_has_a_new_id, a_file_of_two_orders, a_file_has_no_name, a_message_is_deleted, a_state_is_of_no_case,
    json_is_spoilt, a_ring_of_teams_is_cut_off,
)  # fmt: skip


# -- the run ------------------------------------------------------------------------------------------------------------


@dataclass
class Corrupted:
    migration: Migration
    damage: Damage
    source: Session
    target: Session
    answers: set[Row] = field(default_factory=set)

    def ledger(self) -> dict[Row, tuple[str, Row]]:
        """(entity, key) -> (code, root) of every quarantined row."""
        rows = self.target.rows(
            "select s.entity, s.source_key, s.cause, q.root_entity, q.root_key from rowcall.settlements s "
            "join rowcall.quarantine q using (entity, source_key) where s.outcome = 'quarantined'"
        )
        return {(entity, key): (cause, (root_entity, root_key)) for entity, key, cause, root_entity, root_key in rows}


@pytest.fixture(scope="module", params=[7, 42], ids=lambda seed: f"seed {seed}")
def corrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corrupted]:
    """A demo made with --no-run, and corrupted."""
    folder: Path = tmp_path_factory.mktemp("corrupted") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("ROWCALL_SOURCE", "ROWCALL_TARGET"):
            patch.delenv(variable, raising=False)
        build(folder, "small", request.param, lambda _: None)
        servers = EmbeddedServers(folder)
        try:
            with (
                servers.use(),
                connect(servers.dsn("legacy"), "target") as source,
                connect(servers.dsn("target"), "target") as target,
            ):
                file = folder / "rowcall.yaml"
                file.write_text(re.sub(r"error_budget:.*", "", file.read_text("utf-8")) + TEAMS_MAPPING, "utf-8")
                source.execute(TEAMS_SOURCE)
                target.execute(TEAMS_TARGET)
                damage = Damage(source, Random(request.param))
                for corruption in CORRUPTIONS:
                    corruption(damage)
                yield Corrupted(Migration.open(folder), damage, source, target)
        finally:
            servers.remove()


def test_every_corruption_is_found(corrupted: Corrupted) -> None:
    """And nothing else is: the ledger says of every row what the oracle says."""
    corrupted.migration.check()
    result = corrupted.migration.run()
    assert result.complete
    assert result.forecast_matched is True
    assert all(sums.counts.conserved for sums in result.entities)
    assert corrupted.migration.verify().ok
    proofs = {(c.entity, c.code): c.proof for c in corrupted.migration.prove()}
    assert {cause: p for cause, p in proofs.items() if p is None or not p.held} == {}
    found, told = corrupted.ledger(), Oracle(corrupted.source).verdicts
    assert {row: verdict for row, verdict in found.items() if told.get(row) != verdict} == {}
    assert found.keys() == told.keys()


def test_each_shows_under_its_code_with_its_root(corrupted: Corrupted) -> None:
    """All of its rows are quarantined, and as it says, but for those that another one has taken first."""
    found = corrupted.ledger()
    for name, sql in corrupted.damage.expected.items():
        expected = {
            (e, key): (code, (root_entity, root)) for e, key, code, root_entity, root in corrupted.source.rows(sql)
        }
        assert expected, name
        assert expected.keys() <= found.keys(), name
        entities = {entity for entity, _ in expected}
        shown = {row for row, verdict in expected.items() if found[row] == verdict}
        assert {entity for entity, _ in shown} == entities, f"{name}: another code or root"
        assert len(shown) * 2 >= len(expected), f"{name}: hidden behind others"
