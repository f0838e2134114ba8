"""`rowcall remedies`, `rowcall repair ...`, `rowcall dispose`, `rowcall purge`: what to do about quarantined rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rowcall.errors import Faults, UsageError
from rowcall.healing import cause_of
from rowcall.mapping.tree import parse
from rowcall.options import Json, Project, Quiet, open_project
from rowcall.repair import Request
from rowcall.report import effect_parts, offers_parts, repairs_table, undone_line
from rowcall.report.words import are, count
from rowcall.screen import Screen

repair_app = typer.Typer(no_args_is_help=True, help="Heal quarantined rows: preview, apply, undo.")

Cause = Annotated[str, typer.Argument(metavar="ENTITY/CODE")]
RemedyName = Annotated[str, typer.Argument(metavar="REMEDY")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the remedy; repeatable.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit.")]
Follow = Annotated[bool, typer.Option("--follow", help="The victims behind the rows come home in the same repair.")]
Keys = Annotated[Path | None, typer.Option("--keys", metavar="FILE", help="Only rows with these keys, one a line.")]


def remedies(
    cause: Annotated[str | None, typer.Argument(metavar="[ENTITY[/CODE]]")] = None,
    project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """What fits each cause, with the rows that it would bring home, victims included."""
    screen = Screen(json, quiet)
    entity, code = cause_of(cause) if cause and "/" in cause else (cause, None)
    with screen.progress() as on_progress:
        found = open_project(project, screen).healing.offers(entity, code, on_progress)
    screen.document({"remedies": [offer.as_json() for offer in found]})
    screen.show(*offers_parts(found))


def dispose(
    cause: Cause,
    disposition: Annotated[Literal["archived", "accepted", "deferred"], typer.Argument()],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")],
    keys: Keys = None, project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Decide about the open rows of a cause, or about some of them."""
    screen = Screen(json, quiet)
    entity, code = cause_of(cause)
    effect = open_project(project, screen).healing.dispose(entity, code, disposition, reason, read_keys(keys))
    screen.document(effect.as_json())
    screen.show(
        f"{count(effect.decided, 'row')} of {cause} {are(effect.decided)} {disposition}; "
        f"`rowcall repair undo {effect.repair}` takes it back"
    )


def purge(
    reason: Reason = "", project: Project = None, json: Json = False, quiet: Quiet = False
) -> None:  # fmt: skip
    """After sign-off: remove what rows held from the quarantine; keys, causes and an audit line stay."""
    screen = Screen(json, quiet)
    purged = open_project(project, screen).healing.purge(reason)
    screen.document(purged.as_json())
    screen.show(
        f"{count(purged.rows, 'payload')} removed; keys and causes stay, and {count(purged.repairs, 'repair')} "
        "can no longer be undone"
    )


@repair_app.command("preview")
def preview(
    cause: Cause, remedy: RemedyName, set_: Settings = None, follow: Follow = False, keys: Keys = None,
    show_values: Annotated[bool, typer.Option("--show-values", help="Rows' values as they are, not masked.")] = False,
    project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """What a repair would do: done, and taken back."""
    screen = Screen(json, quiet)
    request = _request(cause, remedy, set_, "", follow, keys)
    with screen.progress() as on_progress:
        effect = open_project(project, screen).healing.preview(request, on_progress, show_values=show_values)
    screen.document(effect.as_json())
    screen.show(*effect_parts(effect))


@repair_app.command("apply")
def apply(
    cause: Cause, remedy: RemedyName, set_: Settings = None, reason: Reason = "", follow: Follow = False, keys: Keys = None,
    project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Do it, in one transaction."""
    screen = Screen(json, quiet)
    request = _request(cause, remedy, set_, reason, follow, keys)
    with screen.progress() as on_progress:
        effect = open_project(project, screen).healing.apply(request, on_progress)
    screen.document(effect.as_json())
    screen.show(*effect_parts(effect))


@repair_app.command("undo")
def undo(
    repair: Annotated[int, typer.Argument(metavar="ID")], reason: Reason = "",
    project: Project = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Take a repair or a decision back."""
    screen = Screen(json, quiet)
    undone = open_project(project, screen).healing.undo(repair, reason)
    screen.document(undone.as_json())
    screen.show(undone_line(undone))


@repair_app.command("list")
def list_(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """Every repair and decision so far, with who did it and why."""
    screen = Screen(json, quiet)
    found = open_project(project, screen).healing.repairs()
    screen.document({"repairs": [record.as_json() for record in found]})
    screen.show(repairs_table(found) if found else "nothing was repaired or decided yet")


def _request(
    cause: str, remedy: str, settings: list[str] | None, reason: str, follow: bool, keys: Path | None
) -> Request:
    entity, code = cause_of(cause)
    return Request(entity, code, remedy, read_settings(settings or []), reason, follow, read_keys(keys))


def read_settings(given: list[str]) -> dict[str, Any]:
    """`key=value` texts, of which a key with dots reaches into a map; `null`, `{...}` and `[...]` are read as YAML."""
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip("."):
            raise UsageError(f"--set {text!r} is no setting", hint="write --set KEY=VALUE")
        at, *path = reversed(key.split("."))
        inner = found
        for part in reversed(path):
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--set {key}: {part} is a value already", hint="write the one or the other")
        inner[at] = (
            None
            if value == "null"
            else parse(value, Faults(f"--set {key}")).value
            if value[:1] in ("{", "[")
            else value
        )
    return found


def read_keys(file: Path | None) -> tuple[str, ...] | None:
    """The keys of a file, one a line. Raises UsageError where it cannot be read or holds none."""
    if file is None:
        return None
    try:
        keys = tuple(line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read {file}: {what}", hint="write one key a line") from None
    if not keys:
        raise UsageError(f"{file} holds no key", hint="write one key a line")
    return keys
