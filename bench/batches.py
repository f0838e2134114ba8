"""The usual migration script, well written: batches of 1,000 rows, re-keyed in Python, inserted by executemany."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any, NoReturn
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


def main() -> None:
    with psycopg.connect(os.environ["BENCH_SOURCE"]) as source, psycopg.connect(os.environ["BENCH_TARGET"]) as target:
        people = source.execute(READ_PROFILES).fetchall()
        profiles = {row[0]: uuid5(NAMESPACE, f"profiles:{row[0]}") for row in people}
        writer = target.cursor()
        writer.executemany(INSERT_PROFILE, [(profiles[row[0]], *row) for row in people])
        reader = source.cursor("notifications")
        reader.execute(READ)
        while rows := reader.fetchmany(BATCH):
            writer.executemany(INSERT, list(rekeyed(rows, profiles)))
            target.commit()
        target.commit()
    with psycopg.connect(os.environ["BENCH_TARGET"], autocommit=True) as target:
        target.execute("analyze system_messages")


if __name__ == "__main__":
    main()
