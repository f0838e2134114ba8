"""The command line: parse, one call of Migration, print. Exit codes are the contract's."""

from __future__ import annotations

import gc
import json as jsonlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from rowcall.demo.build import build, compare
from rowcall.demo.generate import DEFAULT_SEED
from rowcall.errors import UsageError
from rowcall.frame import BUDGET, COMPLETE, DIFFERENT, FAILED, OPEN, guarded
from rowcall.migration import Migration, RunResult
from rowcall.options import Json, Project, Quiet, chosen, open_project
from rowcall.postgres.shell import psql as run_psql
from rowcall.repair_commands import dispose, purge, remedies, repair_app
from rowcall.report import (
    Report,
    caught,
    caught_up,
    cause_lines,
    causes_table,
    entities_table,
    entity_line,
    forecast_parts,
    home_lines,
    html,
    kept,
    markdown,
    proof_lines,
    replayed_lines,
    retried_line,
    status_table,
    story_text,
    verification_table,
)
from rowcall.report.words import count
from rowcall.screen import Screen
from rowcall.server_commands import servers_app
from rowcall.version import __version__
from rowcall.writing_commands import plan, schema

app = typer.Typer(
    name="rowcall", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Move a legacy, integer-keyed Postgres to UUID keys; every source row answers.",
)  # fmt: skip
app.add_typer(servers_app, name="servers")
app.add_typer(repair_app, name="repair")
for command in (plan, schema, remedies, dispose, purge):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rowcall {__version__}")
        raise typer.Exit


@app.callback()
def common(
    project: Project = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    chosen["project"] = project  # of this call: a process may make several


def _done(code: int) -> NoReturn:
    raise typer.Exit(code)


# -- before -------------------------------------------------------------------------------------------------------------


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("rowcall-demo"),
    scale: Annotated[str, typer.Option(help="small, seed or full")] = "seed",
    seed: Annotated[int, typer.Option(help="Another seed gives other rows.")] = DEFAULT_SEED,
    no_run: Annotated[bool, typer.Option("--no-run", help="Stop before check.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a demo project with two embedded servers, then check, run, verify, explain, report."""
    screen, started = Screen(json, quiet), time.monotonic()
    build(folder, scale, seed, screen.say)
    if no_run:
        screen.document({"folder": str(folder), "run": False})
        screen.show(
            f"{folder} is ready: change its legacy data with `{_program()} -p {folder} psql source`, then check and run."
        )
        _done(COMPLETE)
    migration = Migration.open(folder, screen.say)
    with migration.places.use():
        _demo_run(migration, screen, folder, started)


def _demo_run(migration: Migration, screen: Screen, folder: Path, started: float) -> None:
    with screen.progress() as on_progress:
        migration.check(on_progress)
    with screen.progress() as on_progress:
        result = migration.run(on_progress)
    verified = migration.verify()
    with screen.progress() as on_progress:
        proven = all(c.proof and c.proof.held for c in migration.prove(on_progress))
    report = migration.report()
    (folder / "report.html").write_text(html(report), encoding="utf-8")
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")
    (folder / "report.json").write_text(_json_text(report.as_json()), encoding="utf-8")
    differences = compare(folder, migration.places)
    equal = not differences and verified.ok and proven and result.complete and result.forecast_matched is True
    screen.document({"equal": equal, "differences": [vars(d) for d in differences], "report": report.as_json()})
    _show_report(screen, report)
    screen.show(
        f"forecast matched: {_yes(result.forecast_matched)} · verified: {_yes(verified.ok)} · proven: {_yes(proven)} · "
        f"equal to the answer sheet: {_yes(not differences)} · {time.monotonic() - started:.0f} s"
    )
    for d in differences:
        screen.show(f"  {d.entity}/{d.cause}: {len(d.missing)} keys missing, {len(d.surplus)} too many")
    screen.show(f"look around: {_program()} -p {folder} explain · {folder / 'report.html'}")
    _done(COMPLETE if equal else FAILED)


@app.command()
def check(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """The forecast: every verdict of the run; the target is not touched."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with screen.progress() as on_progress:
        document = migration.check(on_progress)
    screen.document(document.as_json())
    screen.show(*forecast_parts(document))
    _done(BUDGET if document.over_budget else OPEN if document.open else COMPLETE)


# -- the run ------------------------------------------------------------------------------------------------------------


@app.command()
def run(
    entity: Annotated[
        list[str] | None, typer.Option("--entity", help="Only this entity and its parents; repeatable.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Undo the run, then begin anew.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Read the quarantined rows again from the source, which was fixed.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Of rows changed both at the source and in the target, the source's win."),
    ] = False,
    executor: Annotated[
        Literal["local", "dask"],
        typer.Option("--executor", help="local, or dask: the workers of a cluster settle chunks."),
    ] = "local",
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="The cluster's scheduler, tcp:// or tls://.")
    ] = None,
    project: Project = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do the migration; continue an interrupted one."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with screen.progress() as on_progress:
        result = migration.run(
            on_progress,
            entities=entity or (),
            restart=restart,
            retry=retry,
            overwrite=overwrite,
            executor=executor,
            scheduler=scheduler,
        )
    screen.document(_run_json(result))
    screen.show(entities_table([entity_line(e) for e in result.entities]))
    totals = result.totals
    screen.show(
        f"the sums close: {totals.source:,} rows = {totals.migrated:,} migrated + {totals.quarantined:,} quarantined + "
        f"{totals.excluded:,} excluded · {result.seconds:.1f} s · forecast matched: {_yes(result.forecast_matched)}"
    )
    if result.caught_up:
        screen.show(caught_up(result.caught_up), *(f"  {line}" for line in caught(result.caught_up)))
    screen.show(*map(kept, result.kept))
    if result.kept:
        screen.show("see which they are: `select * from rowcall.kept_row` in the target")
    if result.retried:
        screen.show(retried_line(result.retried))
    screen.show(*(line for effect in result.repairs for line in replayed_lines(effect)))
    if not result.complete:
        screen.show("not all entities were run: `rowcall run` without --entity completes the migration")
    if result.unproven:
        screen.show(f"{count(result.unproven, 'cause')} unproven: see `rowcall explain --prove`")
    if result.open:
        screen.show(f"{result.open:,} rows are open in quarantine: see `rowcall explain`")
    _done(result.exit_code)


def _run_json(result: RunResult) -> dict[str, Any]:
    return {
        "complete": result.complete,
        "forecast": {"matched": result.forecast_matched},
        "unproven": result.unproven,
        "caught_up": result.caught_up.as_json() if result.caught_up else None,
        "kept": [vars(aside) for aside in result.kept],
        "retried": result.retried.as_json() if result.retried else None,
        "repairs": [effect.as_json() for effect in result.repairs],
        "totals": {**vars(result.totals), "open": result.open},
        "entities": [entity_line(e).as_json() for e in result.entities],
        "seconds": result.seconds,
    }


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second until the run ends.")] = False,
    project: Project = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Progress, rate and time left per entity, counted from the ledger."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with migration.places.use("target"):
        while True:
            now = migration.status()
            last = not watch or now.state in ("complete", "interrupted")
            if last:
                screen.document(now.as_json())
            screen.show(status_table(now.entities), now.told())
            if last:
                return
            time.sleep(1)
            if screen.out.is_terminal and not json:
                screen.out.clear()


@app.command()
def undo(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """Remove what the run created, and only that."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with screen.progress() as on_progress:
        removed = migration.undo(on_progress)
    screen.document({"removed": removed})
    screen.show(f"{sum(removed.values()):,} rows removed from {len(removed)} entities; the ledger is gone")


# -- after --------------------------------------------------------------------------------------------------------------


@app.command()
def explain(
    entity: Annotated[str | None, typer.Argument()] = None,
    key: Annotated[str | None, typer.Argument()] = None,
    prove: Annotated[bool, typer.Option("--prove", help="Ask the source whether each cause's proof holds.")] = False,
    project: Project = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Causes, root first; of one entity; or one row's path, hop by hop, with the values seen."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    if entity is not None and key is not None:
        if prove:
            raise UsageError("a proof is a cause's, not a row's", hint=f"`rowcall explain {entity} --prove`")
        story = migration.explain(entity, key)
        screen.document(story.as_json())
        screen.show(story_text(story))
        return
    with screen.progress() as on_progress:
        causes = migration.prove(on_progress, entity) if prove else migration.causes(entity)
    screen.document({"causes": [c.as_json() for c in causes]})
    if entity is not None:
        screen.show(*cause_lines(causes))
    screen.show(causes_table(causes, "Causes, root first") if causes else "no row is in quarantine")
    screen.show(*home_lines(causes))
    if prove or any(c.proof and c.proof.held is False for c in causes):
        screen.show(*proof_lines(causes))
    if prove:
        _done(COMPLETE if all(c.proof and c.proof.held for c in causes) else DIFFERENT)


@app.command()
def verify(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """Check the target against the source, independently of the run."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with screen.progress() as on_progress:
        result = migration.verify(on_progress)
    screen.document(result.as_json())
    screen.show(*verification_table(result))
    _done(COMPLETE if result.ok else DIFFERENT)


@app.command()
def report(
    format_: Annotated[
        Literal["md", "json", "html", "csv"],
        typer.Option("--format", help="md, json, html, or csv: one line per quarantined row, to clean by"),
    ] = "md",
    output: Annotated[Path | None, typer.Option("-o", help="Write to this file.")] = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="Rows' values as they are, not masked.")] = False,
    project: Project = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The failure analysis."""
    screen = Screen(json, quiet)
    migration = open_project(project, screen)
    with screen.sink(output) as write:
        if format_ == "csv" and not json:
            migration.cleaning_list(write, show_values=show_values)
            return
        made = migration.report(show_values=show_values)
        if json or format_ == "json":
            write(_json_text(made.as_json()))
        else:
            write(html(made, show_values=show_values) if format_ == "html" else markdown(made))


def _show_report(screen: Screen, report: Report) -> None:
    screen.show(entities_table(report.entities))
    if report.causes:
        screen.show(causes_table(report.causes, "Causes, root first"), *home_lines(report.causes))


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def psql(
    side: Annotated[Literal["source", "target"], typer.Argument()],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[PSQL ARGUMENTS]...")] = None,
    project: Project = None,
) -> None:
    """Open psql on the source or the target; every argument after the side goes to psql."""
    migration = open_project(project, Screen())
    with migration.places.use(side) as dsns:
        dsn = dsns.source if side == "source" else dsns.target
        _done(run_psql(migration.places.binary(side, "psql"), dsn, arguments or ()))


# -- the frame ----------------------------------------------------------------------------------------------------------


def _program() -> str:
    """How this command is called from here."""
    return "rowcall" if shutil.which("rowcall") else os.path.relpath(sys.argv[0])


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "NO", None: "no forecast was made"}[value]


def _json_text(content: Any) -> str:
    return jsonlib.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Runs the command line and ends the process with the contract's exit code."""
    gc.freeze()  # what was imported stays: not to be looked through again while rows move
    sys.exit(guarded(app))


if __name__ == "__main__":
    main()
