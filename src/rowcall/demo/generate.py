"""The demo's legacy database: made by the SQL of legacy/, the same rows for the same (scale, seed).

The answer sheet comes from the planting list: the generator chooses the rows that it spoils, and the engine is never
asked.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Protocol

from rowcall.errors import UsageError

Keys = dict[str, dict[str, list[int]]]  # entity -> cause or other name -> sorted keys

SCALES = ("small", "seed", "full")
DEFAULT_SEED = 42
ENTITIES = (
    "profiles", "patient_profiles", "doctors", "technicians", "offices", "patients", "orders", "cases", "case_messages",
    "case_states", "case_files", "operations", "role_permissions", "purchases", "message_attachments", "system_messages",
)  # fmt: skip


class Connection(Protocol):
    """The little of postgres.connect.Session that is used here (one that may write, so not of the side "source").

    It must be the same session from generate() to facts(), which remembers the planting list in temporary tables.
    """

    def execute(self, sql: str, /) -> object: ...

    def rows(self, sql: str, /) -> list[tuple[Any, ...]]: ...


def generate(conn: Connection, scale: str = "seed", seed: int = DEFAULT_SEED) -> Keys:
    """Fill an empty database; return what must be quarantined: entity -> cause -> sorted keys, for every entity.

    Leaves committing to the caller. Raises UsageError for an unknown scale or a seed that is no 64-bit integer.
    """
    _settle(conn, scale, seed)
    for script in sorted(files(__package__).joinpath("legacy").iterdir(), key=lambda path: path.name):
        if script.name.endswith(".sql"):
            conn.execute(script.read_text("utf-8"))
    sheet: Keys = {entity: {} for entity in ENTITIES}
    query = "select entity, cause, array_agg(key order by key) from answers group by 1, 2 order by 1, 2"
    for entity, cause, keys in conn.rows(query):
        sheet[entity][cause] = keys
    return sheet


def facts(conn: Connection) -> dict[str, Any]:
    """What else was known when planting, right after generate() in the same session.

    {"scale", "seed", "kinds": entity -> kind of damage -> rows, "excluded": entity -> rule -> keys,
    "recoverable": entity -> remedy -> keys, "evidence": entity -> never_existed or was_deleted -> keys that dangle}.
    """
    [(scale, seed)] = conn.rows("select current_setting('demo.scale'), current_setting('demo.seed')::bigint")
    told: dict[str, Any] = {"scale": scale, "seed": seed}
    told |= {"kinds": {}, "excluded": {}, "recoverable": {}, "evidence": {}}
    for entity, kind, rows in conn.rows("select entity, kind, count(*) from answers group by 1, 2 order by 1, 2"):
        told["kinds"].setdefault(entity, {})[kind] = rows
    query = "select fact, entity, name, array_agg(key order by key) from facts group by 1, 2, 3 order by 1, 2, 3"
    for fact, entity, name, keys in conn.rows(query):
        told[fact].setdefault(entity, {})[name] = keys
    return told


def _settle(conn: Connection, scale: str, seed: int) -> None:
    """Give the scripts their two settings, in a session without leftovers of an earlier generation."""
    if scale not in SCALES:
        raise UsageError(f"there is no scale {scale!r}", hint=f"choose one of {', '.join(SCALES)}")
    if not -(2**63) <= seed < 2**63:
        raise UsageError("the seed is no 64-bit integer", hint="choose a smaller number")
    conn.execute("discard temp")
    conn.execute(f"select set_config('demo.scale', '{scale}', false), set_config('demo.seed', '{seed}', false)")
