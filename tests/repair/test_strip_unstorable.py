"""strip_unstorable: only what Postgres cannot store goes."""

from __future__ import annotations

import pytest
from conftest import Project

from repair.world import apply, fates, preview, put, row
from rowcall.repair.remedies.strip_unstorable import strip


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        (r'"a\u0000b"', '"ab"'),
        (r'"a\\u0000b"', r'"a\\u0000b"'),  # an escaped backslash, and no escape behind it
        (r'"a\\\u0000b"', r'"a\\b"'),
        (r'"a\u0001\n\u00e9b"', r'"a\u0001\n\u00e9b"'),
        (r'"\ud83e\udd86"', r'"\ud83e\udd86"'),  # a whole pair
        (r'"\uD83E\uDD86"', r'"\uD83E\uDD86"'),
        (r'"\ud83e"', '""'),
        (r'"\udd86"', '""'),
        (r'"\udd86\ud83e"', '""'),  # the halves in the wrong order
        (r'"\ud83e\ud83e\udd86"', r'"\ud83e\udd86"'),  # a half before a whole pair
        (r'"\ud83ex\udd86"', '"x"'),
        ("a\0b", "ab"),
        (r'"\u0000\u0000"', '""'),
    ],
)
def test_strip(text: str, stripped: str) -> None:
    assert strip(text) == stripped


def test_what_stands_in_its_place() -> None:
    assert strip(r'"a\u0000b"', "?") == '"a?b"'
    assert strip(r'"\ud83e\udd86\udd86"', "�") == r'"\ud83e\udd86�"'


def test_it_comes_home_without(world: Project) -> None:
    apply(world, "tickets/unstorable_text", "strip_unstorable")
    assert row(world, "tickets", 110)["doc"] == {"bird": "Swan"}
    assert row(world, "tickets", 125)["doc"] == {"bird": r"Wren\u0000"}
    kept = world.target.value("select payload ->> 'doc' from rowcall.quarantine where source_key = '110'")
    assert kept == r'{"bird": "Swan\u0000"}'


def test_instead_is_judged_by_the_target(pristine: Project) -> None:
    effect = preview(pristine, "tickets/unstorable_text", "strip_unstorable", instead=" (lost)")
    assert put(effect)["110"] == '{"bird": "Swan (lost)"}'
    broken = preview(pristine, "tickets/unstorable_text", "strip_unstorable", instead='"')
    assert set(fates(broken, "tickets").values()) == {"malformed_json"}
