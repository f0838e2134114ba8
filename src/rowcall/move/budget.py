"""Error budgets: how many rows may be quarantined before a run stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf

from rowcall.errors import BudgetExceeded
from rowcall.ledger.book import EntityRecord, Ledger
from rowcall.mapping.model import Budget, Mapping
from rowcall.plan.plan import Plan
from rowcall.rows import Counts


class BudgetWatch:
    """Stops the run where more rows are quarantined than the mapping's error budgets allow. A share is one of all rows: where
    their number is an estimate, they are counted before the run is stopped, and looked at again once they are all read."""

    def __init__(self, plan: Plan, ledger: Ledger, count: Callable[[str], int]) -> None:
        self.budgets: dict[str, Budget] = {e.name: e.budget for e in plan.mapping.entities if e.budget}
        self.total = plan.mapping.budget
        sums = ledger.sums()
        self.quarantined = {s.name: s.counts.quarantined for s in sums}
        self.ledger, self.count = ledger, count

    def add(self, entity: str, rows: int) -> None:
        """Counts rows of an entity as quarantined, and looks whether a budget is spent."""
        self.quarantined[entity] = self.quarantined.get(entity, 0) + rows
        if not (self.total or self.budgets) or not sum(self.quarantined.values()):
            return
        records = self.ledger.entities()
        if self._spent(records) and self._count(records):
            records = self.ledger.entities()
        if spent := self._spent(records):
            raise BudgetExceeded(
                spent,
                hint="see `rowcall explain`; raise `error_budget` in the mapping and run again to go on where it stopped",
            )

    def _spent(self, records: Sequence[EntityRecord]) -> str:
        """Which budget is spent, "" if none is."""
        expected = {e.name: e.rows_expected or 0 for e in records}
        counts = {n: Counts(source=of, quarantined=self.quarantined.get(n, 0)) for n, of in expected.items()}
        return spent(self.budgets, self.total, counts)

    def _count(self, records: Sequence[EntityRecord]) -> bool:
        """Counts what was estimated; whether there was any."""
        budgets = [*self.budgets.values(), *([self.total] if self.total else [])]
        estimated = [e for e in records if not e.rows_counted and any(b.share is not None for b in budgets)]
        for record in estimated:
            self.ledger.expect(record.name, self.count(record.source_table))
        return bool(estimated)


def allowed(budget: Budget, of: int) -> int:
    """How many rows a budget lets be quarantined, of so many source rows."""
    return budget.rows if budget.rows is not None else int((budget.share or 0) * of)


def over_budget(mapping: Mapping, counts: MappingOf[str, Counts]) -> str:
    """Which budget a run with these sums spends, "" if none: it would be stopped."""
    return spent({e.name: e.budget for e in mapping.entities if e.budget}, mapping.budget, counts)


def spent(budgets: MappingOf[str, Budget], total: Budget | None, counts: MappingOf[str, Counts]) -> str:
    """Which budget is spent by these sums, "" if none is. `budgets` are those of entities, `total` that of the run."""
    cases = [(budget, counts[name], name) for name, budget in budgets.items()]
    if total is not None:
        cases.append((total, sum(counts.values(), Counts()), "the run"))
    for budget, sums, what in cases:
        if sums.quarantined > (most := allowed(budget, sums.source)):
            return f"the error budget of {what} is spent: {sums.quarantined} rows quarantined, {most} allowed"
    return ""
