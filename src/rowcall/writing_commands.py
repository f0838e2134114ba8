"""Commands for whoever writes the mapping: what it comes to, and what an editor may know of it."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from rowcall.errors import UsageError
from rowcall.mapping.json_schema import json_schema
from rowcall.options import Json, Project, Quiet, open_project
from rowcall.plan.show import entity_sql, plan_text
from rowcall.report.sampled import sampled_parts
from rowcall.screen import Screen


def plan(
    sql: Annotated[str | None, typer.Option("--sql", metavar="ENTITY", help="The compiled SQL of one entity.")] = None,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="ENTITY", help="Ten of an entity's rows before and after.")
    ] = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="Rows' values as they are, not masked.")] = False,
    project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Order, references, what is not mapped; or the compiled SQL of one entity, or some of its rows before and after."""
    screen = Screen(json, quiet)
    if sql is not None and sample is not None:
        raise UsageError("--sql and --sample are two questions", hint="ask one after the other")
    migration = open_project(project, screen)
    if sample is not None:
        found = migration.sample(sample, show_values=show_values)
        screen.document(found.as_json())
        screen.show(*sampled_parts(found))
        return
    made = migration.plan()
    if sql is not None:
        text = entity_sql(made, sql)
        screen.document({"entity": sql, "sql": text})
        if not json:
            screen.write(text)
        return
    screen.document(made.as_json())
    if not json:
        screen.write(plan_text(made))


def schema(
    output: Annotated[Path | None, typer.Option("-o", help="Write to this file.")] = None,
    json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """The JSON Schema of rowcall.yaml, for editors."""
    with Screen(json, quiet).sink(output) as write:
        write(jsonlib.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n")
