"""The results on the screen."""

from __future__ import annotations

from collections.abc import Iterator

from bench.results import Document


def table(document: Document) -> Iterator[str]:
    yield f"{'way':<28} {'seconds':>8} {'x floor':>8} {'rows/s':>10} {'cpu s':>7} {'peak MB':>8} {'rows':>11}"
    for way in document["ways"].values():
        if way["status"] != "measured":
            yield f"{way['label']:<28} {way['status'].upper()}: {way['reason']}"
            continue
        to_floor = "-" if way["to_floor"] is None else f"{way['to_floor']:.2f}"
        yield (
            f"{way['label']:<28} {way['median']:>8.2f} {to_floor:>8} {way['rows_per_second']:>10,} "
            f"{way['cpu_seconds']:>7.1f} {way['peak_rss_mb']:>8,} {way['rows']:>11,}"
        )
        for step, seconds in way["steps"].items():
            yield f"  {step:<26} {seconds:>8.2f}"


def targets(document: Document) -> Iterator[str]:
    yield f"{'must show':<44} {'target':<16} {'value':>9}   met"
    for target in document["targets"]:
        value = "-" if target["value"] is None else f"{target['value']:g} {target['unit']}"
        met = {True: "yes", False: "NO", None: "not measured"}[target["met"]]
        yield f"{target['name']:<44} {target['must']:<16} {value:>9}   {met}"
