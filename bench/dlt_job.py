"""dlt's part, run by the peers' own Python: one table, read as Arrow by BENCH_BACKEND, loaded as files of BENCH_FORMAT."""

from __future__ import annotations

import os
from typing import Any

import dlt
from dlt.sources.sql_database import sql_table

CHUNK_ROWS = 100_000
OPTIONS: dict[str, dict[str, Any]] = {"pyarrow": {}, "connectorx": {"backend_kwargs": {"return_type": "arrow"}}}


def main() -> None:
    backend = os.environ["BENCH_BACKEND"]
    table = sql_table(
        credentials=os.environ["BENCH_SOURCE"],
        table="dispatch_notification",
        backend=backend,
        chunk_size=CHUNK_ROWS,
        reflection_level="full",
        **OPTIONS[backend],
    )
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(os.environ["BENCH_TARGET"]),
        dataset_name="loaded",
        pipelines_dir=os.environ["DLT_DATA_DIR"],
    )
    pipeline.run(table, loader_file_format=os.environ["BENCH_FORMAT"]).raise_on_failed_jobs()


if __name__ == "__main__":
    main()
