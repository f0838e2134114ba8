"""A repair that is killed, or stopped by Ctrl-C, is finished or was never begun; and so is its undo."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from conftest import MakeProject, Project

from .generated import hashes

SOURCE_SQL = """
create table customer (id int primary key, name text);
insert into customer select g, 'c' || g from generate_series(1, 100) g;
create table orders (id int primary key, customer_id int, doc text);
insert into orders select g, case when g <= {rows} then 1000 + g % 500 else g % 100 + 1 end, '{{"g": ' || g || '}}'
    from generate_series(1, {rows} + 2000) g;
create table note (id int primary key, order_id int);
insert into note select g, g from generate_series(1, {rows} / 4) g;
"""
TARGET_SQL = """
create table customer (id uuid primary key, name text not null);
create table orders (id uuid primary key, customer_id uuid not null references customer, doc jsonb);
create table note (id uuid primary key, order_id uuid not null references orders);
"""
MAPPING = """
customer: {from: customer, columns: {name: name}}
orders:
  from: orders
  columns: {doc: {from: doc, convert: jsonb}}
  references: {customer_id: {to: customer, path: customer_id}}
note: {from: note, references: {order_id: {to: orders, path: order_id}}}
"""
ROWS = 6_000  # in quarantine, and a quarter as many victims
TABLES = ("customer", "orders", "note")
APPLY = ("apply", "orders/dangling_reference", "stub_parent", "--follow", "--json")
# What is in the book of the repairs that stand, but for times and numbers of transactions.
BOOK = {
    "repairs": "select entity, code, remedy, rows_chosen, rows_amended, rows_home, rows_created from rowcall.repair "
    "where state = 'applied'",
    "amendments": "select a.entity, source_key, target_column, parent_entity, parent_id from rowcall.amendment a "
    "join rowcall.repair r on r.id = a.repair and r.state = 'applied'",
    "rows": "select p.entity, source_key, target_id, left_for from rowcall.repaired_row p "
    "join rowcall.repair r on r.id = p.repair and r.state = 'applied'",
    "made": "select target_id, for_entity, for_key, for_whom from rowcall.synthetic_row where version is not null",
    "quarantine": "select entity, source_key, payload, rejections, disposition, decided_by, reason from rowcall.quarantine",
}
BUSY = (
    "select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
    "and backend_type = 'client backend'{more})"
)


def state(project: Project) -> dict[str, str]:
    found = hashes(project.target, TABLES)
    for name in ("quarantine", "causes", "synthetic"):  # they hold times, or numbers of transactions
        del found[name]
    for name, sql in BOOK.items():
        of_all = f"select count(*) || md5(coalesce(string_agg(x::text, '|' order by x::text), '')) from ({sql}) x"
        found[f"book: {name}"] = str(project.target.value(of_all))
    return found


@dataclass
class Command:
    """A `rowcall repair ...` under way."""

    project: Project
    words: tuple[str, ...]
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rowcall", "repair", *self.words, "-p", str(self.project.folder)],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def busy(self, more: str = "") -> bool:
        return bool(self.project.target.value(BUSY.format(more=more)))

    def until_it_writes(self) -> float:
        """The moment at which it has begun to."""
        while self.process.poll() is None and not self.busy(" and backend_xid is not null"):
            time.sleep(0.002)
        return time.monotonic()

    def gone(self) -> int:
        """Its exit code, once the servers have noticed, too."""
        if self.process.returncode is None:
            self.process.communicate(timeout=120)
        while self.busy():
            time.sleep(0.02)
        return int(self.process.returncode)


@dataclass
class Lab:
    """A run; its state before a repair and after; how long the repair and its undo write."""

    project: Project
    before: Mapping[str, str]
    after: Mapping[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def finish(self, words: tuple[str, ...]) -> None:
        """Does it, undisturbed."""
        command = Command(self.project, words)
        started = command.until_it_writes()
        assert command.gone() == 0
        self.seconds[words[0]] = time.monotonic() - started

    def standing(self) -> str:
        """The number of the repair that stands; "" where none does."""
        return str(self.project.target.value("select max(id) from rowcall.repair where state = 'applied'") or "")

    def disturb(self, words: tuple[str, ...], number: signal.Signals) -> tuple[int, float, str]:
        """Sends a signal at a random moment while it writes: its exit code, how long it went on, and what it told."""
        command = Command(self.project, words)
        command.until_it_writes()
        time.sleep(random.random() * self.seconds[words[0]] * 0.9)
        command.process.send_signal(number)
        sent = time.monotonic()
        _, told = command.process.communicate(timeout=60)
        seconds = time.monotonic() - sent
        return command.gone(), seconds, told

    def words(self) -> tuple[str, ...]:
        """The command that goes on from here: the repair, or its undo where one stands."""
        standing = self.standing()
        return ("undo", standing) if standing else APPLY

    def kill(self) -> bool:
        """Kills it; whether it was under way. It was not begun then, or else is finished."""
        words = self.words()
        was, becomes = (self.after, self.before) if words[0] == "undo" else (self.before, self.after)
        self.disturb(words, signal.SIGKILL)
        now = state(self.project)
        assert now in (was, becomes), f"{words[0]}: in between by {_differing(now, was)} and {_differing(now, becomes)}"
        return now == was


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def lab(make_project: MakeProject, rows: int) -> Lab:
    project = make_project(SOURCE_SQL.format(rows=rows), TARGET_SQL)
    project.write(MAPPING)
    assert project.run().complete
    there = Lab(project, state(project))
    there.finish(APPLY)
    there.after = state(project)
    assert _differing(there.after, there.before)
    assert project.target.value("select count(*) from customer") == 600
    there.finish(("undo", there.standing()))
    assert state(project) == there.before
    return there


def killed(there: Lab, kills: int) -> None:
    """The repair and its undo are killed so often under way, and go on to their end then."""
    for expected in (there.after, there.before):
        under_way, others = 0, 0
        while under_way < kills:
            if there.kill():
                under_way += 1
            else:  # it was too late
                others += 1
                assert others < 20
                there.finish(there.words())
        there.finish(there.words())
        assert state(there.project) == expected


def test_killed_it_is_finished_or_never_begun(make_project: MakeProject) -> None:
    killed(lab(make_project, ROWS), 1)


def interrupted(there: Lab, was: Mapping[str, str], becomes: Mapping[str, str]) -> None:
    """Ctrl-C while it is under way: all is as it was, and soon. Where it comes too late nobody is told that it did not."""
    for _ in range(8):
        words = there.words()
        code, seconds, told = there.disturb(words, signal.SIGINT)
        now = state(there.project)
        assert code in (0, 130), told
        assert seconds < 2
        if now == was:
            assert code == 130
            return
        assert now == becomes, f"in between: {_differing(now, was)}"
        assert "nothing was changed" not in told
        there.finish(there.words())
    pytest.fail("Ctrl-C was not heeded")


def test_ctrl_c_leaves_all_as_it_was(make_project: MakeProject) -> None:
    there = lab(make_project, ROWS)
    interrupted(there, there.before, there.after)
    there.finish(APPLY)
    assert state(there.project) == there.after
    interrupted(there, there.after, there.before)
    there.finish(there.words())
    assert state(there.project) == there.before


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_soak_killed_forty_times(make_project: MakeProject) -> None:
    there = lab(make_project, 40_000)
    killed(there, 20)
    for _ in range(10):
        interrupted(there, there.before, there.after)
    assert there.project.migration.verify().ok
