# ruff: noqa: E501
"""Two hand-made catalogs, a probe that knows a little SQL, and a project file that uses the whole language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rowcall.mapping import Mapping, read_mapping
from rowcall.schema import Column, ForeignKey, Schema, Selected, Table, Type, Unique

CATEGORIES = {"text": "S", "varchar": "S", "int4": "N", "int8": "N", "bool": "B"}
FORMATTED = {"int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean", "bpchar": "character"}
ENUM = Type(9001, "case_status", "public", "case_status", "public.case_status", "public.enum_send", kind="e", labels=("open", "closed"))  # fmt: skip


def kind(name: str, modifier: int = -1) -> Type:
    """A built-in type by its typname."""
    formatted = f"character varying({modifier - 4})" if modifier > 0 else FORMATTED.get(name, name)
    schema = "public" if name == "citext" else "pg_catalog"
    return Type(1, name, schema, formatted, formatted, f"{schema}.{name}send", modifier, "b", CATEGORIES.get(name, "U"))


def table(schema: str, name: str, columns: str, *, key: str = "id", unique: Sequence[str] = (), fk: Sequence[str] = ()) -> Table:  # fmt: skip
    """A table from "id int4!, body text, n int8=default": `!` is NOT NULL, `=` has a default, `^` is generated."""
    made = tuple(_column(text.strip()) for text in columns.split(","))
    primary = Unique(f"{name}_pkey", tuple(key.split("+")), primary=True) if key else None
    uniques = tuple(Unique(f"{name}_{one}", tuple(one.split("+"))) for one in unique)
    return Table(
        schema,
        name,
        made,
        primary_key=primary,
        uniques=((primary,) if primary else ()) + uniques,
        foreign_keys=tuple(ForeignKey(f"{name}_{one}_fk", (one,), "public.other", ("id",)) for one in fk),
    )


def _column(text: str) -> Column:
    name, rest = text.split(" ")
    found = re.fullmatch(r"(\w+)([!=^]*)", rest)
    assert found is not None
    signs = found[2]
    type_ = ENUM if found[1] == "case_status" else kind(found[1])
    return Column(name, type_, not_null="!" in signs, has_default="=" in signs, generated="^" in signs)


def schema(*tables: Table) -> Schema:
    return Schema({one.qualified: one for one in tables})


SOURCE = schema(
    table("public", "django_content_type", "id int4!, app_label varchar!, model varchar!"),
    table("public", "auth_user", "id int4!, username varchar!, joined timestamptz", unique=["username"]),
    table("public", "dispatch_instruction", "id int4!, patient_id int4, created_at timestamptz"),
    table("public", "dispatch_case", "id int4!, instruction_id int4, state int4, opened date"),
    table("public", "dispatch_plan", "id int4!, parent_id int4, instruction_id int4, name text"),
    table(
        "public",
        "dispatch_record",
        "id int4!, body text, author_id int4, content_type_id int4, object_id int4, deleted_at timestamptz, "
        "created_at timestamptz!, amount_text text, template_context text, state int4, owner regclass, code uuid",
    ),
    table("public", "dispatch_file", "id int4!, filename text"),
    table("public", "dispatch_file_instruction", "id int4!, file_id int4, instruction_id int4"),
    table("public", "dispatch_file_plan", "id int4!, file_id int4, plan_id int4"),
    table("public", "dispatch_log", "line text, at timestamptz, seen int4!", key=""),
    table("public", "dispatch_pair", "a int4!, b int4!, note text", key="a+b"),
    table("archive", "old_record", "id int4!, body text"),
)
TARGET = schema(
    table("public", "profiles", "id uuid!, legacy_id int8, username text!"),
    table("public", "orders", "id uuid!, legacy_id int8, placed timestamptz"),
    table("public", "cases", "id uuid!, status case_status!, order_id uuid, opened date"),
    table("public", "case_files", "id uuid!, name text!, order_id uuid!", fk=["order_id"]),
    table("public", "pairs", "id uuid!, note varchar"),
    table(
        "public",
        "case_messages",
        "id uuid!, legacy_record_id int8, body text!, slug text, origin text, state case_status, context jsonb, amount numeric, "
        "subject_type text, author_id uuid, case_id uuid, created_at timestamptz!, size int4^, priority int4!=, owner regclass",
        unique=["legacy_record_id"],
    ),
    table("public", "counters", "id int8!, n int4"),
)

VALID = """\
rowcall: 1
project: dispatch
namespace: 5b0e7f0c-9a6e-4d3e-8f55-0d4f2a3b1c11
source: {embedded: legacy, schema: public}
target: {env: TARGET_DSN}
error_budget: 5%
workers: 4
content_types:
  formerly:
    dispatch.plan: [12]

entities:
  profiles:
    from: auth_user
    columns: {legacy_id: id, username: username}
  orders:
    from: dispatch_instruction
    columns: {legacy_id: id, placed: created_at}
  cases:
    from: dispatch_case
    columns:
      status: {from: state, map: {1: open, 2: closed, true: open, null: closed}}
      opened: opened
    references:
      order_id: {to: orders, path: instruction_id, missing: null}
  case_messages:
    from: dispatch_record
    to: case_messages
    key: id
    id: id
    identity: messages
    impact: clinical
    error_budget: 100
    where:
      not_deleted: deleted_at is null
    rules:
      has_body: length(body) > 0
    cutoff: {column: created_at, at: 2025-10-18T00:00:00Z}
    columns:
      legacy_record_id: id
      body: {from: body}
      slug: {sql: "lower(body)"}
      origin: {value: legacy}
      state: {from: state, map: {1: open, 2: closed}, else: {value: open}}
      context: {from: template_context, convert: jsonb}
      amount: {sql: "amount_text", convert: numeric}
      subject_type: {content_type: content_type_id, map: {dispatch.plan: plan}, else: reject}
      created_at: created_at
      priority: {value: 3}
    references:
      author_id: {to: profiles, path: author_id}
      case_id:
        type: content_type_id
        to: cases
        by_type:
          dispatch.plan: object_id -> dispatch_plan.id, parent_id* -> dispatch_plan.id until instruction_id is not null, instruction_id -> dispatch_instruction.id, id -> dispatch_case.instruction_id
          dispatch.case: object_id
          dispatch.instruction: {to: cases, path: [object_id -> dispatch_instruction.id, id -> dispatch_case.instruction_id]}
        sentinels: [0]
        missing: [dangling_reference, unknown_type]
  case_files:
    from: public.dispatch_file
    columns: {name: filename}
    references:
      order_id:
        to: orders
        paths:
          - id -> dispatch_file_instruction.file_id, instruction_id -> dispatch_instruction.id
          - id -> dispatch_file_plan.file_id, plan_id -> dispatch_plan.id, instruction_id -> dispatch_instruction.id
  pairs:
    from: dispatch_pair
    columns: {note: note}
"""


class FakeProbe:
    """Finds unknown words in an expression, and guesses its type from its form."""

    WORDS = frozenset("is not null and or length lower upper now true false in like coalesce".split())  # noqa: SIM905

    def types(self, relation: str, expressions: Sequence[str]) -> Sequence[Type | str]:
        return [self._type(SOURCE.tables[relation.replace('"', "")], text) for text in expressions]

    def query(self, sql: str) -> Selected | str:
        return f"nobody knows {sql}"

    def _type(self, one: Table, text: str) -> Type | str:
        for word in re.findall(r"[a-z_]\w*", re.sub(r"'[^']*'", "", text)):
            if word not in self.WORDS and one.column(word) is None:
                return f'column "{word}" does not exist'
        if re.search(r" is |[<>=]|true|false| like ", text):
            return kind("bool")
        column = one.column(text)
        return column.type if column else kind("text")

    def literals(self, values: Sequence[tuple[str, Type]]) -> Sequence[str | None]:
        return [self._literal(text, type_) for text, type_ in values]

    def _literal(self, text: str, type_: Type) -> str | None:
        sound = {"int4": r"-?\d{1,9}", "bool": "true|false|t|f", "jsonb": r"[\[{].*"}.get(type_.name, r"(?s).*")
        return None if re.fullmatch(sound, text) else f"invalid input syntax for type {type_.formatted}"


def check(folder: Path, text: str) -> Mapping:
    """Reads a text as a project file against the two catalogs."""
    path = folder / "rowcall.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_mapping(path, SOURCE, TARGET, FakeProbe())
