"""A run on a complete target beside what was done with quarantined rows: repairs, decisions, a purge."""

from __future__ import annotations

import pytest
from conftest import Project

from repair.conftest import Opened
from repair.world import apply, dispositions, home, row, state, sums
from rowcall.errors import RowcallError

UNRELATED = "create table unrelated ()"


@pytest.fixture
def shop(open_world: Opened) -> Project:
    """With rows that were repaired, and some about which something was decided."""
    project = open_world(source=True)
    apply(project, "customers/not_in_enum", "map_values", map={"GOLDEN": "gold", "PLATIN": "gold"}, follow=True)
    apply(project, "tickets/too_long", "clip_text")
    healing = project.migration.healing
    healing.dispose("shops", "dangling_reference", "accepted", "nobody knows them")
    healing.dispose("tickets", "malformed_json", "deferred", "later")
    healing.dispose("notes", "after_cutoff", "archived", "too late")
    return project


def kept(project: Project) -> dict[tuple[str, str], str]:
    sql = "select e.name, k.source_key, k.why from rowcall.kept_row k join rowcall.entity e on e.id = k.entity"
    return {(entity, key): why for entity, key, why in project.target.rows(sql)}


def test_what_did_not_change_is_left_alone(shop: Project) -> None:
    before = state(shop)
    shop.source.execute(UNRELATED)
    result = shop.run()
    assert result.caught_up
    assert not any(e.any for e in result.caught_up.entities)
    assert state(shop) == before


def test_a_purged_row_is_known_by_why_it_was_rejected(shop: Project) -> None:
    healing = shop.migration.healing
    for cause in shop.migration.causes():
        if cause.open:
            healing.dispose(cause.entity, cause.code, "accepted", "done with")
    healing.dispose("tickets", "malformed_json", "accepted", "done with")
    healing.purge("signed off")
    before = state(shop)
    shop.source.execute("update ticket set doc = 'null' where id = 106; update ticket set amount = '1' where id = 108")
    shop.run()
    assert shop.fates("tickets")["106"] == "migrated"  # its source was mended
    assert {k: v for k, v in state(shop).items() if k in ("shops", "regions")} == {
        k: v for k, v in before.items() if k in ("shops", "regions")
    }
    assert dispositions(shop, "tickets")["108"] == "accepted"
    assert (
        shop.target.value(
            "select count(*) from rowcall.quarantine where payload is not null and disposition = 'accepted'"
        )
        == 0
    )


def test_a_repaired_row_stays_while_its_defect_does_and_follows_the_source_once_that_is_mended(shop: Project) -> None:
    assert home(shop, "customers") == {"5", "6"}
    shop.source.execute(
        "update customer set name = 'Emu' where id = 5; update customer set level = 'basic', name = 'Flamingo' where id = 6;"
        "update ticket set title = 'Fig' where id = 116"
    )
    result = shop.run()
    assert kept(shop) == {("customers", "5"): "repaired"}
    assert row(shop, "customers", 5)["name"] == "Egret"
    assert {k: v for k, v in row(shop, "customers", 6).items() if k in ("name", "level")} == {
        "name": "Flamingo",
        "level": "basic",
    }
    assert row(shop, "tickets", 116)["title"] == "Fig"
    assert "6" not in dispositions(shop, "customers")
    assert "116" not in dispositions(shop, "tickets")
    assert dispositions(shop, "customers")["5"] == "repaired"
    assert sums(shop)
    assert result.complete
    shop.prove()
    shop.source.execute(UNRELATED)
    assert shop.run().kept == result.kept  # it is told as long as it is so
    for record in reversed(shop.migration.healing.repairs()):
        shop.migration.healing.undo(record.id)
    assert row(shop, "customers", 6)["name"] == "Flamingo"  # the source's, not the repair's
    assert shop.fates("customers")["5"] == "not_in_enum"
    assert kept(shop) == {}
    assert sums(shop)
    shop.prove()


def test_a_decision_counts_for_the_defect_about_which_it_was_made(shop: Project) -> None:
    shop.source.execute(
        "update shop set name = 'Ostrich' where id = 14; update shop set customer_id = null where id = 15;"
        "update shop set customer_id = 1 where id = 16; delete from ticket where id = 106;"
        "update note set made = null where id = 203"
    )
    result = shop.run()
    assert not result.kept
    assert dispositions(shop, "shops") | {"14": "accepted", "15": "open"} == dispositions(shop, "shops")
    assert shop.fates("shops") | {"15": "null_reference", "16": "migrated"} == shop.fates("shops")
    assert (
        shop.target.value(
            "select payload ->> 'name' from rowcall.quarantine where entity = 'shops' and source_key = '14'"
        )
        == "Ostrich"
    )
    assert "106" not in shop.fates("tickets")
    assert shop.fates("notes")["203"] == "migrated"
    assert sums(shop)
    shop.prove()


def test_a_repaired_row_that_the_source_deletes_goes_with_its_repair(open_world: Opened) -> None:
    project = open_world(source=True, more="deleted: delete")
    done = apply(project, "tickets/too_long", "clip_text")
    project.source.execute(
        "delete from ticket where id = 116; delete from customer where id = 5; delete from shop where id = 21"
    )
    project.run()
    assert "116" not in project.fates("tickets")
    assert home(project, "tickets") == {"117"}
    assert project.target.value("select count(*) from rowcall.gone_row where became = 'removed'") == 1
    assert done.repair
    project.migration.healing.undo(done.repair)
    assert home(project, "tickets") == set()
    assert sums(project)
    assert project.migration.verify().ok
    project.prove()


def test_a_repair_after_it(shop: Project) -> None:
    shop.source.execute("update ticket set title = 'Kumquats in brandy' where id in (100, 101)")
    shop.run()
    assert shop.fates("tickets") | {"100": "too_long", "101": "too_long"} == shop.fates("tickets")
    assert shop.fates("notes")["200"] == "parent_quarantined"
    done = apply(shop, "tickets/too_long", "clip_text", follow=True)
    assert row(shop, "tickets", 100)["title"] == "Kumquats i"
    assert shop.fates("notes")["200"] == "migrated"
    assert sums(shop)
    assert shop.migration.verify().ok
    assert done.repair
    shop.migration.healing.undo(done.repair)
    shop.migration.undo()
    assert shop.target.value("select count(*) from tickets") == 0


def test_a_target_that_cannot_be_changed_leaves_all_as_it_was(shop: Project) -> None:
    before = state(shop)
    shop.source.execute(
        "update ticket set title = 'Kiwi' where id in (100, 101); update shop set name = 'Emu' where id = 10"
    )
    shop.target.execute(
        "create function no() returns trigger language plpgsql as $$ begin raise 'closed' using errcode = '57P03'; end $$;"
        "create trigger no before update on tickets for each row execute function no()"
    )
    with pytest.raises(RowcallError):
        shop.run()
    assert state(shop) == before
    assert shop.migration.status().state == "complete"
    shop.target.execute("drop trigger no on tickets")
    assert shop.run().caught_up
    assert row(shop, "tickets", 100)["title"] == "Kiwi"


def test_the_undo_of_a_repair_whose_row_stayed(open_world: Opened) -> None:
    p = open_world(source=True)
    done = apply(p, "customers/not_in_enum", "map_values", map={"GOLDEN": "gold", "PLATIN": "gold"})
    p.target.execute("alter table customers add constraint nobad check (name <> 'Bad')")
    p.source.execute("update customer set level = 'basic', name = 'Bad' where id = 6")
    p.run()
    assert done.repair
    p.migration.healing.undo(done.repair)
    assert sums(p)
    assert p.migration.verify().ok
