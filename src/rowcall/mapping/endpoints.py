"""Where a server is: one of env, service, dsn, embedded; and what must not stand in a dsn."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from rowcall.mapping.document import EndpointShape
from rowcall.mapping.model import Endpoint
from rowcall.mapping.words import too_long

KINDS = ("env", "service", "dsn", "embedded")
POOLER = "6543"  # Supabase's transaction pooler: it has no sessions, so no snapshots to share
_PAIR = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s']*)\s*")


def endpoint(shape: EndpointShape) -> tuple[Endpoint | None, list[tuple[str, str]]]:
    """The endpoint, or None; and (key, message) of each fault. No message quotes a dsn: it might hold a password."""
    given = [(kind, value) for kind in KINDS if (value := getattr(shape, kind)) is not None]
    if len(given) != 1:
        return None, [("", f"says {'nothing' if not given else 'more than one thing'} about where the server is: "
                           f"write exactly one of {', '.join(KINDS)}")]  # fmt: skip
    kind, value = given[0]
    faults = [(kind, message) for message in _CHECKS[kind](value)]
    if wrong := too_long(shape.schema_):
        faults.append(("schema", wrong))
    return (None if faults else Endpoint(kind, value, shape.schema_)), faults


def _dsn(text: str) -> list[str]:
    fields = _fields(text)
    if fields is None:
        return ['cannot be read as a dsn: write "host=... port=... user=... dbname=..." or a postgresql:// address']
    faults = []
    if "password" in fields:
        faults.append("a project file holds no password: leave it out and use `env: VARIABLE`, ~/.pgpass or PGPASSWORD")
    if POOLER in fields.get("port", "").split(","):
        faults.append("port 6543 is a transaction pooler, where no snapshot lives: write 5432 (direct or session)")
    return faults


def _fields(text: str) -> dict[str, str] | None:
    """The fields of a libpq connection string, in either form; None if it is neither."""
    if not re.match(r"postgres(ql)?://", text):
        whole = text.strip() and not _PAIR.sub("", text).strip()
        return {key.lower(): value.strip("'") for key, value in _PAIR.findall(text)} if whole else None
    try:
        url = urlsplit(text)
        query = {key: ",".join(values) for key, values in parse_qs(url.query, keep_blank_values=True).items()}
    except ValueError:
        return None
    user, _, hosts = url.netloc.rpartition("@")
    ports = re.findall(r":(\d+)(?:,|$)", hosts)
    password = {"password": ""} if ":" in user else {}
    return {"port": ",".join(ports)} | query | password


def _variable(text: str) -> list[str]:
    if re.fullmatch(r"[^\W\d]\w*", text):
        return []
    return ["takes the name of a variable that holds the dsn: write such as `env: SOURCE_DSN`"]


def _service(text: str) -> list[str]:
    return [] if re.fullmatch(r"[\w.-]+", text) else ["takes the name of a section of pg_service.conf: write one word"]


def _embedded(text: str) -> list[str]:
    if re.fullmatch(r"[^\W\d][\w-]*", text):
        return []
    return ["names a server of the project folder: write letters, digits, `_` and `-` only, such as `embedded: legacy`"]


_CHECKS = {"env": _variable, "service": _service, "dsn": _dsn, "embedded": _embedded}
