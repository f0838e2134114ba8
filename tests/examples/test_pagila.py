"""examples/pagila through check, run, verify and undo: a real database with a cycle of required references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.example import ROOT, Example, example
from rowcall.errors import MappingError
from rowcall.rows import Counts

TOTALS = Counts(46_268, 46_222, 22, 24)
CAUSES = {("actors", "duplicate_key"): (1, 1, 21), ("film_actors", "parent_quarantined"): (21, 1, 0)}
# What a payment is about, told from the legacy keys on either side.
LEGACY_PAYMENTS = """
select p.payment_id, p.amount, p.payment_date at time zone 'America/Toronto', p.customer_id, p.staff_id, r.rental_id,
       i.film_id, r.rental_period::text, s.manager_staff_id
from payment p join rental r using (rental_id) join inventory i using (inventory_id) join store s using (store_id)
where p.amount <> 0 order by 1
"""
NEW_PAYMENTS = """
select p.legacy_payment_id, p.amount, p.paid_at, c.legacy_customer_id, e.legacy_staff_id, r.legacy_rental_id,
       f.legacy_film_id, r.period::text, m.legacy_staff_id
from payments p join rentals r on r.id = p.rental_id join customers c on c.id = p.customer_id
join employees e on e.id = p.employee_id join copies x on x.id = r.copy_id join films f on f.id = x.film_id
join stores s on s.id = x.store_id join employees m on m.id = s.manager_id order by 1
"""


@pytest.fixture(scope="module")
def pagila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with (
        pytest.MonkeyPatch.context() as patch,
        example("pagila", tmp_path_factory.mktemp("pagila") / "p", patch) as found,
    ):
        yield found


def test_partitions_without_a_key_are_refused_until_they_have_one(pagila: Example) -> None:
    with pytest.raises(MappingError) as caught:
        pagila.migration.plan()
    assert [re.sub(r".*:\d+:\d+: ", "", str(f)).split(",")[0] for f in caught.value.faults] == [
        "(payment_id) is not unique in the catalog"
    ] * 2
    pagila.source.execute((pagila.folder / "source.sql").read_text())
    steps = [s.group.entities for s in pagila.migration.plan().steps if s.group.cyclic]
    assert steps == [("stores", "employees")]


def test_check_foresees_the_run(pagila: Example) -> None:
    forecast = pagila.migration.check()
    assert forecast.totals == TOTALS
    assert {(c.entity, c.code): (c.rows, c.roots, c.victims) for c in forecast.causes} == CAUSES
    assert set(forecast.excluded) == {("payments_2007_06", "some_money"), ("payments_late", "some_money")}
    assert not pagila.target.value("select to_regnamespace('rowcall')")


def test_run_settles_every_row(pagila: Example) -> None:
    result = pagila.migration.run()
    assert (result.complete, result.forecast_matched, result.exit_code) == (True, True, 3)
    assert result.totals == TOTALS
    assert all(line.counts.conserved for line in result.entities)
    assert pagila.migration.verify().ok


def test_the_quarantine_says_what_the_readme_says(pagila: Example) -> None:
    root = pagila.target.rows(
        "select source_key, root_entity, root_key from rowcall.quarantine where entity = 'actors'"
    )
    assert root == [("110", "actors", "110")]
    victims = pagila.target.rows(
        "select distinct root_entity, root_key from rowcall.quarantine where entity = 'film_actors'"
    )
    assert victims == [("actors", "110")]
    named = (ROOT / "examples" / "pagila" / "README.md").read_text()
    assert f"| total | {TOTALS.source:,} | {TOTALS.migrated:,} | {TOTALS.quarantined} | {TOTALS.excluded} |" in named


def test_the_new_shop_says_the_same_of_every_payment(pagila: Example) -> None:
    assert pagila.target.rows(NEW_PAYMENTS) == pagila.source.rows(LEGACY_PAYMENTS)


def test_values_of_every_kind_arrived(pagila: Example) -> None:
    films = "select {}, title, description, release_year, length({}), special_features, {} is null from {} order by 1"
    new = pagila.target.rows(films.format("legacy_film_id", "title", "rating", "films"))
    assert new == pagila.source.rows(films.format("film_id", "title", "rating", "film"))
    assert pagila.target.rows("select legacy_staff_id, picture from employees order by 1") == pagila.source.rows(
        "select staff_id, picture from staff order by 1"
    )
    assert pagila.target.value("select count(*) from customer_log") == 599  # the trigger fired for each
    assert pagila.target.value("select count(*) from films where search @@ to_tsquery('dinosaur')") > 0


def test_undo_leaves_an_empty_target(pagila: Example) -> None:
    removed = pagila.migration.undo()
    assert sum(removed.values()) == TOTALS.migrated
    tables = ("payments", "stores", "employees", "countries")
    assert [pagila.target.value(f"select count(*) from {table}") for table in tables] == [0] * len(tables)
    assert not pagila.target.value("select to_regnamespace('rowcall')")


def test_the_readme_names_the_files() -> None:
    folder: Path = ROOT / "examples" / "pagila"
    assert {"source.sql", "target.sql"} <= set(re.findall(r"\w+\.sql", (folder / "README.md").read_text()))
