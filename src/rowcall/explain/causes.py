"""Causes: the quarantined rows by entity and code, root first, with what each cause keeps back.

They are computed from DuckDB's `rejected`, the first rejection of every quarantined row. The ledger fills it after a run, the
forecast before one.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from rowcall.explain.proof import Proof
from rowcall.postgres.queries import named_queries
from rowcall.postgres.read import Reader
from rowcall.rejected import create_rejected, load_rejected
from rowcall.rows import Reason


@dataclass(frozen=True)
class Group:
    """The rows of a cause that fail at the same place for the same evidence."""

    column: str | None
    hop: int | None
    evidence: str | None
    rows: int

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, "hop": self.hop, "evidence": self.evidence, "rows": self.rows}


@dataclass(frozen=True)
class Sample:
    """One row of a cause, with the value that its first rejection saw: masked unless the values were asked for."""

    key: str = field(repr=False)
    column: str | None
    hop: int | None
    value: str | None = field(repr=False)
    evidence: str | None
    detail: str | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Cause:
    """Why a set of rows was rejected. `share` is of all quarantined rows; `roots` are the distinct root rows behind
    them, `victims` the rows of any entity that they keep back; `open` those that nothing was decided of yet; `freed` the
    rows, of any entity, that come home once this cause is healed: those that have, and depend on, no other defect."""

    entity: str
    code: str
    rows: int
    share: float
    roots: int
    victims: int
    open: int
    groups: tuple[Group, ...] = ()
    examples: tuple[str, ...] = field(
        default=(), repr=False
    )  # some keys, for the screen alone: a key may be personal data
    freed: int = 0
    proof: Proof | None = None
    remedies: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    parents: int | None = None  # different parents that these rows name, of which none is there; of references alone

    @property
    def attribution(self) -> str:
        return Reason(self.code).attribution

    @property
    def is_root(self) -> bool:
        """Whether the rows' own defect is meant, not that of a parent."""
        return self.code != Reason.PARENT_QUARANTINED.value

    def as_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "code": self.code,
            "attribution": self.attribution,
            "rows": self.rows,
            "share": self.share,
            "roots": self.roots,
            "victims": self.victims,
            "open": self.open,
            "freed": self.freed,
            "parents": self.parents,
            "groups": [group.as_json() for group in self.groups],
            "proof": self.proof.as_json() if self.proof else None,
            "remedies": list(self.remedies),
            "samples": [sample.as_json() for sample in self.samples],
        }


def query(name: str) -> str:
    return named_queries("rowcall.explain", "queries.sql")[name]


def read_rejected(target: Reader, duck: duckdb.DuckDBPyConnection, *, repaired: bool = False) -> None:
    """`rejected` as the ledger has it. Rows that repairs brought home are no longer rejected; `repaired`: as the run left them,
    but for those that came home as the source itself was fixed."""
    create_rejected(duck)
    sql = query("load_rejected") + (query("but_fixed") if repaired else " where q.disposition <> 'repaired'")
    load_rejected(duck, target.batches(sql), "other_rejections(more)")


def find_causes(duck: duckdb.DuckDBPyConnection) -> tuple[Cause, ...]:
    """The causes of the rows in `rejected`: own defects first, each sort by what it keeps back, then by its rows."""
    try:
        return _find_causes(duck)
    except (
        duckdb.OutOfMemoryException
    ):  # a walk cannot spill: millions of victims are worth more memory than a run may have
        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        duck.execute(f"set memory_limit = '{half // 2**20}MiB'")
        return _find_causes(duck)


def _find_causes(duck: duckdb.DuckDBPyConnection) -> tuple[Cause, ...]:
    duck.execute(query("links"))
    groups: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for entity, code, *rest in duck.execute(query("groups")).fetchall():
        groups[entity, code].append(Group(*rest))
    victims = {(entity, code): n for entity, code, n in duck.execute(query("victims")).fetchall()}
    freed = {(entity, code): n for entity, code, n in duck.execute(query("freed")).fetchall()}
    found = duck.execute(query("causes")).fetchall()
    total = sum(row[2] for row in found)
    causes = [
        Cause(
            e, c, rows, rows / total, roots, victims.get((e, c), 0), still_open, tuple(groups[e, c]), tuple(keys),
            freed.get((e, c), 0),
        )
        for e, c, rows, roots, still_open, keys in found
    ]  # fmt: skip
    return tuple(sorted(causes, key=lambda c: (not c.is_root, -c.victims, -c.rows, c.entity, Reason(c.code).order)))
