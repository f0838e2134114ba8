"""A whole file: what it becomes, where its parts stand, and that twelve mistakes are told in one go."""

from __future__ import annotations

from pathlib import Path

import pytest
from mapping_world import SOURCE, TARGET, VALID, FakeProbe, check

from rowcall.errors import MappingError, UsageError
from rowcall.mapping import load, peek, read_mapping
from rowcall.mapping.model import Budget, Cutoff, Endpoint, Hop, Reference, Route, Rule, ValueMap
from rowcall.rows import Reason


def test_a_rich_file_becomes_typed_values(tmp_path: Path) -> None:
    mapping = check(tmp_path, VALID)
    assert (mapping.project, mapping.source) == ("dispatch", Endpoint("embedded", "legacy"))
    assert mapping.target == Endpoint("env", "TARGET_DSN")
    assert mapping.budget == Budget(share=0.05)
    assert mapping.content_types.table == "public.django_content_type"
    assert mapping.content_types.formerly == {"dispatch.plan": (12,)}
    assert [entity.name for entity in mapping.entities] == [
        "profiles", "orders", "cases", "case_messages", "case_files", "pairs",
    ]  # fmt: skip
    messages = mapping.entity("case_messages")
    assert (messages.source, messages.target) == ("public.dispatch_record", "public.case_messages")
    assert (messages.key, messages.id_column, messages.identity) == (("id",), "id", "messages")
    assert (messages.impact, messages.budget) == ("clinical", Budget(rows=100))
    assert messages.where == (Rule("not_deleted", "deleted_at is null"),)
    assert messages.cutoff == Cutoff("created_at", "2025-10-18T00:00:00+00:00")
    assert mapping.entity("pairs").key == ("a", "b")
    assert mapping.entity("orders").identity == "orders"


def test_columns(tmp_path: Path) -> None:
    mapping = check(tmp_path, VALID)
    rules = {rule.column: rule for rule in mapping.entity("case_messages").columns}
    assert rules["body"].source == "body"
    assert rules["slug"].sql == "lower(body)"
    assert (rules["origin"].constant, rules["origin"].has_constant) == ("legacy", True)
    assert rules["priority"].constant == "3"
    assert (rules["context"].source, rules["context"].convert) == ("template_context", "jsonb")
    assert rules["state"].values == ValueMap((("1", "open"), ("2", "closed")), "use", "open")
    assert rules["subject_type"].values == ValueMap((("dispatch.plan", "plan"),))
    (status, _) = mapping.entity("cases").columns
    assert status.values == ValueMap((("1", "open"), ("2", "closed"), ("true", "open"), (None, "closed")))


def test_references(tmp_path: Path) -> None:
    mapping = check(tmp_path, VALID)
    author, case = mapping.entity("case_messages").references
    assert author == Reference("author_id", (Route("profiles", (Hop("author_id", "public.auth_user", "id"),)),))
    assert (case.type_column, case.sentinels) == ("content_type_id", ("0",))
    assert case.missing == {Reason.DANGLING_REFERENCE, Reason.UNKNOWN_TYPE}
    plan, direct, order = case.routes
    assert plan.content_type == "dispatch.plan"
    assert plan.path == (
        Hop("object_id", "public.dispatch_plan", "id"),
        Hop("parent_id", "public.dispatch_plan", "id", climb=True, until="instruction_id is not null"),
        Hop("instruction_id", "public.dispatch_instruction", "id"),
        Hop("id", "public.dispatch_case", "instruction_id"),
    )
    assert direct.path == (Hop("object_id", "public.dispatch_case", "id"),)
    assert len(order.path) == 2
    (file,) = mapping.entity("case_files").references
    assert [len(route.path) for route in file.routes] == [2, 3]
    (optional,) = mapping.entity("cases").references
    assert optional.missing == {
        Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.DANGLING_REFERENCE, Reason.PARENT_EXCLUDED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("true", "true"), ("3", "3"), ("1.50", "1.50"), ("-.inf", "-Infinity"), (".nan", "NaN"), ("1e400", "1E+400"),
        ("null", None), ("2025-10-18", "2025-10-18"), ("'007'", "007"), ("yes", "yes"), ("0x1F", "31"), ("''", ""),
        ("{a: [1, 2.50, null, x, true]}", '{"a": [1, 2.50, null, "x", true]}'), ("[é]", '["é"]'),
    ],
)  # fmt: skip
def test_constants_keep_their_spelling(tmp_path: Path, written: str, text: str | None) -> None:
    mapping = check(tmp_path, VALID.replace("{value: legacy}", f"{{value: {written}}}"))
    rules = {rule.column: rule for rule in mapping.entity("case_messages").columns}
    assert rules["origin"].constant == text


def test_a_folded_text_is_one_line(tmp_path: Path) -> None:
    folded = VALID.replace(
        'slug: {sql: "lower(body)"}', "slug:\n          sql: >-\n            lower(\n            body)"
    )
    assert folded != VALID
    rules = {rule.column: rule for rule in check(tmp_path, folded).entity("case_messages").columns}
    assert rules["slug"].sql == "lower( body)"


def test_schema_names_and_merge_keys(tmp_path: Path) -> None:
    text = VALID + "  old:\n    from: archive.old_record\n    to: public.pairs\n    columns:\n      <<: {note: body}\n"
    old = check(tmp_path, text).entity("old")
    assert (old.source, old.target, old.columns[0].source) == ("archive.old_record", "public.pairs", "body")


def test_positions_are_exact(tmp_path: Path) -> None:
    mapping = check(tmp_path, VALID)
    lines = VALID.splitlines()
    for loc, (line, column) in mapping.positions.items():
        if isinstance(loc[-1], str) and loc[-1] != "null":
            assert lines[line - 1][column - 1 :].startswith(loc[-1]), loc
    assert mapping.positions["entities", "case_messages", "columns", "body"] == (41, 7)
    assert mapping.positions["entities", "case_messages", "references", "case_id", "sentinels", 0] == (59, 21)
    assert mapping.place("entities", "case_messages", "columns", "body", "nowhere").endswith("rowcall.yaml:41:7")


def test_the_fingerprint_is_of_what_decides(tmp_path: Path) -> None:
    one = check(tmp_path, VALID).fingerprint
    same = [
        ("5%", "6%"),
        ("clinical", "none"),
        ("TARGET_DSN", "OTHER"),
        ("100", "7"),
        ("workers: 4", "workers: auto"),
        ("rowcall: 1", "# hi\nrowcall: 1"),
    ]
    other = [("(body) > 0", "(body) > 1"), ("[12]", "[13]"), ("identity: messages", "identity: m"), ("[0]", "[1]")]
    for old, new in same:
        assert check(tmp_path, VALID.replace(old, new, 1)).fingerprint == one
    for old, new in other:
        assert check(tmp_path, VALID.replace(old, new, 1)).fingerprint != one


TWELVE = """\
rowcall: 1
project: dispatch
namespace: 5b0e7f0c-9a6e-4d3e-8f55
source: {embedded: legacy}
target: {dsn: "host=db.example.org port=6543 user=app dbname=app"}
error_bugdet: 5%
entities:
  profiles:
    from: auth_users
    columns: {legacy_id: id, username: username}
  orders:
    from: dispatch_instruction
    columns: {legacy_id: id, placed: created}
  cases:
    from: dispatch_case
    columns:
      status: {from: state, map: {1: opened, 2: closed}}
      opened: opened
      opened: id
    references:
      order_id: {to: order, path: instruction_id}
  case_messages:
    from: dispatch_record
    where:
      not_deleted: deleted_at is nul
    cutoff: {column: created_at, at: 2025-10-18T00:00:00}
    columns:
      body: body
      size: state
      context: template_context
      amount: {from: amount_text, convert: number}
    references:
      author_id: {to: profiles, path: author_id, missing: [null_reference, dangling]}
      case_id:
        type: content_type_id
        to: cases
        by_type:
          dispatch.plan: object_id -> dispatch_plan.id, instruction -> dispatch_instruction.id, id -> dispatch_case.instruction_id
"""

TWELVE_FAULTS = """\
3:12: is not a uuid that can name ids: write a random one, as `uuidgen` prints it
5:15: port 6543 is a transaction pooler, where no snapshot lives: write 5432 (direct or session)
6:1: there is no key 'error_bugdet' here: did you mean 'error_budget'?
9:11: the source has no table 'auth_users': did you mean 'auth_user'?
13:38: dispatch_instruction has no column 'created': did you mean 'created_at'?
17:38: 'opened' is no label of case_status: did you mean 'open'?
19:7: the key 'opened' stands at 18:7 already: leave one of both out
21:22: there is no entity 'order': did you mean 'orders'?
25:20: the source does not take this SQL (column "nul" does not exist): write one of id, body, author_id, \
content_type_id, object_id, deleted_at, created_at, amount_text, template_context, state, owner, code
26:38: has no offset, so it names no moment: write 2025-10-18T00:00:00Z, or its offset
27:5: nothing fills case_messages.created_at, which is NOT NULL without a default: write `created_at: created_at` \
under `columns`
29:7: size is a generated column, which the target computes: leave it out
30:16: text does not become jsonb (context) by itself: write `{from: template_context, convert: jsonb}`
31:44: there is no conversion 'number': did you mean 'numeric'?
33:76: 'dangling' is no code that may become NULL: did you mean 'dangling_reference'?
38:57: dispatch_plan has no column 'instruction': did you mean 'instruction_id'?
"""


def test_many_mistakes_are_told_in_one_go(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as caught:
        check(tmp_path, TWELVE)
    said = [str(fault).removeprefix(f"{tmp_path}/rowcall.yaml:") for fault in caught.value.faults]
    assert said == TWELVE_FAULTS.splitlines()
    assert caught.value.exit_code == 2


BROKEN = [
    ("", 1, 1, "the file is empty"),
    ("# nothing\n", 1, 1, "the file is empty"),
    ("- a\n", 1, 1, "a project file is a mapping with `rowcall: 1`"),
    ("text", 1, 1, "a project file is a mapping"),
    ("rowcall: 1\n\tproject: x\n", 2, 1, "a tab cannot indent YAML: write spaces"),
    ("rowcall: 1\nentities:\n\t- a\n", 3, 1, "a tab cannot indent YAML"),
    ("project: 'x\n", 2, 1, "write the closing quote"),
    ("a: {b: c\n", 2, 1, "write `}`, `]` or `,` here"),
    ("a: b: c\n", 1, 5, "a second `: ` cannot stand here"),
    ("a: *b\n", 1, 4, "an alias needs its anchor above"),
    ("a: 1\n---\nb: 2\n", 2, 1, "remove the `---`"),
    ("a: b\x01\n", 1, 5, "a control character cannot stand in YAML"),
    ("a: @x\n", 1, 4, "write the value in quotes"),
    ("a: \udcff\n", 1, 4, "the file is not UTF-8 here"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), BROKEN)
def test_what_is_not_a_yaml_mapping_is_a_fault_with_a_place(
    tmp_path: Path, text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(MappingError) as caught:
        check(tmp_path, text)
    first = caught.value.faults[0]
    assert (first.line, first.column) == (line, column), first
    assert words in first.message


def test_an_alias_into_its_own_anchor_and_endless_aliases(tmp_path: Path) -> None:
    bomb = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    for text in ("entities: &a {x: *a}\n", "a0: &a0 [x, x]\n" + bomb):
        with pytest.raises(MappingError, match="write the part out"):
            check(tmp_path, text)


def test_a_missing_file_is_a_usage_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_mapping(tmp_path / "rowcall.yaml", SOURCE, TARGET, FakeProbe())
    assert "rowcall demo" in caught.value.hint
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)


def test_peek_reads_the_endpoints_of_a_file_with_other_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "rowcall.yaml"
    path.write_text(TWELVE.replace("6543", "5432"))
    ends = peek(path)
    assert ends.source == Endpoint("embedded", "legacy")
    assert ends.target.kind == "dsn"
    path.write_text(TWELVE)
    with pytest.raises(MappingError) as caught:
        peek(path)
    assert "write 5432" in str(caught.value)
    assert "error_bugdet" in str(caught.value)
