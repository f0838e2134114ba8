"""Any sequence of repairs and undos, over any run: what is foreseen happens, sums close after each, and undoing all leaves target,
ledger and quarantine as they were.

A failure tells its seeds and operations: `over_one_world` with the world's seed does the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from uuid import UUID

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import RepairRefused, UsageError
from rowcall.ledger.repairs import Fate
from rowcall.repair import Effect, Request, find_remedies, undo_repair

from .generated import Chance, Ward, make_sick, ward

OPERATIONS = 36  # of a sequence
Row = tuple[str, str]
SEEN = Counter[str]()  # over all sequences


class Sequence:
    """Random operations over a ward that is left as it was found. `home`: which rows each repair that stands brought home."""

    def __init__(self, ward: Ward, seed: int) -> None:
        self.ward, self.dice = ward, Random(seed)
        self.chance = Chance(ward, self.dice)
        self.told: list[str] = []
        self.home: dict[int, set[Row]] = {}
        self.created: dict[int, int] = {}
        self.before = ward.hashes()
        self.at_first = self._migrated()

    def __call__(self, operations: int) -> None:
        for number in range(operations):
            if self.home and self.dice.random() < 0.5:
                standing = list(self.home)
                self._undo(standing[-1] if self.dice.random() < 0.5 else self.dice.choice(standing))
            elif request := self.chance.request():
                # That chance decides is drawn in any case: a replay draws the same, whatever was seen before.
                self._apply(request, previewed=self.dice.random() < 0.15 or SEEN[f"{request.remedy} as foreseen"] < 2)
            elif self.home:
                self._undo(list(self.home)[-1])
            if number % 7 == 6:
                self._add_up()
        self._add_up()
        if self.dice.random() < 0.2:
            assert self.ward.project.migration.verify().ok
        while self.home:
            assert self._undo(list(self.home)[-1]), "the last repair that stands cannot be undone"
        assert self.ward.hashes() == self.before

    # -- operations -------------------------------------------------------------------------------------------------

    def _apply(self, request: Request, *, previewed: bool) -> None:
        self.told.append(f"apply {request}")
        before = self.ward.hashes()
        foreseen = self._try(request, preview=True) if previewed else None
        assert self.ward.hashes() == before, "a preview changed something"
        effect = self._try(request)
        if previewed:
            assert _row_for_row(foreseen) == _row_for_row(effect)
            SEEN[f"{request.remedy} as foreseen"] += bool(effect and (effect.rows or effect.decided))
        if effect is None:
            assert self.ward.hashes() == before, "a repair that was refused changed something"
            return
        if effect.repair is None:
            assert self.ward.hashes() == before, "a repair that did nothing changed something"
            assert (effect.rows, effect.decided, effect.created) == (0, 0, 0)
            return
        self.told[-1] += f" -> repair {effect.repair}"
        self.home[effect.repair] = {row for row, fate in effect.fates.items() if fate.target_id}
        self.created[effect.repair] = effect.created
        SEEN[request.remedy] += effect.rows + effect.decided
        SEEN["created"] += effect.created
        SEEN["victims"] += request.follow and len({e for e, _ in self.home[effect.repair]}) > 1

    def _try(self, request: Request, *, preview: bool = False) -> Effect | None:
        """None: it is refused."""
        try:
            return self.ward.repairer.preview(request) if preview else self.ward.repairer.apply(request)
        except UsageError as error:
            self.told.append(f"  refused: {error.message}")
            SEEN["refused settings"] += 1
            return None

    def _undo(self, repair: int) -> bool:
        """Whether it was."""
        self.told.append(f"undo {repair}")
        before = self.ward.hashes()
        try:
            undone = undo_repair(self.ward.desk.target, self.ward.schema, repair, "chance", "")
        except RepairRefused as error:
            self.told.append(f"  refused: {error.message}")
            assert self.ward.hashes() == before, "an undo that was refused changed something"
            SEEN["refused undo"] += 1
            return False
        rows = self.home.pop(repair)
        assert undone.rows == Counter(entity for entity, _ in rows)
        assert undone.created == self.created.pop(repair)
        SEEN["undone out of turn"] += any(number > repair for number in self.home)
        return True

    # -- what must hold after each ----------------------------------------------------------------------------------

    def _migrated(self) -> set[Row]:
        sql = "select entity, source_key from rowcall.settlements where outcome = 'migrated'"
        return {(entity, key) for entity, key in self.ward.desk.target.rows(sql)}

    def _add_up(self) -> None:
        """The sums close, and the rows of the target are those of the run, of repairs that stand, and created ones."""
        target = self.ward.desk.target
        home = {row for rows in self.home.values() for row in rows}
        assert sum(map(len, self.home.values())) == len(home), "a row came home twice"
        assert self._migrated() == self.at_first | home
        repaired = "select entity, source_key from rowcall.quarantine where disposition = 'repaired'"
        assert {(e, k) for e, k in target.rows(repaired)} == home
        wrong = target.rows(
            "select c.id from rowcall.chunk c left join (select chunk, count(*) as read, "
            "count(*) filter (where outcome = 'migrated') as m, count(*) filter (where outcome = 'quarantined') as q, "
            "count(*) filter (where outcome = 'excluded') as x from rowcall.settlements group by chunk) s on s.chunk = c.id "
            "where (rows_read, rows_migrated, rows_quarantined, rows_excluded) is distinct from "
            "(coalesce(read, 0), coalesce(m, 0), coalesce(q, 0), coalesce(x, 0))"
        )
        assert not wrong, f"sums of chunks {wrong}"
        strange = target.value(
            "select count(*) from rowcall.settlements s full join rowcall.quarantine q using (entity, source_key) "
            "where case when q.disposition = 'repaired' then s.outcome <> 'migrated' "
            "when q.disposition is not null then s.outcome <> 'quarantined' else s.outcome = 'quarantined' end is not false"
        )
        assert strange == 0, "lines and quarantine say different things"
        assert not self.ward.dangling()
        rows = sum(target.value(f"select count(*) from {table}") for table in self.ward.tables)
        assert rows == len(self.at_first) + len(home) + sum(self.created.values())


def _row_for_row(effect: Effect | None) -> dict[Row, tuple[UUID | None, str | None]] | None:
    """What became of each row, but for the number under which it was written."""
    if effect is None:
        return None
    return {row: _fate(fate) for row, fate in effect.fates.items()} | {("", "sums"): (None, str(_sums(effect)))}


def _fate(fate: Fate) -> tuple[UUID | None, str | None]:
    return fate.target_id, fate.left_for


def _sums(effect: Effect) -> tuple[object, ...]:
    e = effect
    return e.chosen, e.amended, dict(e.home), dict(e.left), e.decided, e.changed, e.created, dict(e.refused), e.samples


# -- the sequences ------------------------------------------------------------------------------------------------------


@contextmanager
def telling(which: str, sequence: Sequence | None = None) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note("\n".join([which, *(sequence.told if sequence else [])]))
        raise


def over_one_world(project: Project, monkeypatch: pytest.MonkeyPatch, seed: int, sequences: int) -> None:
    """Sequences over the world of a seed, each with the seed after."""
    dice = Random(seed)
    set_chunk_rows(monkeypatch, dice.choice((2, 5, 1000)))
    keys = dice.choice((7, 5000, 5000))
    for room in ("repair.repairer", "move.mend"):
        monkeypatch.setattr(f"rowcall.{room}.KEYS", keys)
    with telling(f"the world of seed {seed}"):
        make_sick(project, dice)
    with ward(project) as there:
        for number in range(seed, seed + sequences):
            sequence = Sequence(there, number)
            with telling(f"the world of seed {seed}, sequence {number}", sequence):
                sequence(OPERATIONS)
            SEEN["sequences"] += 1


# Seeds of worlds -> sequences over each; fewer where a cyclic group makes each repair long.
# These try every remedy; the others are for the soak.
WORLDS = {400: 1, 700: 1, 1200: 5, 2100: 4, 3000: 5}
MORE_WORLDS = {600: 4, 2000: 5, 2500: 5}


@pytest.mark.parametrize("seed", WORLDS)
def test_undoing_all_leaves_everything_as_it_was(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    over_one_world(make_project(), monkeypatch, seed, WORLDS[seed])


def test_the_sequences_are_worth_it() -> None:
    """Chance was not too kind: every remedy brought rows home, or decided, and was foreseen; victims followed."""
    if SEEN["sequences"] < sum(WORLDS.values()):
        pytest.skip("only where the tests above ran, too")
    names = find_remedies(Path())
    assert {name: SEEN[name] for name in names if not SEEN[name]} == {}
    assert {name: 0 for name in names if not SEEN[f"{name} as foreseen"]} == {}
    assert min(SEEN[what] for what in ("created", "victims", "refused undo", "undone out of turn")) >= 10, SEEN


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_soak_two_hundred_sequences(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project, seeds = make_project(), SystemRandom()
    for seed, sequences in MORE_WORLDS.items():
        over_one_world(project, monkeypatch, seed, sequences)
    for _ in range(40):
        over_one_world(project, monkeypatch, seeds.randrange(1 << 32), 5)
