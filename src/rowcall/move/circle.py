"""Quarantined rows of one cyclic group on their way home together: judged as if all of them came home, then without those that
do not and those that need one of these, to the fixpoint; what is left enters the target in one statement, as in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rowcall.ledger.book import ChunkRecord
from rowcall.move.fixpoint import Fixpoint, fates_sql
from rowcall.move.gathered import Gathered, Mended
from rowcall.move.group import into_stage
from rowcall.move.mend import Keys, Mender
from rowcall.move.stage import Refused, RowsFound
from rowcall.plan.chunks import Span
from rowcall.plan.ids import id_sql
from rowcall.plan.judge import Judge
from rowcall.plan.paths import fate_table
from rowcall.plan.step import Step
from rowcall.rows import Amendment
from rowcall.sql import ident, label


def together(
    mender: Mender, step: Step, rows: Keys, asked: Keys, amendments: Mapping[str, Sequence[Amendment]]
) -> dict[str, Mended]:
    """Judges these rows of a cyclic group anew and writes those that are sound, as Mender.mend does. Those that were not `asked`
    for come home only where one of the others needs them, and are not told of otherwise."""
    mender.prepare(step, [a for found in amendments.values() for a in found])
    mender.unsettle()
    return {
        entity: mender.became(gathered) for entity, gathered in _Circle(mender, step, rows, asked, amendments)().items()
    }


class _Circle:
    def __init__(
        self, mender: Mender, step: Step, rows: Keys, asked: Keys, amendments: Mapping[str, Sequence[Amendment]]
    ) -> None:
        self.mender, self.step, self.asked, self.amendments = mender, step, asked, amendments
        self.rows = {entity: list(keys) for entity, keys in rows.items() if keys}
        self.duck, self.session = mender.duck, mender.worker.session
        self.judges = {entity: mender.amended_judge(entity, amendments.get(entity, ())) for entity in self.rows}
        self.work = {j.entity.name: mender.work(self.judges.get(j.entity.name, j)) for j in step.judges}

    def __call__(self) -> dict[str, Gathered]:
        """Writes what can come home; entity -> what became of its rows."""
        for entity, keys in self.rows.items():
            self._hope(self.judges[entity], keys)
        self._prepare()
        fixpoint = Fixpoint(self.duck)
        for entity, judge in self.judges.items():
            for verdicts in self.mender.judged(judge, self.rows[entity]):
                fixpoint.add(judge, 0, verdicts)
        refused: Refused = {}
        while True:
            if refused:
                fixpoint.refuse(refused)
            fixpoint.spread()
            fixpoint.keep(self.asked)
            self.rows = {entity: fixpoint.rows(entity) for entity in self.rows}
            for judge in self.judges.values():
                self._fall(judge)
            self._prepare()
            try:
                return self._place(refused)
            except RowsFound as found:
                refused |= found.refused

    def _hope(self, judge: Judge, keys: Sequence[str]) -> None:
        fates = fate_table(judge.entity.name)
        plan = self.mender.plan
        uid = id_sql(plan.knowledge.namespace(plan.mapping, judge.entity), judge.entity, "f.k", "a.made_of")
        amendments = self.amendments.get(judge.entity.name, ())
        self.duck.register("arriving", self.mender.ids_made_of(judge, keys, amendments))
        self.duck.execute(
            f"create or replace table {_before(judge)} as from {fates} where k in (select k::{judge.key.kind} from arriving)"
        )
        self.duck.execute(
            f"update {fates} f set outcome = 'migrated', uid = {uid}, root_entity = null, root_key = null from arriving a "
            f"where f.k = a.k::{judge.key.kind}"
        )
        self.duck.unregister("arriving")

    def _fall(self, judge: Judge) -> None:
        """What will become of the rows; those that are not kept are as before."""
        fates = fate_table(judge.entity.name)
        self.duck.execute(f"delete from {fates} where k in (select k from {_before(judge)})")
        self.duck.execute(
            f"with now as ({fates_sql(judge)}) insert into {fates} "
            f"from now union all from {_before(judge)} where k not in (select k from now)"
        )

    def _prepare(self) -> None:
        """The routes to the parents as they stand now, and what is given for the rows."""
        for entity, judge in self.judges.items():
            self.mender.give(judge, self.amendments.get(entity, ()))
        self.mender.tables.build([self.judges.get(j.entity.name, j) for j in self.step.judges])

    def _place(self, refused: Refused) -> dict[str, Gathered]:
        found: dict[str, Gathered] = {}
        with self.session.transaction(), self.mender.stage(self.step, self.work) as stage:
            for entity, judge in self.judges.items():
                found[entity] = Gathered(self.work[entity], ChunkRecord(0, entity, Span(), "planned", 0, None))
                for verdicts in self.mender.judged(judge, self.rows[entity]):
                    into_stage(verdicts, found[entity], refused, stage)
            stage.flush()
        return found


def _before(judge: Judge) -> str:
    """DuckDB table of the fates that stood before."""
    return ident(label(f"before {judge.entity.name}"))
