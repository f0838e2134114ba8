"""Repairs in a forecast: the same work on the rows that a run would quarantine, with nothing written.

What only the target can tell (a CHECK, a trigger, a value that another row has) is not foreseen, as in the forecast itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from rowcall.errors import NothingWaits, UsageError
from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import UNDECIDED, Fate, Quarantined, RepairBook
from rowcall.move.assignment import Assignment
from rowcall.move.gathered import Gathered, Mended
from rowcall.move.mend import Mender
from rowcall.move.stage import Stage
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Worker
from rowcall.plan.judge import Judge, duplicates_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.read import Reader
from rowcall.repair.effect import Effect, Request
from rowcall.repair.planned import failed
from rowcall.repair.remedy import Remedy
from rowcall.repair.repairer import Repairer
from rowcall.repair.ways import Ways
from rowcall.rows import Amendment, Disposition, Reason
from rowcall.sql import literal

VICTIM = Reason.PARENT_QUARANTINED.value
Row = tuple[int, str]  # entity's number, key


class Rehearsal(Repairer):
    """`rejected`: entity -> tables of verdicts.REJECTED, as a forecast found them; `records` are those that a run would have."""

    def __init__(
        self, plan: Plan, worker: Worker, target: Reader, remedies: Mapping[str, Remedy], ways: Ways,
        records: Mapping[str, EntityRecord], rejected: Mapping[str, Iterable[Any]],
    ) -> None:  # fmt: skip
        self._foreseen = dict(records), rejected
        super().__init__(plan, worker, target, remedies, ways, "", "")

    def _books(self) -> tuple[RepairBook, dict[str, EntityRecord]]:
        records, rejected = self._foreseen
        return cast(RepairBook, RehearsalBook(records, rejected, self._payloads)), records

    def _payloads(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        return self.mender.payloads(entity, keys)

    def _mender(self, target: Reader) -> Mender:
        return Rehearser(self.plan, self.worker, target, self.records)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What a repair did that failed half way is taken back, as in a run."""
        kept, news = self.rows.kept(), {entity: dict(told) for entity, told in self.mender.news.items()}
        try:
            with super().transaction():
                yield
        except UsageError:
            self.rows.take_back(kept)
            self.mender.news = news
            raise

    def settle(self, repair: int, record: EntityRecord, mended: Mended, reason: str | None = None) -> None:
        keys = [fate.key for fate in mended.fates if fate.is_home]
        self.book.dispose(record.id, keys, Disposition.REPAIRED.value, "", None)

    def rehearse(self, requests: Iterable[Request]) -> Rehearsed:
        """What these repairs would come to, one after another."""
        effects = []
        for request in requests:
            try:
                effects.append(self.apply(request))
            except NothingWaits as error:  # no row of the cause waits any more: as in a run
                effects.append(Effect(request, None, request.settings, 0, refused={error.message: 0}))
            except UsageError as error:
                raise failed(request, error, "") from None
        decided = Counter(self.names[entity] for (entity, _), how in self.rows.disposed.items() if how != "open")
        return Rehearsed(tuple(effects), dict(decided))

    @property
    def names(self) -> dict[int, str]:
        return {record.id: name for name, record in self.records.items()}

    @property
    def rows(self) -> RehearsalBook:
        return cast(RehearsalBook, self.book)


@dataclass(frozen=True)
class Rehearsed:
    """`decided`: entity -> rows that would no longer be open."""

    effects: tuple[Effect, ...]
    decided: Mapping[str, int]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "entity": e.request.entity,
                "code": e.request.code,
                "remedy": e.request.remedy,
                "chosen": e.chosen,
                "home": dict(e.home),
                "decided": e.decided,
                "left": dict(e.left),
                "created": e.created,
            }
            for e in self.effects
        ]


class Rehearser(Mender):
    """Judges, and writes nothing; the workspace has the fates and duplicates of the forecast."""

    def place(self, verdicts: Verdicts, gathered: Gathered) -> None:
        gathered.add(verdicts)

    def written(self, work: Assignment, ids: Sequence[UUID]) -> dict[UUID, int]:
        return dict.fromkeys(ids, 0)

    def touched(self, work: Assignment, ids: Sequence[UUID]) -> set[int]:
        return set()

    def changed(self, entity: str, known: Mapping[str, Mapping[str, str | None] | None]) -> set[str]:
        return set()

    def load_fates(self, parents: Iterable[str]) -> None:
        for parent in parents:
            self.overlay(self.plan.judge(parent))

    def forget(self) -> None:
        """What came home stays so for the repairs that follow: there is no ledger that would have it."""

    def need_keys(self, judge: Judge) -> None:
        """The forecast asked."""

    def clear_duplicates(self, judge: Judge) -> None:
        """They stand as the forecast found them, but for rows whose unique values were amended (see `mend`)."""

    def stage(self, step: Step, work: Mapping[str, Assignment]) -> AbstractContextManager[Stage]:
        return _NoStage(step, self.plan, self.worker.session, work)

    def give(self, judge: Judge, amendments: Sequence[Amendment]) -> None:
        unique = {column for u in judge.uniques for column in u.columns}
        if amended := sorted({a.key for a in amendments if a.column in unique}):
            listed = ", ".join(map(literal, amended))
            self.duck.execute(f"delete from {duplicates_table(judge.entity.name)} where k::varchar in ({listed})")
        super().give(judge, amendments)


class _NoStage(Stage):
    """Takes rows nowhere."""

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None: ...

    def take(self, verdicts: Verdicts) -> None: ...

    def flush(self) -> None: ...


class RehearsalBook:
    """The book of repairs (rowcall.ledger.repairs) for rows that are in no ledger: only what a repair asks of it."""

    def __init__(
        self, records: Mapping[str, EntityRecord], rejected: Mapping[str, Iterable[Any]], payloads: Any
    ) -> None:
        self.names = {record.id: record.name for record in records.values()}
        self.numbers = {record.name: record.id for record in records.values()}
        self.payloads = payloads
        self.told: dict[Row, tuple[dict[str, Any], ...]] = {}
        self.disposed: dict[Row, str] = {}
        self.left: dict[Row, str] = {}
        self.given: dict[Row, dict[str, Amendment]] = {}
        self.made: dict[tuple[str, str], UUID] = {}
        self.victims: dict[tuple[str, str], list[Row]] = {}
        for entity, tables in rejected.items():
            for table in tables:
                for key, text in zip(table["key"].to_pylist(), table["rejections"].to_pylist(), strict=True):
                    self._take(self.numbers[entity], key, json.loads(text))

    def _take(self, entity: int, key: str, rejections: list[dict[str, Any]]) -> None:
        self.told[entity, key] = tuple(rejections)
        for told in rejections:
            if told.get("parent_key") is not None:
                self.victims.setdefault((told["parent_entity"], told["parent_key"]), []).append((entity, key))

    def kept(self) -> tuple[Any, ...]:
        """What repairs noted so far, for `take_back`."""
        return (
            dict(self.disposed),
            dict(self.left),
            {row: dict(given) for row, given in self.given.items()},
            dict(self.made),
        )

    def take_back(self, kept: tuple[Any, ...]) -> None:
        self.disposed, self.left, self.given, self.made = kept

    def _undecided(self, row: Row) -> bool:
        return self._is(UNDECIDED, row)

    def _is(self, among: Sequence[str], row: Row) -> bool:
        return row in self.told and self.disposed.get(row, "open") in among

    # -- looking ----------------------------------------------------------------------------------------------------

    def next_id(self) -> int:
        return 0

    def choose(
        self, entity: int, code: str, *, cause_only: bool = False, among: Sequence[str] = UNDECIDED
    ) -> list[str]:
        def fits(row: Row) -> bool:
            codes = [told["code"] for told in self.told[row]]
            return codes[0] == code or (not cause_only and (code in codes or self.left.get(row) == code))

        found = [key for number, key in self.told if number == entity and self._is(among, (entity, key))]
        return sorted((key for key in found if fits((entity, key))), key=lambda key: (len(key), key))

    def quarantined(self, entity: int, keys: Sequence[str]) -> list[Quarantined]:
        found = self.payloads(self.names[entity], keys)
        return [Quarantined(k, self.told[entity, k], json.loads(found[k]) if k in found else None) for k in keys]

    def amendments(self, entity: int, keys: Sequence[str]) -> list[Amendment]:
        return [a for key in keys for a in self.given.get((entity, key), {}).values()]

    def columns(self, entity: int, keys: Sequence[str], code: str) -> list[str]:
        told = (t for key in keys for t in self.told[entity, key] if t["code"] == code)
        return sorted({name for t in told if (name := t["reference"] or t["column"])})

    def kept_by(self, entity: int, keys: Sequence[str]) -> list[tuple[str, str]]:
        named = {(t.get("parent_entity"), t.get("parent_key")) for key in keys for t in self.told[entity, key]}
        rows = ((name, key, (self.numbers.get(name or "", 0), key or "")) for name, key in named)
        return [
            (str(name), str(key))
            for name, key, row in rows
            if self._undecided(row) and any(t["code"] == VICTIM for t in self.told[row])
        ]

    def victims_of(self, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        found = dict.fromkeys(victim for row in rows for victim in self.victims.get(row, ()))
        return [(self.names[entity], key) for entity, key in found if self._undecided((entity, key))]

    def made_before(self, table: str, whom: Sequence[str]) -> dict[str, UUID]:
        return {text: self.made[table, text] for text in whom if (table, text) in self.made}

    # -- what would be written --------------------------------------------------------------------------------------

    def amend(self, repair: int, entity: int, amendments: Sequence[Amendment]) -> None:
        for a in amendments:
            self.given.setdefault((entity, a.key), {})[a.column] = a

    def note(self, repair: int, entity: int, fates: Sequence[Fate]) -> None:
        self.left |= {(entity, f.key): f.left_for for f in fates if f.left_for}

    def dispose(self, entity: int, keys: Sequence[str], disposition: str, actor: str, reason: str | None) -> int:
        self.disposed |= {(entity, key): disposition for key in keys}
        return len(keys)

    def add_synthetic(
        self, repair: int, entity: str, table: str, id_column: str, made: Fate, child: tuple[str, str], whom: str
    ) -> None:
        if made.target_id is not None:
            self.made[table, whom] = made.target_id

    def purged_among(self, *_: object) -> int:
        return 0

    def add(self, *_: object) -> None: ...

    def sums(self, *_: object) -> None: ...

    def forget(self, *_: object) -> None: ...

    def take_back_amendments(self, repair: int, entity: int, keys: Sequence[str]) -> None:
        for key in keys:
            self.given.pop((entity, key), None)

    def archive(self, *_: object) -> None: ...

    def add_xids(self, *_: object) -> None: ...
