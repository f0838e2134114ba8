"""The pages say what the code says: codes, states, commands, the mapping's language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from docs.pages import DOCS, PAGES, blocks, links, name, sections
from rowcall.cli import app
from rowcall.ledger import book
from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.document import DocumentShape, EntityShape, RepairShape
from rowcall.mapping.filler import FillerShape
from rowcall.mapping.load import load
from rowcall.mapping.ways import ReferenceShape
from rowcall.plan.chunks import PAGES as HEAP_PAGES
from rowcall.plan.chunks import SPARSE
from rowcall.plan.plan import CHUNK_ROWS
from rowcall.plan.workers import MOST
from rowcall.rows import Disposition, Outcome, Reason

CAUSES = DOCS / "causes"
HEAD = """rowcall: 1
project: docs
namespace: 5b0e7f0c-3c55-4b52-9d3a-0f6a3f0f9c11
source: {env: A}
target: {env: B}
"""
YAML_BLOCKS = [(page, text) for page in PAGES for text in blocks(page, "yaml")]
EVERYWHERE = {"--project", "-p", "--json", "--quiet", "--help"}


def test_every_link_leads_somewhere() -> None:
    assert [(name(page), target) for page, target in links() if not (page.parent / target).exists()] == []


# -- causes -------------------------------------------------------------------------------------------------------------


def test_every_reason_has_a_page_and_every_page_a_reason() -> None:
    assert {page.stem for page in CAUSES.glob("*.md")} - {"README"} == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_a_cause_page(reason: Reason) -> None:
    page = CAUSES / f"{reason.value}.md"
    assert page.read_text().startswith(f"# `{reason.value}`\n\nAttributed to: `{reason.attribution}`.\n")
    assert list(sections(page)) == ["What it means", "Example", "What to do"]
    assert all(text.strip() for text in sections(page).values())


def test_the_index_of_causes_is_in_the_fixed_order() -> None:
    rows = re.findall(r"^\| (\d+) \| \[`(\w+)`\].*\| `(\w+)` \|$", (CAUSES / "README.md").read_text(), re.MULTILINE)
    assert rows == [(str(reason.order + 1), reason.value, reason.attribution) for reason in Reason]


# -- states -------------------------------------------------------------------------------------------------------------


def sql_enums() -> dict[str, set[str]]:
    schema = (Path(book.__file__).parent / "schema.sql").read_text()
    found = re.findall(r"create type rowcall\.(\w+) as enum \(([^)]*)\)", schema)
    return {enum: set(re.findall(r"'(\w+)'", labels)) for enum, labels in found}


def drawn() -> dict[str, set[str]]:
    """Enum -> the states of the diagram."""
    (diagram,) = blocks(DOCS / "ledger.md", "mermaid")
    parts = re.findall(r'state "[^"]*\((\w+)\)" as \w+ \{(.*?)\n    \}', diagram, re.DOTALL)
    arrows = {enum: re.findall(r"(\S+) --> (\w+|\[\*\])", body) for enum, body in parts}
    return {enum: {state for pair in found for state in pair} - {"[*]"} for enum, found in arrows.items()}


def test_states_are_told_in_agreement() -> None:
    assert drawn() == sql_enums()
    assert sql_enums()["outcome"] == {outcome.value for outcome in Outcome}
    assert sql_enums()["disposition"] == {disposition.value for disposition in Disposition}


def test_every_table_and_view_of_the_ledger_has_its_line() -> None:
    schema = (Path(book.__file__).parent / "schema.sql").read_text()
    made = set(re.findall(r"create (?:table|view) (rowcall\.\w+)", schema))
    assert set(re.findall(r"^\| `(rowcall\.\w+)` \|", (DOCS / "ledger.md").read_text(), re.MULTILINE)) == made


# -- commands -----------------------------------------------------------------------------------------------------------


def commands() -> dict[str, set[str]]:
    """Command -> its long and one-letter options, but for those that all have; of a group, its subcommands."""
    top: Any = typer.main.get_command(app)
    return {word: set(getattr(command, "commands", ())) or options(command) for word, command in top.commands.items()}


def options(command: Any) -> set[str]:
    return {option for p in command.params for option in p.opts if option.startswith("-")} - EVERYWHERE


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert set(sections(DOCS / "commands.md")) - {"Exit codes"} == set(commands())


@pytest.mark.parametrize("command", commands())
def test_a_command_section_names_the_options_that_there_are(command: str) -> None:
    usage = sections(DOCS / "commands.md")[command].strip().splitlines()[0]
    assert usage.startswith(f"`rowcall {command}")
    words = re.findall(r"-{1,2}[a-z][a-z-]*", usage) or re.fullmatch(rf"`rowcall {command} ([a-z|]+)`", usage)
    told = set(words[1].split("|")) if isinstance(words, re.Match) else set(words or ())
    assert told == commands()[command]


def test_a_repair_subcommand_names_the_options_that_there_are() -> None:
    top: Any = typer.main.get_command(app)
    rows = re.findall(r"^\| `repair (\w+)([^`]*)` \|", sections(DOCS / "commands.md")["repair"], re.MULTILINE)
    told = {word: set(re.findall(r"-{1,2}[a-z][a-z-]*", usage)) for word, usage in rows}
    assert told == {word: options(command) for word, command in top.commands["repair"].commands.items()}


# -- the mapping --------------------------------------------------------------------------------------------------------


def document(text: str) -> str:
    """A whole project file around a part of one."""
    keys = list(YAML(typ="safe").load(text))
    if "rowcall" in keys:
        return text
    if set(keys) <= {"columns", "references"}:
        lines = "\n".join(f"    {line}" for line in text.splitlines())
        return f"{HEAD}entities:\n  thing:\n    from: thing\n{lines}\n"
    return f"{HEAD}{text}" + ("" if "entities" in keys else "entities: {thing: {from: thing}}\n")


@pytest.mark.parametrize(("page", "text"), YAML_BLOCKS, ids=[f"{name(p)}-{i}" for i, (p, _) in enumerate(YAML_BLOCKS)])
def test_yaml_examples_parse(page: Path, text: str, tmp_path: Path) -> None:
    file = tmp_path / "rowcall.yaml"
    file.write_text(document(text))
    for named in re.findall(r"map: ([\w/]+\.csv)", text):
        (tmp_path / named).parent.mkdir(exist_ok=True)
        (tmp_path / named).write_text("source,target\n")
    load(file).faults.raise_if_any()


def test_there_are_yaml_examples() -> None:
    assert len(YAML_BLOCKS) > 5


@pytest.mark.parametrize("shape", [DocumentShape, EntityShape, FillerShape, ReferenceShape, RepairShape])
def test_every_key_of_the_mapping_is_told(shape: type[DocumentShape]) -> None:
    told = (DOCS / "mapping.md").read_text()
    assert [key for key in shape.keys() if f"`{key}`" not in told and f"`{key}:" not in told] == []  # noqa: SIM118


def test_every_conversion_has_its_line() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", (DOCS / "conversions.md").read_text(), re.MULTILINE)
    told = {convert: frozenset(re.findall(r"`(\w+)`", types)) for convert, types in rows if convert in CONVERSIONS}
    assert told == CONVERSIONS


def test_figures_that_are_told() -> None:
    told = (DOCS / "how-it-works.md").read_text()
    assert f"about {CHUNK_ROWS:,} rows" in told
    assert f"at most {SPARSE} values per row" in told
    assert f"{SPARSE * CHUNK_ROWS:,} rows, however" in told
    assert f"{HEAP_PAGES:,} pages: {HEAP_PAGES * 8 // 1024} MB" in told
    assert f"at most {MOST}, and" in (DOCS / "mapping.md").read_text()
