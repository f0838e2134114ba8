"""What parents cost: a batch of rows judged against the fates of more and more parents, in a process of its own.

`python -m bench.crosswalk PROJECT PARENTS` prints {"parents", "batch_rows", "load_cpu", "batch_cpu", "spilled", "peak_rss"}:
processor seconds and bytes. The rows name parents at random, which is the dearest case.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.clock import WayFailed
from bench.ways import TABLE
from rowcall import Migration
from rowcall.move.fates import create_fates
from rowcall.move.judging import judge_batches
from rowcall.plan.judge import Judge, Read
from rowcall.plan.paths import fate_table
from rowcall.workspace import Workspace

PARENT = "profiles"
BATCH_ROWS, BATCHES = 50_000, 5
POINTS = (1_000, 5_000_000, 20_000_000)
VALUES = {
    "channel": "email",
    "priority": "1",
    "template_context": '{"order": 7, "link": "https://example.test/orders/7"}',
}


def points(project: Path, variables: Mapping[str, str], numbers: Sequence[int] = POINTS) -> list[dict[str, Any]]:
    """The measurement for these numbers of parents; `variables` say where the servers are. Raises WayFailed."""
    return [_point(project, number, variables) for number in numbers]


def _point(project: Path, parents: int, variables: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.crosswalk", str(project), str(parents)]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    if done.returncode != 0:
        raise WayFailed(f"bench.crosswalk: {' '.join(done.stderr.split())[-300:]}")
    return dict(json.loads(done.stdout))


def measure(project: Path, parents: int) -> dict[str, Any]:
    plan = Migration.open(project).plan()
    judge, folder = plan.judge(TABLE), project / ".rowcall" / "tmp"
    with Workspace(folder) as workspace:
        duck, begun = workspace.cursor(), time.process_time()
        create_fates(duck, plan.judge(PARENT))
        fates = f"select range, 'migrated', unhex(md5(range::varchar)) from range({parents})"
        duck.execute(f"insert into {fate_table(PARENT)} (k, outcome, uid) {fates}")
        for statement in judge.prepare:
            duck.execute(statement)
        loaded = time.process_time() - begun
        random = np.random.default_rng(1)
        spent = [_judged(judge, _batch(judge, random.integers(0, parents, BATCH_ROWS)), duck) for _ in range(BATCHES)]
        spilled = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "parents": parents,
        "batch_rows": BATCH_ROWS,
        "load_cpu": round(loaded, 3),
        "batch_cpu": round(statistics.median(spent), 4),
        "spilled": spilled,
        "peak_rss": peak,
    }


def _judged(judge: Judge, batch: Any, duck: Any) -> float:
    begun = time.process_time()
    for verdicts in judge_batches(judge, [batch], duck, lambda *_: []):
        assert verdicts.accepted.num_rows == len(batch), "every row of this batch is sound"
    return time.process_time() - begun


def _batch(judge: Judge, parents: Any) -> Any:
    """Rows as the source sends them: the parents given, all else alike."""
    known = {"k": pa.array(np.arange(len(parents)), pa.int64()), "p recipient_id": pa.array(parents, pa.int64())}
    columns = {read.alias: known.get(read.alias, _column(read, len(parents))) for read in judge.reads}
    return pa.RecordBatch.from_pydict(columns | {"failed": pa.nulls(len(parents), pa.string())})


def _column(read: Read, rows: int) -> Any:
    if read.type.startswith("int"):
        return pa.array(np.arange(rows), pa.int64())
    text = next((value for column, value in VALUES.items() if column in read.sql), None)
    value = pa.scalar(b"12345678", pa.binary()) if text is None else pa.scalar(text, pa.string())
    return pa.repeat(value, rows)


def main(words: Sequence[str]) -> int:
    sys.stdout.write(json.dumps(measure(Path(words[0]), int(words[1]))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
