"""The pages about remedies say what their classes say, and what they promise of values is tried."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from docs.pages import DOCS, PAGES, blocks, name, sections
from rowcall.repair import Remedy, Request, Setting, find_remedies
from rowcall.repair.registry import ALWAYS
from rowcall.rows import Reason

FOLDER = DOCS / "remedies"
INDEX = FOLDER / "README.md"
REMEDIES = find_remedies(DOCS)  # a folder without remedies of its own
PARTS = ["What it does", "Settings", "Example", "Before and after", "What it does not do"]
STAYS = "stays"
# Remedy -> the type of the column that its page's values before and after stand in.
COLUMNS = {
    "clip_text": "varchar(20)",
    "map_values": "label",
    "repair_json": "jsonb",
    "set_null": "date",
    "set_value": "jsonb not null",
    "strip_unstorable": "jsonb",
}
CONVERT = {"label": "enum", "date": "date", "jsonb": "jsonb", "jsonb not null": "jsonb"}


def page(remedy: str) -> Path:
    return FOLDER / f"{remedy}.md"


def default(setting: Setting) -> str:
    """How a table tells it."""
    if setting.required:
        return "required"
    if setting.default is None:
        return "-"
    told = [setting.default] if isinstance(setting.default, str) else setting.default
    return ", ".join(f"`{one}`" for one in told if one) or "nothing"


# -- the pages ----------------------------------------------------------------------------------------------------------


def test_every_remedy_has_a_page_and_every_page_a_remedy() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} - {"README"} == set(REMEDIES)


def test_the_index_has_every_remedy_in_the_order_in_which_they_are_offered() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\((\w+)\.md\) \|", INDEX.read_text(), re.MULTILINE)
    assert rows == [(remedy, remedy) for remedy in REMEDIES]


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_page_has_its_parts(remedy: str) -> None:
    assert page(remedy).read_text().startswith(f"# `{remedy}`\n\n")
    assert list(sections(page(remedy))) == PARTS
    assert all(text.strip() for text in sections(page(remedy)).values())


@pytest.mark.parametrize("remedy", REMEDIES.values(), ids=lambda remedy: remedy.name)
def test_a_remedy_page_names_the_causes_that_it_fits(remedy: Remedy) -> None:
    (told,) = re.findall(r"^Fits: (.*?)\.$", page(remedy.name).read_text(), re.MULTILINE | re.DOTALL)
    links = re.findall(r"\[`(\w+)`\]\(\.\./causes/(\w+)\.md\)", told)
    assert [code for code, _ in links] == [file for _, file in links]
    codes = set(Reason) if told == "every cause" else {Reason(code) for code, _ in links}
    assert codes == remedy.codes


@pytest.mark.parametrize("remedy", REMEDIES.values(), ids=lambda remedy: remedy.name)
def test_a_remedy_page_names_exactly_the_settings_that_there_are(remedy: Remedy) -> None:
    told = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", sections(page(remedy.name))["Settings"], re.MULTILINE)
    assert told == [(setting.name, default(setting)) for setting in remedy.settings]
    if not remedy.settings:
        assert sections(page(remedy.name))["Settings"].strip() == "None."


@pytest.mark.parametrize("reason", Reason)
def test_a_cause_page_links_to_the_remedies_that_heal_it(reason: Reason) -> None:
    text = sections(DOCS / "causes" / f"{reason.value}.md")["What to do"]
    told = re.findall(r"\]\(\.\./remedies/(\w+)\.md\)", text)
    assert set(told) == {r.name for r in REMEDIES.values() if reason in r.codes and r.name not in ALWAYS}


# -- examples -----------------------------------------------------------------------------------------------------------


def examples() -> list[tuple[str, str, str, dict[str, Any]]]:
    """(page, cause, remedy, settings) of every example of the mapping."""
    found = []
    for file in PAGES:
        for text in blocks(file, "yaml"):
            document = YAML(typ="safe").load(text)
            defaults = document.get("remedies", {})
            found += [(name(file), cause, r, s or {}) for cause, given in defaults.items() for r, s in given.items()]
            for repair in document.get("repairs", ()):
                settings = {**defaults.get(repair["cause"], {}).get(repair["remedy"], {}), **repair.get("set", {})}
                settings |= {"reason": repair["reason"]} if takes(repair["remedy"], "reason") else {}
                REMEDIES[repair["remedy"]].settled(settings)
                found.append((name(file), repair["cause"], repair["remedy"], settings))
    return found


def takes(remedy: str, setting: str) -> bool:
    return any(s.name == setting for s in REMEDIES[remedy].settings)


def test_examples_name_causes_that_their_remedies_heal_and_settings_that_there_are() -> None:
    assert len(examples()) > 20
    for where, cause, remedy, settings in examples():
        assert Reason(cause.partition("/")[2]) in REMEDIES[remedy].codes, (where, cause, remedy)
        REMEDIES[remedy].settled(settings, whole=False)


def settings_of(remedy: str) -> tuple[str, dict[str, Any]]:
    """(code, settings) of the first example on a remedy's page."""
    where = name(page(remedy))
    return next((cause.partition("/")[2], s) for file, cause, r, s in examples() if (file, r) == (where, remedy))


def promised(remedy: str) -> list[tuple[str, str | None]]:
    """(before, after) of a page's table: texts; None is NULL, STAYS a row that stays."""
    table = sections(page(remedy))["Before and after"]
    rows = re.findall(r"^\| (`.*`) \| (`.*`|NULL|stays) \|$", table, re.MULTILINE)
    return [(before.strip("`"), None if after == "NULL" else after.strip("`")) for before, after in rows]


@pytest.mark.parametrize("remedy", COLUMNS)
def test_values_become_what_the_page_promises(remedy: str, make_project: Any) -> None:
    kind, rows = COLUMNS[remedy], promised(remedy)
    assert len(rows) > 1
    convert = f", convert: {CONVERT[kind]}" if kind in CONVERT else ""
    project = make_project(
        "create table thing (id int primary key, v text)",
        f"create type label as enum ('new', 'completed'); create table things (id uuid primary key, v {kind})",
    )
    for key, (before, _) in enumerate(rows, 1):
        project.source.execute("insert into thing values (%s, %s)", [key, before])
    project.write(f"things: {{from: thing, columns: {{v: {{from: v{convert}}}}}}}")
    code, settings = settings_of(remedy)
    project.run()
    assert project.fates("things") == {str(key): code for key in range(1, len(rows) + 1)}
    project.migration.healing.apply(Request("things", code, remedy, settings))
    found, fates = project.values("things", "v"), project.fates("things")
    for key, (before, after) in enumerate(rows, 1):
        if after == STAYS:
            assert fates[str(key)] == code, before
            continue
        assert fates[str(key)] == "migrated", before
        same = "select %s::text is not distinct from %s::text::" + kind.removesuffix(" not null") + "::text"
        assert project.target.value(same, [found[str(key)], after]), (before, found[str(key)])


def test_the_remedy_of_ones_own_heals(make_project: Any) -> None:
    (source,) = blocks(INDEX, "python")
    project = make_project(
        """create table thing (id int primary key, v text); insert into thing values (1, 'see "x"'), (2, '')""",
        "create table things (id uuid primary key, v jsonb)",
    )
    project.write("things: {from: thing, columns: {v: {from: v, convert: jsonb}}}")
    (project.folder / "remedies").mkdir()
    (project.folder / "remedies" / "keep_as_text.py").write_text(source)
    project.run()
    offered = {offer.remedy: offer.brings_home for offer in project.migration.healing.offers()}
    assert offered["keep_as_text"] == 1
    project.migration.healing.apply(Request("things", "malformed_json", "keep_as_text", {"under": "legacy"}))
    assert project.values("things", "v") == {"1": '{"legacy": "see \\"x\\""}'}
    assert project.fates("things")["2"] == "malformed_json"


SHOP = """
create table customer (id int primary key, name text);
create table basket (id int primary key, customer_id int, title text);
create table line (id int primary key, basket_id int, customer_id int);
insert into customer values (1, 'A'), (2, 'B'), (3, 'C');
insert into basket values (10, 1, 'x'), (11, 2, 'y'), (12, 2, 'z');
insert into line values (1, 99, 1), (2, 99, 2), (3, 98, 3), (4, 97, 3), (5, 99, null)
"""
NEW_SHOP = """
create table customers (id uuid primary key, name text not null);
create table baskets (id uuid primary key, customer_id uuid not null references customers, title text not null);
create table lines (id uuid primary key, basket_id uuid not null references baskets)
"""
SHOP_MAPPING = """
customers: {from: customer, columns: {name: name}}
baskets: {from: basket, columns: {title: title}, references: {customer_id: {to: customers, path: customer_id}}}
lines: {from: line, references: {basket_id: {to: baskets, path: basket_id}}}
"""


def test_a_parent_is_created_once_for_each_owner_as_the_page_promises(make_project: Any) -> None:
    project = make_project(SHOP, NEW_SHOP)
    project.write(SHOP_MAPPING)
    project.run()
    where = name(page("link_parent"))
    (settings,) = [
        s for file, cause, r, s in examples() if (file, cause, r) == (where, "lines/dangling_reference", "link_parent")
    ]
    effect = project.migration.healing.apply(Request("lines", "dangling_reference", "link_parent", settings))
    assert (effect.rows, effect.created, effect.unhealed) == (3, 1, 2)
    baskets = project.values("lines", "basket_id")
    assert set(baskets) == {"1", "3", "4"}
    assert baskets["3"] == baskets["4"] != baskets["1"]
    made = "select title, (select name from customers c where c.id = customer_id) from baskets where id = %s"
    assert project.target.rows(made, [baskets["3"]]) == [("Restored", "C")]
    assert project.target.value("select count(*) from rowcall.synthetic_row where target_id = %s", [baskets["3"]]) == 1
