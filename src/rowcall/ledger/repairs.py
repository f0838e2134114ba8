"""The book of repairs: who did what with which quarantined rows, what was there before, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rowcall.ledger.book import partition
from rowcall.mapping.model import MERGED
from rowcall.postgres.connect import Session
from rowcall.postgres.queries import named_queries
from rowcall.rows import Amendment, Disposition, Reason

VALUES = frozenset({"map", "value", "values", "create"})  # settings that may hold rows' data
UNDECIDED = (Disposition.OPEN.value, Disposition.DEFERRED.value)  # what a repair may take up


@dataclass(frozen=True)
class RepairRecord:
    """One use of a remedy. `chosen`: rows of the cause; `amended`: those that it had something for; `home`: rows of any entity
    that it brought home (or, of a decision, decided about); `created`: synthetic rows."""

    id: int
    entity: str
    code: str
    remedy: str
    settings: dict[str, Any]
    state: str
    origin: str
    actor: str
    reason: str
    mapping_fingerprint: str
    applied_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_reason: str | None
    purged_at: datetime | None
    chosen: int
    amended: int
    home: int
    created: int

    def as_json(self) -> dict[str, Any]:
        told = {**vars(self), "settings": without_values(self.settings)}
        return {**told, **{name: _time(getattr(self, name)) for name in ("applied_at", "undone_at", "purged_at")}}


def without_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may be shown: what a remedy maps, sets or fills columns with may be rows' own data."""
    return {name: "(not shown)" if name in VALUES and value else value for name, value in settings.items()}


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


@dataclass(frozen=True)
class Quarantined:
    """A quarantined row as remedies see it. All of it is the row's own data: no log, no repr."""

    key: str
    rejections: tuple[dict[str, Any], ...]
    payload: Mapping[str, str | None] | None

    def __repr__(self) -> str:
        return f"Quarantined({len(self.rejections)} rejections)"


@dataclass(frozen=True)
class Treatment:
    """What one repair did with one row: whether the row came home, or for what it was left; and what was put into which column."""

    repair: int
    remedy: str
    state: str
    actor: str
    at: datetime
    reason: str
    home: bool
    left_for: str | None
    column: str | None
    given: str | None

    def __repr__(self) -> str:
        return f"Treatment({self.repair}, {self.remedy})"


@dataclass(frozen=True)
class Decision:
    """Quarantined rows of one cause about which the same was decided; `at`: the last time."""

    entity: str
    code: str
    disposition: str
    by: str | None
    reason: str
    at: datetime | None
    rows: int

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "at": _time(self.at)}


@dataclass(frozen=True)
class Purge:
    """A purge of the quarantine: when, by whom, why, and how many payloads went."""

    at: datetime
    by: str
    reason: str
    rows: int

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "at": _time(self.at)}


@dataclass(frozen=True)
class Fate:
    """What a repair did with a row: `target_id` and its xmin where it came home, else what it was left for. `merged`: it came home
    in the row that stands for it."""

    key: str
    target_id: UUID | None = None
    version: int | None = None
    left_for: str | None = None
    merged: bool = False

    @property
    def is_home(self) -> bool:
        return self.target_id is not None or self.merged

    def __repr__(self) -> str:
        return f"Fate(home={self.is_home}, left_for={self.left_for})"


class RepairBook:
    """Speaks to the ledger over one target session; what changes it belongs into the caller's transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sql = named_queries("rowcall.ledger", "repairs.sql")

    def rows(self, name: str, *params: Any, entity: int | None = None) -> list[tuple[Any, ...]]:
        return self.session.rows(self._named(name, entity), params or None)

    def do(self, name: str, *params: Any, entity: int | None = None) -> int:
        return self.session.execute(self._named(name, entity), params or None)

    def _named(self, name: str, entity: int | None) -> str:
        sql = self._sql[name]
        return sql if entity is None else sql.replace("{lines}", partition(entity))

    # -- looking ----------------------------------------------------------------------------------------------------

    def repairs(self, only: int | None = None) -> list[RepairRecord]:
        return [RepairRecord(*row) for row in self.rows("repairs", only, only)]

    def next_id(self) -> int:
        return int(self.rows("next")[0][0])

    def choose(
        self, entity: int, code: str, *, cause_only: bool = False, among: Sequence[str] = UNDECIDED
    ) -> list[str]:
        """Keys of an entity's rows with this defect, or (`cause_only`) those whose first defect it is, `among` these
        dispositions."""
        told = (code, cause_only, code, cause_only, code)
        return [key for (key,) in self.rows("choose", entity, list(among), *told)]

    def quarantined(self, entity: int, keys: Sequence[str]) -> list[Quarantined]:
        return [Quarantined(key, tuple(told), payload) for key, told, payload in self.rows("rows", entity, list(keys))]

    def columns(self, entity: int, keys: Sequence[str], code: str) -> list[str]:
        """The target columns at which these rows have this defect."""
        return [column for (column,) in self.rows("columns", entity, list(keys), code)]

    def kept_by(self, entity: int, keys: Sequence[str]) -> list[tuple[str, str]]:
        """(entity, key) of the undecided victims that keep these rows back."""
        victim = Reason.PARENT_QUARANTINED.value
        return [(name, key) for _, name, key in self.rows("kept_by", entity, list(keys), list(UNDECIDED), victim)]

    def victims_of(self, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """(entity, key) of the undecided rows that these keep back."""
        entities, keys = [entity for entity, _ in rows], [key for _, key in rows]
        return [(name, key) for _, name, key in self.rows("victims_of", list(UNDECIDED), entities, keys)]

    def made_before(self, table: str, whom: Sequence[str]) -> dict[str, UUID]:
        """For whom -> uuid of the synthetic row that stands for it."""
        return dict(self.rows("made_before", table, list(whom)))

    def amendments(self, entity: int, keys: Sequence[str]) -> list[Amendment]:
        """What the repairs that stand have for these rows."""
        return [Amendment(*row) for row in self.rows("amendments", entity, list(keys))]

    def of_row(self, entity: str, key: str) -> list[Treatment]:
        """What repairs did with one row, those that were undone, too."""
        return [Treatment(*row) for row in self.rows("of_row", entity, key)]

    def decisions(self) -> list[Decision]:
        """What was decided, deferred rows first."""
        return [Decision(*row) for row in self.rows("decisions")]

    def purges(self) -> list[Purge]:
        return [Purge(*row) for row in self.rows("purges")]

    def repaired(self) -> dict[str, int]:
        """Entity -> rows that repairs brought home."""
        return dict(self.rows("repaired"))

    def merged(self) -> dict[str, int]:
        """Entity -> those of them that came home in rows that stand for them."""
        return dict(self.rows("merged_home"))

    # -- writing ----------------------------------------------------------------------------------------------------

    def amend(self, repair: int, entity: int, amendments: Sequence[Amendment]) -> None:
        a = amendments
        kinds = ["parent" if x.is_parent else "value" for x in a]
        self.do(
            "amend", repair, entity, [x.key for x in a], [x.column for x in a], kinds, [x.value for x in a],
            [x.parent_entity for x in a], [x.parent_key for x in a], [x.parent_id for x in a],
        )  # fmt: skip

    def note(self, repair: int, entity: int, fates: Sequence[Fate]) -> None:
        if fates:
            columns = [f.key for f in fates], [f.target_id for f in fates], [f.version for f in fates]
            self.do("note_rows", repair, *columns, [f.left_for for f in fates], entity)

    def settle_home(self, entity: int, fates: Sequence[Fate]) -> None:
        """The lines and sums of rows that came home."""
        keys = [f.key for f in fates]
        self.do("bring_home", keys, [f.target_id for f in fates], entity=entity)
        self.do("home_sums", 1, 1, keys, entity=entity)

    def settle_merged(self, entity: int, merged: Mapping[str, tuple[str, str, UUID]]) -> None:
        """The lines and sums of rows (key -> entity, key and uuid of the row that stands for it) that were merged."""
        keys = list(merged)
        self.do("exclude_late", keys, [MERGED] * len(keys), entity=entity)
        self.do("exclude_sums", keys, entity=entity)
        self.do("merge_late", keys, *([row[n] for row in merged.values()] for n in (0, 1)), entity=entity)

    def dispose(self, entity: int, keys: Sequence[str], disposition: str, actor: str, reason: str | None) -> int:
        if disposition == Disposition.OPEN.value:
            return self.do("reopen", entity, list(keys))
        return self.do("dispose", disposition, actor, reason, entity, list(keys))

    def analyze(self) -> None:
        """Fresh statistics of the book: after a preview, which was taken back, they may say that it is empty."""
        for table in ("amendment", "repaired_row", "synthetic_row"):
            self.session.execute(f"analyze rowcall.{table}")

    def take_back_amendments(self, repair: int, entity: int, keys: Sequence[str]) -> None:
        self.do("take_back_amendments", repair, entity, list(keys))

    def forget(self, repair: int) -> None:
        """Of a repair that did nothing no line is kept."""
        self.do("forget", repair)

    def sums(self, repair: int, chosen: int, amended: int, home: int, created: int) -> None:
        self.do("sums", chosen, amended, home, created, repair)

    def archive(self, repair: int, entity: int, keys: Sequence[str], reason: str) -> None:
        self.do("add_archive", repair, reason, entity, list(keys))

    def purged_among(self, entity: int, keys: Sequence[str]) -> int:
        """How many of these rows have no payload any more."""
        return int(self.rows("purged_among", entity, list(keys))[0][0])

    def add_synthetic(
        self, repair: int, entity: str, table: str, id_column: str, made: Fate, child: tuple[str, str], whom: str
    ) -> None:
        """A row that was made as one of `entity`, for the row `child` (entity, key)."""
        self.do("add_synthetic", repair, entity, table, id_column, made.target_id, *child, whom, made.version)

    def add_xids(self, repair: int, xids: Iterable[int]) -> None:
        self.do("add_xids", sorted(set(xids)), repair)

    def add(
        self, repair: int, entity: int, code: str, remedy: str, settings: Mapping[str, Any], origin: str, actor: str,
        reason: str, fingerprint: str, source_read: str | None,
    ) -> None:  # fmt: skip
        self.do(
            "add", repair, entity, code, remedy, json.dumps(dict(settings), default=str), origin, actor, reason, fingerprint,
            source_read,
        )  # fmt: skip
