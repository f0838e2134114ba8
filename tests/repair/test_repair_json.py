"""repair_json: what has one exact reading is read so, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from conftest import MakeProject, Project

from repair.world import apply, fates, preview, put, refused, row
from rowcall.repair.remedies.repair_json import KINDS, USUAL, mend

SOUND: list[tuple[str, str]] = [
    # Python's spelling
    ("{'a': 'b'}", '{"a": "b"}'),
    ("{'a': \"it's\"}", '{"a": "it\'s"}'),
    ("{'a': 'it\\'s'}", '{"a": "it\'s"}'),
    ("{'say': 'a \"quoted\" word'}", '{"say": "a \\"quoted\\" word"}'),
    ("{'a': None, 'b': True, 'c': False}", '{"a": null, "b": true, "c": false}'),
    ('{"a": None}', '{"a": null}'),
    ("{'a': {'b': [1, {'c': ('d', None)}]}}", '{"a": {"b": [1, {"c": ["d", null]}]}}'),
    ("{'a': null}", '{"a": null}'),
    ("[u'a', 'b']", '["a", "b"]'),
    ("{'a': 'None, True and null'}", '{"a": "None, True and null"}'),
    ("{'a': {1: 'b'}}", '{"a": {"1": "b"}}'),
    ("{'a': True, 'b': -1, 'c': 0x1F, 'd': 1_000}", '{"a": true, "b": -1, "c": 31, "d": 1000}'),
    ("{'ü': 'ñ'}", '{"ü": "ñ"}'),
    ("{'a': 'b\\nc\\\\d'}", '{"a": "b\\nc\\\\d"}'),
    # NaN and its like
    ('{"a": NaN}', '{"a": null}'),
    ('{"a": [Infinity, -Infinity, 1]}', '{"a": [null, null, 1]}'),
    ('{"a": nan, "b": -inf}', '{"a": null, "b": null}'),
    ('{"a": NaN, "b": "NaN and Infinity"}', '{"a": null, "b": "NaN and Infinity"}'),
    ('{"NaN": NaN, "b": "\\" NaN"}', '{"NaN": null, "b": "\\" NaN"}'),
    ("{'a': nan, 'b': 'nan and NaN'}", '{"a": null, "b": "nan and NaN"}'),
    # trailing commas
    ('{"a": [1, 2, ], }', '{"a": [1, 2]}'),
    ('{"a": ",]", "b": ",}",}', '{"a": ",]", "b": ",}"}'),
    ("{'a': 'x,]', 'b': [1,],}", '{"a": "x,]", "b": [1]}'),
    # several at once
    ("{'a': NaN, 'b': [None,],}", '{"a": null, "b": [null]}'),
]  # fmt: skip
# Digits are kept as they are written: a number has no other reading.
DIGITS = [
    ("{'b': 1e400}", '{"b": 1e400}'),
    ('{"a": NaN, "b": 1.10}', '{"a": null, "b": 1.10}'),
    ('{"b": 12345678901234567890.123456789, }', '{"b": 12345678901234567890.123456789}'),
    ("{'b': 1.10, 'c': -2.50}", '{"b": 1.10, "c": -2.50}'),
    ("{'b': 0.1234567890123456789, 'c': 12345678901234567890}", '{"b": 0.1234567890123456789, "c": 12345678901234567890}'),
]  # fmt: skip
NOT_READ = [
    "{'a': {1, 2}}",  # a set
    "{'a': b'bytes'}",
    "{'a': 1+2j}",
    "{'a': {('a', 'b'): 1}}",
    "{'a': {**{'b': 1}}}",
    "{'a': '\\ud800'}",  # half of a surrogate pair
    "{'a': not True}",
    "{'a': print('x')}",
    "{'a': datetime.date(2024, 1, 1)}",
    "{'a': array([1, 2])}",
    "{'a': undefined}",
    "{'a' 1}",
    "{a: 1}",
    '{"a": 1} {"b": 2}',
    "",
    "no JSON at all",
]
CUT = [
    ('{"a": [1, 2', '{"a": [1, 2]}'),
    ('{"a": {"b": "cut of', '{"a": {"b": "cut of"}}'),
    ('["a", "b"', '["a", "b"]'),
]


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[str, str | None]]:
    """Key -> (the text, what stands in the target when it came home; None: it stays)."""
    told = [*SOUND, *DIGITS, *((text, None) for text in NOT_READ), *((text, None) for text, _ in CUT)]
    return {str(number): pair for number, pair in enumerate(told, 1)}


def make(make_project: MakeProject, rows: dict[str, tuple[str, str | None]]) -> Project:
    project = make_project(
        "create table doc (id int primary key, body text)", "create table docs (id uuid primary key, body jsonb)"
    )
    values = ", ".join("(%s, %s)" for _ in rows)
    params = [value for key, (text, _) in rows.items() for value in (int(key), text)]
    project.source.execute(f"insert into doc values {values}", params)
    project.write("docs: {from: doc, columns: {body: {from: body, convert: jsonb}}}")
    assert project.run().open == len(rows)
    return project


def test_every_text_has_its_one_reading_or_none(
    make_project: MakeProject, rows: dict[str, tuple[str, str | None]]
) -> None:
    project = make(make_project, rows)
    effect = apply(project, "docs/malformed_json", "repair_json")
    stored = project.values("docs", "body")
    wanted = {key: mended for key, (_, mended) in rows.items() if mended is not None}
    assert stored == {key: project.target.value("select %s::jsonb::text", [text]) for key, text in wanted.items()}
    assert set(fates(effect, "docs")) == set(wanted)
    assert effect.unhealed == len(rows) - len(wanted)
    kept = dict(project.target.rows("select source_key, payload ->> 'body' from rowcall.quarantine"))
    assert kept == {key: text for key, (text, _) in rows.items()}  # the original is never lost

    guess = apply(project, "docs/malformed_json", "repair_json", kinds="truncated")
    stored = project.values("docs", "body")
    guessed = {key: dict(CUT)[text] for key, (text, _) in rows.items() if text in dict(CUT)}
    assert set(fates(guess, "docs")) == set(guessed)
    assert {key: json.loads(stored[key] or "") for key in guessed} == {k: json.loads(v) for k, v in guessed.items()}


@pytest.mark.parametrize(("text", "mended"), [*SOUND, *DIGITS])
def test_what_is_mended_says_the_same(text: str, mended: str) -> None:
    found = mend(text, set(USUAL))
    assert found is not None
    assert json.loads(found, parse_float=str, parse_int=str) == json.loads(mended, parse_float=str, parse_int=str)


@pytest.mark.parametrize(("text", "_"), CUT)
def test_what_was_cut_is_guessed_only_if_asked(text: str, _: str) -> None:
    assert mend(text, set(USUAL)) is None
    assert mend(text, set(KINDS)) is not None


@pytest.mark.parametrize(
    ("text", "kind"), [("{'a': 1}", "python_style"), ('{"a": NaN}', "nan"), ("[1,]", "trailing_comma")]
)
def test_a_fault_is_mended_only_where_its_kind_is_asked_for(text: str, kind: str) -> None:
    assert mend(text, {kind}) is not None
    assert mend(text, set(KINDS) - {kind}) is None


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (r'{"a": "x\ud83e"}', '{"a": "x"}'),
        (r'{"a": "\ud83e\udd86\udd86"}', r'{"a": "\ud83e\udd86"}'),
        (r'{"a": "\\ud83e \udd86"}', r'{"a": "\\ud83e "}'),  # an escaped backslash names no half
    ],
)
def test_half_a_surrogate_pair_goes_where_it_is_asked_for(text: str, mended: str) -> None:
    assert mend(text, set(USUAL)) is None
    assert mend(text, {"surrogate"}) == mended


def test_a_fault_within_a_fault_is_left_where_it_is_not_asked_for() -> None:
    assert mend("{'a': nan}", {"python_style"}) is None
    assert mend('{"a": NaN, "b": [1,]}', {"nan"}) is None


def test_kinds_are_a_list_or_words(pristine: Project) -> None:
    one = preview(pristine, "tickets/malformed_json", "repair_json", kinds=["nan"])
    assert fates(one, "tickets") == {"107": "home"}
    both = preview(pristine, "tickets/malformed_json", "repair_json", kinds="nan, trailing_comma")
    assert fates(both, "tickets") == {"107": "home", "108": "home"}
    halves = preview(pristine, "tickets/malformed_json", "repair_json", kinds="surrogate")
    assert fates(halves, "tickets") == {"111": "home"}
    assert put(halves) == {"111": '{"bird": "Tern"}'}
    assert "knows no fault 'comments'" in refused(pristine, "tickets/malformed_json", "repair_json", kinds="comments")


def test_values_are_shown_only_if_asked(pristine: Project) -> None:
    shown = preview(pristine, "tickets/malformed_json", "repair_json")
    assert {(s.key, s.before, s.after) for s in shown.samples} >= {("106", "{'bird': 'Toucan'}", '{"bird": "Toucan"}')}
    masked = pristine.migration.healing.preview(shown.request)
    assert {(s.key, s.before, s.after) for s in masked.samples} >= {("106", "{'xxxx': 'Xxxxxx'}", '{"xxxx": "Xxxxxx"}')}


def test_the_target_keeps_what_was_mended(world: Project) -> None:
    apply(world, "tickets/malformed_json", "repair_json")
    assert row(world, "tickets", 107)["doc"] == {"bird": None, "note": "Puffin NaN"}
