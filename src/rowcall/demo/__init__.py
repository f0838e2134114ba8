"""The dispatch demo: a legacy database with planted damage, its answer sheet, a UUID target, and the mapping."""

from rowcall.demo.generate import DEFAULT_SEED, ENTITIES, SCALES, facts, generate
from rowcall.demo.project import TARGET_SQL, mapping_yaml, namespace

__all__ = ["DEFAULT_SEED", "ENTITIES", "SCALES", "TARGET_SQL", "facts", "generate", "mapping_yaml", "namespace"]
