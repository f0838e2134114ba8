"""Quoting for SQL text that is compiled without a connection.

Postgres (with standard_conforming_strings on, which every rowcall session sets) and DuckDB share the standard's lexical
rules: an identifier's double quotes and a literal's single quotes are doubled, nothing else is special. A test holds both
functions against the servers' own quote_ident() and quote_literal().
"""

from __future__ import annotations

import re
from hashlib import sha256


def ident(*parts: str) -> str:
    """A quoted, possibly qualified identifier: ident("public", "a b") -> "public"."a b"."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def qualified(name: str) -> str:
    """A quoted table name from "schema.table"."""
    return ident(*name.split(".", 1))


def literal(value: str | int | None) -> str:
    """A quoted literal; None is NULL, integers stand as they are."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def label(text: str) -> str:
    """A name of ours for something of the user's, kept apart by DuckDB (which folds case) and by Postgres (which cuts names
    at 63 bytes): plain short ones as they are, others with a hash behind `~`, which no plain one has."""
    if re.fullmatch(r"[a-z0-9_ .]{1,50}", text):
        return text
    return f"{re.sub('[^a-z0-9_ .]+', '_', text.lower())[:40]}~{sha256(text.encode()).hexdigest()[:12]}"
