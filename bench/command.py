"""How the commands of the bench end: with a document that is written, or in words."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.clock import WayFailed
from rowcall.errors import RowcallError

INTERRUPTED = 130


def run(measure: Callable[[], Mapping[str, Any]], out: Path, say: Callable[[str], None]) -> int:
    """Measures and writes the document; the exit code. Interrupted or failed, it writes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the one who started us had it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        document = measure()
    except KeyboardInterrupt:
        say("interrupted: the servers are stopped, nothing was written")
        return INTERRUPTED
    except (RowcallError, WayFailed) as error:
        say(str(error))
        return 1
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    say(f"wrote {out}")
    return 0
