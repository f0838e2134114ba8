"""The usual migration script, well written: batches of 1,000 rows, re-keyed in Python, inserted by executemany.

As such scripts do, it notes each row's old and new id in a table `migration_mappings`, which tables that refer to these rows need.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any, LiteralString, NoReturn
from uuid import UUID, uuid5

import psycopg

BATCH = 1000
NAMESPACE = UUID("0f8d3d0a-1d53-4d8c-9d55-0f4a6f9c2b11")
CHANNELS = {"email": "email", "push": "push", "sms": "sms", "inapp": "in_app"}
PRIORITIES = {0: "low", 1: "normal", 2: "high"}
READ_PROFILES = """select id, username, first_name || ' ' || last_name, lower(email), is_staff, is_active, last_login, date_joined
from auth_user where username not like 'qa-%'"""
READ = """select id, recipient_id, template_name, template_context, channel, priority, is_read, created_at, read_at
from dispatch_notification order by id"""
INSERT_PROFILE = "insert into profiles values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
INSERT = "insert into system_messages values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
MAKE_MAPPINGS = """create table migration_mappings (
    entity_type text, legacy_id bigint, entity_uuid uuid not null, primary key (entity_type, legacy_id)
)"""
INSERT_MAPPING = "insert into migration_mappings values (%s, %s, %s)"
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # jsonb cannot hold it
Row = tuple[Any, ...]


def refuse(_constant: str) -> NoReturn:
    raise ValueError


def is_json(text: str | None) -> bool:
    """Whether Postgres would take it as jsonb."""
    try:
        json.loads(text or "", parse_constant=refuse)
    except ValueError:
        return False
    return NUL.search(text or "") is None


def rekeyed(rows: list[Row], profiles: dict[int, UUID]) -> Iterator[Row]:
    for key, recipient, template, context, channel, priority, *rest in rows:
        if recipient in profiles and is_json(context):
            uid = uuid5(NAMESPACE, f"system_messages:{key}")
            yield uid, key, profiles[recipient], template, context, CHANNELS[channel], PRIORITIES[priority], *rest


def write(writer: psycopg.Cursor[Any], entity: str, insert: LiteralString, rows: list[Row]) -> None:
    writer.executemany(insert, rows)
    writer.executemany(INSERT_MAPPING, [(entity, key, uid) for uid, key, *_ in rows])


def main() -> None:
    with psycopg.connect(os.environ["BENCH_SOURCE"]) as source, psycopg.connect(os.environ["BENCH_TARGET"]) as target:
        people = source.execute(READ_PROFILES).fetchall()
        profiles = {row[0]: uuid5(NAMESPACE, f"profiles:{row[0]}") for row in people}
        writer = target.cursor()
        writer.execute(MAKE_MAPPINGS)
        write(writer, "profiles", INSERT_PROFILE, [(profiles[row[0]], *row) for row in people])
        reader = source.cursor("notifications")
        reader.execute(READ)
        while rows := reader.fetchmany(BATCH):
            write(writer, "system_messages", INSERT, list(rekeyed(rows, profiles)))
            target.commit()
        target.commit()
    with psycopg.connect(os.environ["BENCH_TARGET"], autocommit=True) as target:
        target.execute("analyze system_messages")


if __name__ == "__main__":
    main()
