"""No text whatever ends in anything but a Mapping or an error for the user."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_world import VALID, check

from rowcall.errors import MappingError, UsageError
from rowcall.mapping.model import Mapping

TOKENS = [
    *VALID.split(), "null", "{}", "[]", "{a: b}", "~", "&a", "*a", "<<:", "!!int", "!!binary", "? [x]", "'", '"', "\t",
    "%YAML 1.1", "---", "0", "-1", "1e999", ".nan", "true", "|", ">", "->", "until", "\udcff", "\x00", "\ufeff",
    "\u2028", "é", "x" * 70,
]  # fmt: skip


def outcome(text: str) -> Mapping | UsageError:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return check(Path(folder), text)
        except UsageError as error:
            caught = error
    faults = caught.faults if isinstance(caught, MappingError) else ()
    assert all(1 <= fault.line <= len(text.splitlines()) + 1 and fault.column >= 1 for fault in faults)
    return caught


def mutated(seed: int, times: int) -> str:
    """The valid file with a few words, lines or characters dropped, doubled, swapped or replaced."""
    dice, text = random.Random(seed), VALID
    for _ in range(times):
        lines = text.split("\n")
        line = dice.randrange(len(lines))
        words = lines[line].split(" ")
        word, place = dice.randrange(len(words)), dice.randrange(len(text) + 1)
        match dice.randrange(6):
            case 0:
                lines.pop(line)
            case 1:
                lines.insert(line, dice.choice(lines))
            case 2:
                lines[line] = " " * dice.randrange(4) + lines[line]
            case 3 | 4:
                words[word] = dice.choice(TOKENS)
                lines[line] = " ".join(words)
            case 5:
                lines = (text[:place] + dice.choice(TOKENS) + text[place + dice.randrange(3) :]).split("\n")
        text = "\n".join(lines)
    return text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_no_mutation_ends_in_a_traceback(seed: int, times: int) -> None:
    assert isinstance(outcome(mutated(seed, times)), Mapping | UsageError)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from(" \n:-{}[],'\"#&*!|>%@a1?<\t~."), max_size=40))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    assert isinstance(outcome(text), UsageError)


PARTS = [
    "project", "source", "content_types", "entities", "case_messages", "where", "cutoff", "columns", "body", "case_id",
    "by_type", "sentinels", "missing",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", ["null", "7", "[1]", "{a: [1]}", "true", "text", "{null: 1}", "[{}]", "[[[]]]"])
def test_any_part_may_hold_anything(part: str, value: str) -> None:
    lines = VALID.split("\n")
    at = next(n for n, line in enumerate(lines) if line.strip().startswith(f"{part}:"))
    depths = [len(line) - len(line.lstrip()) if line.strip() else 99 for line in lines]
    indent = depths[at]
    end = next((n for n in range(at + 1, len(lines)) if depths[n] <= indent), len(lines))
    text = "\n".join([*lines[:at], f"{' ' * indent}{part}: {value}", *lines[end:]])
    assert isinstance(outcome(text), Mapping | UsageError)
