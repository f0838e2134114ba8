"""Makes a demo project folder: two embedded servers, the legacy database filled, the target's schema, and the mapping."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowcall.demo.generate import SCALES, Keys, facts, generate
from rowcall.demo.project import TARGET_SQL, mapping_yaml
from rowcall.errors import UsageError
from rowcall.mapping.json_schema import json_schema
from rowcall.mapping.model import VARIABLES
from rowcall.postgres.connect import connect
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.places import Places

SERVERS = {"legacy": 16, "target": 18}
MARKER = Path(".rowcall") / "demo.json"
ANSWERS = "answers.json"
SCHEMA = Path(".rowcall") / "schema.json"  # as the first line of rowcall.yaml has it
Notify = Callable[[str], None]


def build(folder: Path, scale: str, seed: int, notify: Notify) -> None:
    """Raises UsageError where the folder holds anything but an earlier demo, or the scale is not known."""
    if scale not in SCALES:
        raise UsageError(f"there is no scale {scale!r}", hint=f"choose one of {', '.join(SCALES)}")
    if given := [name for name in VARIABLES.values() if os.environ.get(name)]:
        raise UsageError(
            f"{given[0]} is set, and the demo has servers of its own", hint=f"unset {' and '.join(given)} for the demo"
        )
    servers = _clear(folder, notify)
    notify(f"making the demo in {folder} (scale {scale}, seed {seed}) ...")
    # The mark comes first, so that a demo which was interrupted here can be made again.
    (folder / MARKER).parent.mkdir(exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"scale": scale, "seed": seed}) + "\n", encoding="utf-8")
    servers.create(SERVERS)
    with servers.use():
        answers, told = _fill(servers, scale, seed)
        with connect(servers.dsn("target"), "target") as target:
            target.execute(TARGET_SQL)
    _write(folder / ANSWERS, answers)
    _write(folder / "answers-facts.json", told)
    (folder / "rowcall.yaml").write_text(mapping_yaml(seed), encoding="utf-8")
    _write(folder / SCHEMA, json_schema())


def _clear(folder: Path, notify: Notify) -> EmbeddedServers:
    """An empty folder in the demo's place. What an earlier demo left elsewhere goes, too."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name another one")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise UsageError(f"{folder} is not empty and no demo", hint="name an empty or new folder")
    servers = EmbeddedServers(folder, notify)
    servers.remove()
    if folder.is_dir():
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    return servers


def _fill(servers: EmbeddedServers, scale: str, seed: int) -> tuple[Keys, dict[str, Any]]:
    # The side "source" would be read-only: the legacy server is written here, this once.
    with connect(servers.dsn("legacy"), "target") as legacy:
        with legacy.transaction():
            answers = generate(legacy, scale, seed)
        return answers, facts(legacy)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Difference:
    """Keys of one entity and cause that the ledger and the answer sheet do not share."""

    entity: str
    cause: str
    missing: tuple[int, ...]  # on the answer sheet only
    surplus: tuple[int, ...]  # in the ledger only


def compare(folder: Path, places: Places) -> tuple[Difference, ...]:
    """The quarantined keys, by cause, against the answer sheet, key for key."""
    answers: Keys = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))
    expected = {(e, c, k) for e, causes in answers.items() for c, keys in causes.items() for k in keys}
    with places.use("target") as dsns, connect(dsns.target, "target") as target:
        rows = target.rows("select entity, cause, source_key from rowcall.settlements where outcome = 'quarantined'")
    found = {(entity, cause, int(key)) for entity, cause, key in rows}
    spots = sorted({(e, c) for e, c, _ in expected ^ found})
    return tuple(Difference(e, c, _keys(expected - found, e, c), _keys(found - expected, e, c)) for e, c in spots)


def _keys(rows: set[tuple[str, str, int]], entity: str, cause: str) -> tuple[int, ...]:
    return tuple(sorted(k for e, c, k in rows if (e, c) == (entity, cause)))
