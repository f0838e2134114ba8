"""Some rows of each cause, with what was seen: masked, unless somebody asks for the values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rowcall.explain.causes import Cause, Sample, query
from rowcall.ledger import Ledger
from rowcall.rows import Reason

SHOWN = 60  # characters of a value


def with_samples(ledger: Ledger, causes: Sequence[Cause], show_values: bool) -> tuple[Cause, ...]:
    """The causes, each with samples of its example keys."""
    pairs = [(cause.entity, key) for cause in causes for key in cause.examples]
    rows = ledger.session.rows(query("samples"), [[e for e, _ in pairs], [k for _, k in pairs]])
    found = {(entity, key): Sample(key, *rest) for entity, key, *rest in rows}
    return tuple(replace(cause, samples=tuple(_of(cause, found, show_values))) for cause in causes)


def _of(cause: Cause, found: Mapping[tuple[str, str], Sample], show_values: bool) -> Iterator[Sample]:
    for key in cause.examples:
        if sample := found.get((cause.entity, key)):
            yield sample if show_values else _masked(cause.code, sample)


def _masked(code: str, sample: Sample) -> Sample:
    key = sample.key if re.fullmatch(r"-?\d+", sample.key) else mask(sample.key)
    value = None if sample.value is None else mask(sample.value)
    return replace(sample, key=key, value=value, detail=masked_detail(code, sample.value, sample.detail))


def mask(text: str) -> str:
    """A value's shape: letters become x, digits 9; signs stay, so that a broken form is still seen. Long ones are cut."""
    shape = re.sub(r"[^\W\d_]", lambda m: "X" if m[0].isupper() else "x", re.sub(r"\d", "9", text[:SHOWN]))
    return shape if len(text) <= SHOWN else f"{shape}… ({len(text):,} characters)"


def masked_detail(code: str, value: str | None, detail: str | None) -> str | None:
    """A detail names other rows where the path came back to itself or named several parents: masked where their keys are no
    numbers."""
    names_rows = code in (Reason.CYCLIC_PATH.value, Reason.AMBIGUOUS_REFERENCE.value)
    return mask(detail) if detail and names_rows and not re.fullmatch(r"[-\d, ]*", value or "") else detail
