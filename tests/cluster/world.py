# ruff: noqa: E501
"""A database with everything that hangs together across chunks, and real clusters of two worker processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from conftest import MakeProject, Project, undisturbed

from rowcall.mapping.model import VARIABLES
from rowcall.postgres.connect import Session, connect

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 300) g;
create table person (id int primary key, email text, boss_id int);
insert into person select g, 'e' || case when g % 97 = 0 then g / 2 else g end, nullif(g / 3, 0) from generate_series(1, {people}) g;
create table card (id int primary key, person_id int);
insert into card select g, g from generate_series(1, {people}) g;
create table label (id int primary key, word text, office_id int);
insert into label select g, 'W' || case when g % 31 = 0 then g / 2 else g end, g % 310 + 1 from generate_series(1, {labels}) g;
create table item (id int primary key, office_id int, card_id int, label_id int, doc text);
insert into item select g, g % 303 + 1, g % ({people} + 20) + 1, g % {labels} + 1,
    case when g % 50 = 0 then '[1,]' else '{{"g": ' || g || '}}' end from generate_series(1, {items}) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table person (id uuid primary key, email text unique, boss_id uuid references person);
create table label (id uuid primary key, word text unique, office_id uuid references office);
create table item (id uuid primary key, office_id uuid not null references office, person_id uuid references person,
                   label_id uuid not null references label, doc jsonb not null check (doc->>'g' <> '777'));
"""
MAPPING = """
office: {from: office, columns: {name: name}}
person: {from: person, columns: {email: email}, references: {boss_id: {to: person, path: boss_id}}}
label: {from: label, columns: {word: {sql: lower(word)}}, references: {office_id: {to: office, path: office_id, missing: null}}}
item:
  from: item
  columns: {doc: {from: doc, convert: jsonb}}
  references:
    office_id: {to: office, path: office_id}
    person_id: {to: person, path: "card_id -> card.id, person_id -> person.id", missing: null}
    label_id: {to: label, path: label_id}
"""
TABLES = {"office": "id", "person": "id", "label": "id", "item": "id"}


def world(make_project: MakeProject, people: int, labels: int, items: int) -> Project:
    project = make_project(SOURCE_SQL.format(people=people, labels=labels, items=items), TARGET_SQL)
    project.write(MAPPING)
    return project


def at_home(make_project: MakeProject, project: Project) -> str:
    """The state that a run without a cluster reaches on the same source."""
    return undisturbed(make_project, project, TARGET_SQL, MAPPING, TABLES)


class Lab:
    """A scheduler and two workers, each a process of its own; who is killed comes back."""

    def __init__(self, folder: Path, threads: int, environment: dict[str, str], words: Sequence[str]) -> None:
        self.file, self.threads, self.words = folder / "scheduler.json", threads, words
        self.environment = {k: v for k, v in os.environ.items() if k not in VARIABLES.values()} | environment
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.02)
        self.workers = [self._worker() for _ in range(2)]

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{what}", "--scheduler-file", str(self.file), *words, *self.words],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.file.parent,
        )  # fmt: skip

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            "worker", "--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--memory-limit", "0",
            "--nthreads", str(self.threads), "--local-directory", str(self.file.parent),
        )  # fmt: skip

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def kill_one(self) -> None:
        place = random.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._worker()

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def killing(there: Lab, project: Project, at: Sequence[int]) -> Iterator[list[int]]:
    """Kills a worker each time the ledger has so many lines. Afterwards the list holds how many it had each time."""
    done: list[int] = []
    over = threading.Event()

    def kill() -> None:
        with connect(project.target_dsn, "target") as session:
            for lines in at:
                while not over.is_set() and (found := _lines(session)) < lines:
                    time.sleep(0.005)
                if over.is_set():
                    return
                time.sleep(random.random() * 0.05)
                there.kill_one()
                done.append(found)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def _lines(session: Session) -> int:
    if not session.value("select to_regclass('rowcall.settlement') is not null"):
        return 0
    return int(session.value("select count(*) from rowcall.settlement"))


def certified(folder: Path) -> dict[str, str]:
    """Settings of Dask's under which everybody bears one new certificate; {} where there is no openssl."""
    if not shutil.which("openssl"):
        return {}
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=lab",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    command = ["openssl", "req", *words, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    roles = ("client", "scheduler", "worker")
    own = {f"{role}.{what}": str(file) for role in roles for what, file in (("key", key), ("cert", certificate))}
    return {f"distributed.comm.tls.{name}": value for name, value in {"ca-file": str(certificate), **own}.items()}


@contextmanager
def lab(project: Project, threads: int = 1, settings: Mapping[str, str] | None = None) -> Iterator[Lab]:
    """Workers that have the project's DSNs in their environment. With Dask's settings for TLS they speak nothing else."""
    dsns = {VARIABLES["source"]: project.source_dsn, VARIABLES["target"]: project.target_dsn}
    variables = {
        f"DASK_{name.replace('.', '__').replace('-', '_').upper()}": value for name, value in (settings or {}).items()
    }
    there = Lab(project.folder, threads, dsns | variables, ["--protocol", "tls"] if settings else [])
    try:
        yield there
    finally:
        there.close()
