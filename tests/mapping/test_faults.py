# ruff: noqa: E501
"""One mistake at a time: exactly one fault, at the very place, that says what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from mapping_world import VALID, check

from rowcall.errors import MappingError

LONG = "x" * 64
RECORD = "    from: dispatch_record\n"

# (what stands in the valid file, what is written instead, the text that the fault points at, words of the message)
CASES: list[tuple[str, str, str, str]] = [
    # the head
    ("rowcall: 1", "rowcall: 2", "2\n", "must be 1: write that"),
    ("project: dispatch\n", "", "rowcall: 1", "`project` is missing: write a name"),
    ("project: dispatch\n", "projct: dispatch\n", "projct", "there is no key 'projct' here: did you mean 'project'?"),
    ("project: dispatch", "project: [dispatch]", "project", "must be text: write it in quotes, not a list"),
    ("project: dispatch", 'project: " "', '" "', "is blank"),
    ("5b0e7f0c-9a6e-4d3e-8f55-0d4f2a3b1c11", "5b0e7f0c", "5b0e7f0c", "is not a uuid that can name ids"),
    ("5b0e7f0c-9a6e-4d3e-8f55-0d4f2a3b1c11", "00000000-0000-0000-0000-000000000000", "00000000-", "write a random one"),
    ("error_budget: 5%", "error_budget: five", "five", "write a share such as 5%"),
    ("error_budget: 5%", "error_budget: 101%", "101%", "is no error budget"),
    ("error_budget: 100", "error_budget: -1", "-1", "is no error budget"),
    ("workers: 4", "workers: 0", "0\ncontent", "is no number of workers: write auto, or a number such as 4"),
    ("workers: 4", "workers: many", "many", "write auto"),
    ("workers: 4", "workers: true", "true", "is no number of workers"),
    ("project: dispatch\n", "project: a\nproject: b\n", "project: b", "stands at 2:1 already: leave one of both out"),
    ("project: dispatch", "project: !secret dispatch", "!secret", "a tag means nothing here"),
    # endpoints
    ("{env: TARGET_DSN}", "legacy", "legacy\nerror", "takes where a server is, such as `{env: SOURCE_DSN}`, not text"),
    ("{env: TARGET_DSN}", "{env: A, service: b}", "target:", "more than one thing about where the server is"),
    ("{env: TARGET_DSN}", "{schema: public}", "target:", "write exactly one of env, service, dsn, embedded"),
    ("{env: TARGET_DSN}", "{env: postgres://a/b}", "postgres://a/b", "takes the name of a variable"),
    ("{env: TARGET_DSN}", '{dsn: "host=h password=hunter2"}', '"host', "a project file holds no password"),
    ("{env: TARGET_DSN}", '{dsn: "postgresql://u:hunter2@h/db"}', '"postgresql', "a project file holds no password"),
    ("{env: TARGET_DSN}", '{dsn: "postgresql://u@h:6543/db"}', '"postgresql', "write 5432"),
    ("{env: TARGET_DSN}", '{dsn: "host=h port=6543"}', '"host', "write 5432"),
    ("{env: TARGET_DSN}", '{dsn: "nonsense"}', '"nonsense', "cannot be read as a dsn"),
    ("{env: TARGET_DSN}", "{embedded: ../x}", "../x", "names a server of the project folder"),
    ("{env: TARGET_DSN}", "{embedded: legacy}", "target:", "source and target are the same"),
    # content types
    ("dispatch.plan: [12]", "plan: [12]", "plan: [12]", "write its label `app_label.model`"),
    ("dispatch.plan: [12]", "dispatch.plan: 12", "12\n", "must be a list"),
    ("dispatch.plan: [12]", "dispatch.plan: [12]\n    dispatch.x: [7, 12]", "12]\n\nent", "12 was dispatch.plan already"),
    ("  formerly:", "  table: auth_user\n  formerly:", "auth_user", "auth_user has no column 'app_label' and 'model', so"),
    ("  formerly:", "  table: content_type\n  formerly:", "content_type\n", "did you mean 'django_content_type'?"),
    # entities: tables, keys, ids
    (RECORD, "    from: dispatch_recrd\n", "dispatch_recrd", "the source has no table 'dispatch_recrd': did you mean 'dispatch_record'?"),
    (RECORD, "    form: dispatch_record\n", "form:", "there is no key 'form' here: did you mean 'from'?"),
    ("    to: case_messages", "    to: case_mesages", "case_mesages", "did you mean 'case_messages'?"),
    ("    to: case_messages", f"    to: {LONG}", LONG, "Postgres keeps 63"),
    ("  pairs:\n", "  pears:\n", "pears", "the target has no table 'pears': did you mean 'pairs'?"),
    ("  pairs:\n", f"  {LONG}:\n    to: pairs\n", LONG, "Postgres keeps 63"),
    ("  pairs:\n", '  "a pair":\n    to: pairs\n', '"a pair"', "is no name for an entity"),
    ("from: dispatch_pair\n    columns: {note: note}", "from: dispatch_log", "pairs:", "dispatch_log has no primary key: dispatch_log has no unique index"),
    ("key: id", "key: ident", "ident", "dispatch_record has no column 'ident'"),
    ("key: id", "key: author_id", "author_id\n    id", "author_id may be NULL, so it is no key: write `key: id`"),
    ("key: id", "key: created_at", "created_at\n    id", "(created_at) is not unique in the catalog, so it is no key: write `key: id`"),
    ("    id: id\n", "    id: legacy_record_id\n", "legacy_record_id\n    ident", "is int8, and ids are uuids: write id".replace("int8", "bigint")),
    ("    id: id\n", "    id: author_id\n", "author_id\n    ident", "author_id is not unique, so it holds no ids: write id"),
    ("    columns: {note: note}", "    to: counters", "pairs:", "the key of counters is not one uuid column: give the target"),
    ("identity: messages", "identity: 'a:b'", "'a:b'", "an identity has no spaces, `:` or `/`"),
    ("    columns: {note: note}", "    columns: 7", "7\n", "must be a mapping"),
    ("    from: dispatch_pair\n    columns: {note: note}", "    7", "7\n", "takes a mapping with `from:`"),
    # conditions
    ("deleted_at is null", "delted_at is null", "delted_at", "did you mean 'deleted_at'?"),
    ("deleted_at is null", "deleted_at", "deleted_at\n", "yields timestamptz, not a boolean: write a condition"),
    ("length(body) > 0", "true", "true\n    cut", "must be text: write it in quotes, not true or false"),
    ("has_body:", "not_deleted:", "not_deleted: len", "names a condition of `where` too: write another name"),
    ("at: 2025-10-18T00:00:00Z", "at: 2025-10-18T00:00:00", "2025-10-18T", "has no offset, so it names no moment: write 2025-10-18T00:00:00Z"),
    ("at: 2025-10-18T00:00:00Z", "at: yesterday", "yesterday", "is no ISO 8601 time"),
    ("column: created_at, at", "column: body, at", "body, at", "body is text, not a time: write a column that holds one, such as deleted_at"),
    ("column: created_at, at", "column: create_at, at", "create_at", "did you mean 'created_at'?"),
    ("{column: created_at, at: 2025-10-18T00:00:00Z}", "{column: created_at}", "cutoff", "`at` is missing"),
    # columns
    ("      body: {from: body}\n", "", "columns:\n      legacy_record_id", "nothing fills case_messages.body, which is NOT NULL without a default: write `body: body`"),
    ("      slug: {sql", "      slag: {sql", "slag", "case_messages has no column 'slag': did you mean 'slug'?"),
    ("      slug: {sql", "      size: {sql", "size", "is a generated column, which the target computes: leave it out"),
    ("      slug: {sql", "      id: {sql", "id: {sql", "id keeps a uuid of the source: write the column that holds it|text does not become uuid (id) by itself"),
    ("body: {from: body}", "body: {from: bdy}", "bdy", "dispatch_record has no column 'bdy': did you mean 'body'?"),
    ("body: {from: body}", "body: {fron: body}", "fron: body}", "did you mean 'from'?"),
    ("body: {from: body}", "body: bdy", "bdy", "did you mean 'body'?"),
    ("body: {from: body}", "body: lower(body)", "lower(body)\n", 'write `{sql: "..."}` for an expression'),
    ("body: {from: body}", "body: 5", "5\n      slug", "takes a source column, or a mapping"),
    ("body: {from: body}", "body: {from: body, sql: body}", "body: {from", "more than one thing fills this column"),
    ("body: {from: body}", "body: {}", "body: {}", "nothing fills this column"),
    ("body: {from: body}", "body: {value: null}", "null}\n      slug", "body is NOT NULL: write a value"),
    ("body: {from: body}", "body: {from: state}", "state}\n      slug", "integer does not become text (body) by itself: write `{from: state, convert: text}`"),
    ("convert: jsonb}", "convert: json}", "json}", "there is no conversion 'json': did you mean 'jsonb'?"),
    ("convert: jsonb}", "convert: int}", "int}", "`convert: int` does not yield jsonb (context): write `convert: jsonb`"),
    (", convert: jsonb", "", "template_context}", "text does not become jsonb (context) by itself: write `{from: template_context, convert: jsonb}`"),
    (", convert: numeric", "", '"amount_text"', "write `convert: numeric` beside the sql"),
    ('{sql: "amount_text",', '{sql: "amunt_text",', '"amunt_text"', "did you mean 'amount_text'?"),
    ("{value: legacy}", "{value: legacy, convert: text}", "text}\n      state", "need no conversion: leave `convert` out"),
    ("{value: legacy}", "{value: legacy, map: {a: b}}", "origin", "a constant needs no value map"),
    ("priority: {value: 3}", "priority: {value: high}", "high", "'high' is no integer (invalid input syntax for type integer)"),
    ("priority: {value: 3}", "owner: owner", "owner\n", "names an object of the source's own catalog"),
    ("map: {1: open, 2: closed}", "map: {1: opn, 2: closed}", "opn", "'opn' is no label of case_status: did you mean 'open'?"),
    ("else: {value: open}", "else: {value: shut}", "shut", "'shut' is no label of case_status: write one of open, closed"),
    ("else: {value: open}", "else: open", "open}\n      context", "write `else: {value: open}` for a value"),
    ("{from: state, map: {1: open, 2: closed}, else: {value: open}}", "{from: state, else: keep}", "state: {from: state, else", "`else` belongs to a value map"),
    ('amount: {sql: "amount_text", convert: numeric}', 'amount: {sql: "amount_text", map: {a: 1}, else: keep}', "keep}", "`keep` keeps the source's text, and amount is numeric: write `else: reject`"),
    ("map: {1: open, 2: closed}, else: {value: open}", "map: {1: open}, convert: enum", "enum}", "need no conversion: leave `convert` out"),
    ("{content_type: content_type_id, map", "{content_type: body, map", "body, map", "body is text, and ids of content types are integers"),
    ("map: {dispatch.plan: plan}, else: reject", "map: {12: plan}, else: reject", "12: plan", "'12' is no content type"),
    ("content_type: content_type_id, map", "content_type: content_typ_id, map", "content_typ_id", "did you mean 'content_type_id'?"),
    # references
    ("author_id: {to: profiles", "author_id: {to: profile", "profile,", "there is no entity 'profile': did you mean 'profiles'?"),
    ("author_id: {to: profiles", "slug: {to: profiles", "slug: {to", "slug is filled under `columns` too|slug is text, and a reference becomes a uuid"),
    ("author_id: {to: profiles", "subject: {to: profiles", "subject: {to", "case_messages has no column 'subject'"),
    ("path: author_id}", "path: authr_id}", "authr_id", "dispatch_record has no column 'authr_id': did you mean 'author_id'?"),
    ("path: author_id}", "path: body -> auth_user.joined}", "body -> auth", "body is text and auth_user.joined is timestamptz: write two columns that can be compared"),
    ("path: author_id}", "path: author_id -> auth_user}", "auth_user}", "a hop lands on a column, not on 'auth_user': write `author_id -> auth_user.<column>`"),
    ("path: author_id}", "path: author_id => auth_user.id}", "author_id =>", "cannot read the hop"),
    ("path: author_id}", "path: author_id -> dispatch_file.id}", "dispatch_file.id", "the path ends in dispatch_file, and profiles comes from auth_user: write one more hop"),
    ("path: author_id}", "path: a, paths: [b]}", "author_id: {to", "path and paths says how to find the parent"),
    ("path: author_id}", "}", "author_id: {to", "nothing says how to find the parent"),
    ("author_id: {to: profiles, path: author_id}", "author_id: {path: author_id}", "author_id: {path", "`to` is missing"),
    ("type: content_type_id\n", "type: content_typ_id\n", "content_typ_id\n", "did you mean 'content_type_id'?"),
    ("          dispatch.case: object_id\n", "          case: object_id\n", "case: object_id", "write its label `app_label.model`"),
    ("object_id -> dispatch_plan.id, p", "object_id -> dispatch_pln.id, p", "dispatch_pln.id", "did you mean 'dispatch_plan'?"),
    ("object_id -> dispatch_plan.id, p", "object_id -> dispatch_plan.idd, p", "dispatch_plan.idd", "dispatch_plan has no column 'idd'"),
    ("parent_id* -> dispatch_plan.id until", "parent_id* -> dispatch_case.id until", "dispatch_case.id until", "a climb stays in its table: write `parent_id* -> dispatch_plan.<unique column>`"),
    ("parent_id* -> dispatch_plan.id until", "parent_id* -> dispatch_plan.parent_id until", "dispatch_plan.parent_id until", "a climb needs a unique column, and dispatch_plan.parent_id is none: write dispatch_plan.id"),
    ("parent_id* -> dispatch_plan.id until", "parent_id -> dispatch_plan.id until", "until", "`until` belongs to a climbing hop: write `parent_id* -> dispatch_plan.id until CONDITION`"),
    ("until instruction_id is not null", "until instructon_id is not null", "instructon_id", "did you mean 'instruction_id'?"),
    ("instruction_id -> dispatch_instruction.id, id -> dispatch_case.instruction_id\n          dispatch.case", "instruction_id\n          dispatch.case", "instruction_id\n          dispatch.case", "lands nowhere: write such as `instruction_id -> dispatch_case.id`"),
    ("sentinels: [0]", "sentinels: 0", "0\n        missing", "must be a list"),
    ("sentinels: [0]", "sentinels: [0, null]", "null]", "is no value to look for: write such as 0"),
    ("        to: cases\n        by_type", "        by_type", "dispatch.plan: object", "no `to` says which entity this way leads to|write `{to: <entity>, path: ...}`"),
    ("{to: cases, path: [", "{to: case, path: [", "case, path", "there is no entity 'case': did you mean 'cases'?"),
    ("missing: [dangling_reference,", "missing: [dangling,", "dangling, unk", "'dangling' is no code that may become NULL: did you mean 'dangling_reference'?"),
    ("        to: orders\n        paths:", "        to: orders\n        missing: null\n        paths:", "missing: null\n        paths", "order_id is NOT NULL, so dangling_reference, null_reference, parent_excluded, sentinel_reference cannot become NULL"),
    ("          - id -> dispatch_file_instruction.file_id, i", "          - idd -> dispatch_file_instruction.file_id, i", "idd ->", "dispatch_file has no column 'idd'"),
    ("    references:\n      order_id:\n        to: orders\n        paths:", "    referenses:\n      order_id:\n        to: orders\n        paths:", "referenses", "did you mean 'references'?"),
]  # fmt: skip


def place(text: str, at: str) -> tuple[int, int]:
    """Line and column, from 1, of the only place where `at` stands."""
    index = text.rindex(at) if text.count(at) == 1 else text.index(at)
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(
    ("old", "new", "at", "words"), CASES, ids=[f"{n}-{new[:30]!r}" for n, (_, new, _, _) in enumerate(CASES)]
)
def test_one_mistake_is_one_fault_at_its_place(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    assert old in VALID
    text = VALID.replace(old, new, 1)
    with pytest.raises(MappingError) as caught:
        check(tmp_path, text)
    faults = caught.value.faults
    assert len(faults) == len(words.split("|")), "\n".join(map(str, faults))
    for fault in faults:
        assert any(part in fault.message for part in words.split("|")), fault
    assert (faults[0].line, faults[0].column) == place(text, at), (faults[0], place(text, at))
    assert "hunter2" not in str(caught.value)


def test_two_entities_that_would_share_ids(tmp_path: Path) -> None:
    text = VALID + "  more_pairs:\n    from: dispatch_pair\n    to: pairs\n    identity: pairs\n"
    with pytest.raises(MappingError) as caught:
        check(tmp_path, text)
    (fault,) = caught.value.faults
    assert "pairs fills pairs with the identity 'pairs' too" in fault.message
    assert (fault.line, fault.column) == (text.count("\n"), 5)
