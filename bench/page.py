"""`python -m bench.page`: docs/performance.md and its picture, from results.json. No figure of the page is typed by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.extremes import WIDE_BYTES
from bench.machine import BUSY
from bench.picture import picture
from bench.results import Document, median, targets
from bench.world import HERE

RESULTS, DOCS = HERE / "results.json", HERE.parent / "docs"
PAGE, PICTURE = "performance.md", "performance.svg"

HEAD = """# Performance

<!-- Written by `python -m bench.page` from bench/results.json: change it there. -->

How long it takes to move `dispatch_notification` of the [demo](embedded.md) ({source:,} rows, {bad:,} of them bad) into the new
database's `system_messages`, by rowcall, by a pipe that does nothing, and by others. One run, one dataset, the same two servers;
medians of {repeat}; ratios are of the medians. `make bench` measures it anew on your machine.

![Seconds per way]({picture})

"""

BUSY_NOTE = """**A rehearsal: the machine was busy with other work (load {load} per core). No figure here can be trusted.**

"""

HOW = """
## How it is measured

- `make bench` makes the demo at scale `{scale}` (two embedded servers, Postgres {source_version} and {target_version}), measures
  every way {repeat} times in an order that moves on by one each time, prints the tables above, writes `bench/results.json`
  and this page. It needs about an hour and 30 GB of disk; `python -m bench --help` tells how to measure less, such as
  `python -m bench --scale seed --repeat 1 --only floor,rowcall --out quick.json`.
- Each timing has a target database of its own, made from a template, so that nothing is warm or bloated by another way. Before
  each, both servers make a checkpoint and the disk is synced. Making the dataset and the ready-made rows is not timed. After each
  the rows that arrived are counted, and the table's keys must be what they were.
- Seconds are wall seconds from the start of a way's first process to the end of its last. Processor seconds and memory are those
  of its own processes, not of the servers; memory is the highest that was resident.
- The peers run with the settings that made them fastest here among those they document. They come from Debian and PyPI into
  `bench/.peers`, never into rowcall's environment; one that cannot be had is listed as absent.
"""


def page(document: Document) -> str:
    """The page's text."""
    rows = document["rows"]
    text = HEAD.format(
        source=rows["source"], bad=rows["source"] - rows["sound"], repeat=document["repeat"], picture=PICTURE
    )
    if document["load"] > BUSY:
        text += BUSY_NOTE.format(load=document["load"])
    parts = (_ways(document), _steps(document), _targets(document), _extremes(document), _does(document))
    text += "\n".join("\n".join(part) for part in parts)
    versions = document["versions"]
    text += HOW.format(
        scale=document["scale_name"],
        source_version=versions["source"],
        target_version=versions["target"],
        repeat=document["repeat"],
    )
    return text + "\n" + "\n".join(_where(document)) + "\n"


def _table(*rows: tuple[str, ...], right: str) -> Iterator[str]:
    """The first row is the head; `right` has an `r` for each column that is set to the right."""
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "|".join("---:" if side == "r" else "---" for side in right) + "|"
    for row in rows[1:]:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _ways(document: Document) -> Iterator[str]:
    head = ("way", "seconds", "of the floor", "rows per second", "processor s", "peak memory", "rows that arrived")
    rows = [_way(way) for way in document["ways"].values()]
    yield from _table(head, *rows, right="lrrrrrr")


def _way(way: Document) -> tuple[str, ...]:
    if way["status"] != "measured":
        return (way["label"], way["status"], "", "", "", "", "")
    return (
        way["label"],
        f"{way['median']:.1f}",
        _number(way["to_floor"], ".2f", " x"),
        f"{way['rows_per_second']:,}",
        f"{way['cpu_seconds']:.1f}",
        f"{way['peak_rss_mb']:,} MB",
        f"{way['rows']:,}" if way["rows"] else "",
    )


def _number(value: float | None, form: str, unit: str) -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _steps(document: Document) -> Iterator[str]:
    yield "Where a way has steps, their medians in seconds:"
    yield ""
    for way in document["ways"].values():
        if steps := way.get("steps"):
            yield f"- {way['label']}: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items())
    yield ""


def _targets(document: Document) -> Iterator[str]:
    yield "## What it must show"
    yield ""
    rows = [
        (t["name"], t["must"], _number(t["value"], "g", f" {t['unit']}"), _met(t["met"])) for t in document["targets"]
    ]
    yield from _table(("", "target", "measured", "met"), *rows, right="lrrl")
    yield from _missed(document)


def _missed(document: Document) -> Iterator[str]:
    """What it would take to be so much faster than others; that a floor is in the way is worth knowing."""
    run, floor = median(document, "rowcall"), median(document, "floor")
    missed = [t for t in targets(document) if t.met is False and t.name.startswith("faster than") and t.value]
    if run and floor and missed:
        yield "In seconds, what is not met would take:"
        yield ""
        for target in missed:
            needed = run * (target.value or 0) / target.limit
            yield f"- {target.limit:g} x {target.name}: a run of {needed:.1f} s, which is {needed / floor:.2f} x of the floor"
        yield ""


def _met(met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "not measured"}[met]


def _extremes(document: Document) -> Iterator[str]:
    yield "## More rows, wider rows"
    yield ""
    head = ("rowcall run", "rows", "seconds", "rows per second", "peak memory")
    names = {"scale": "ten times the rows", "wide": f"texts of {WIDE_BYTES // 10**6} MB"}
    rows = [_extreme("the rows above", document["ways"].get("rowcall", {}), document["rows"]["source"])]
    rows += [_extreme(names[name], document[name], document[name].get("source")) for name in names if name in document]
    yield from _table(head, *rows, right="lrrrr")


def _extreme(name: str, found: Document, rows: int | None) -> tuple[str, ...]:
    if "rows_per_second" not in found:
        return (name, "", "failed" if "failed" in found else "not measured", "", "")
    seconds = found.get("median") or found["seconds"]
    return name, f"{rows:,}", f"{seconds:.1f}", f"{found['rows_per_second']:,}", f"{found['peak_rss_mb']:,} MB"


def _does(document: Document) -> Iterator[str]:
    yield "## What each way does, and what it leaves out"
    yield ""
    rows = [(_named(way), way["does"], way["lacks"]) for way in document["ways"].values()]
    yield from _table(("way", "does", "leaves out"), *rows, right="lll")
    for way in document["ways"].values():
        if way["status"] != "measured":
            yield f"{way['label']} is {way['status']}: `{way['reason']}`"
            yield ""


def _named(way: Document) -> str:
    return f"{way['label']} ({way['version']})" if way.get("version") else str(way["label"])


def _where(document: Document) -> Iterator[str]:
    machine, versions, settings = document["machine"], document["versions"], document["settings"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions["libraries"].items())
    yield "## On what"
    yield ""
    yield f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB of memory; {machine['os']}"
    yield f"- rowcall {versions['rowcall']} at commit `{versions['commit']}`, Python {versions['python']}, {libraries}"
    yield f"- Postgres {versions['source']} to {versions['target']}, both on this machine: " + ", ".join(
        f"{name} {value}" for name, value in settings.items()
    )
    yield f"- begun {document['began_at']}, load before it {document['load']} per core"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write into")
    chosen = parser.parse_args(words)
    document: Any = json.loads(chosen.results.read_text(encoding="utf-8"))
    (chosen.docs / PAGE).write_text(page(document), encoding="utf-8")
    (chosen.docs / PICTURE).write_text(picture(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
