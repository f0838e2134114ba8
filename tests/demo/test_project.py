"""The demo's mapping and target schema agree with its legacy database."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from rowcall.demo import ENTITIES, TARGET_SQL, generate, mapping_yaml, namespace
from rowcall.mapping import read_mapping
from rowcall.postgres.catalog import ServerProbe, read_schema

from .conftest import NewDatabase


def test_the_mapping_has_no_fault(new_database: NewDatabase, tmp_path: Path) -> None:
    legacy, target = new_database("legacy"), new_database("target")
    generate(legacy, "small", 7)
    target.execute(TARGET_SQL)
    file = tmp_path / "rowcall.yaml"
    file.write_text(mapping_yaml(7), "utf-8")
    mapping = read_mapping(file, read_schema(legacy), read_schema(target), ServerProbe(legacy, target))
    assert {entity.name for entity in mapping.entities} == set(ENTITIES)
    assert mapping.namespace == namespace(7)


def test_every_table_of_the_target_has_row_level_security(new_database: NewDatabase) -> None:
    target = new_database("target")
    target.execute(TARGET_SQL)
    schema = read_schema(target)
    assert {table.name for table in schema.tables.values()} == set(ENTITIES) - {"patient_profiles"}
    assert all(table.row_security for table in schema.tables.values())


def test_each_seed_has_its_namespace() -> None:
    assert namespace(7) != namespace(42)
    assert str(namespace(42)) in mapping_yaml(42)
    assert str(UUID(int=0)) not in mapping_yaml(42)
