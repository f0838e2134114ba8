"""Around every command: the contract's exit codes, and never a traceback for a user's mistake."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rowcall.errors import MappingError, RowcallError
from rowcall.workspace import is_interrupt

COMPLETE, FAILED, OPEN, BUDGET, DIFFERENT, INTERRUPTED = 0, 1, 3, 4, 5, 130


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def guarded(command: Callable[[], Any]) -> int:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        command()
        return COMPLETE
    except RowcallError as error:
        _complain(str(error) if isinstance(error, MappingError) else f"rowcall: {error}")
        return error.exit_code
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _complain(
                "rowcall: interrupted\n  next: the same command goes on from here, or begins anew where it writes nothing"
            )
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        _complain("rowcall: interrupted")
        return INTERRUPTED
    except OSError as error:
        _complain(f"rowcall: {error.strerror or 'a file cannot be used'}: {error.filename or 'the output'}")
        return FAILED
    except Exception as error:
        if is_interrupt(error):
            _complain("rowcall: interrupted")
            return INTERRUPTED
        _complain(_internal(error))
        return FAILED


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def _internal(error: Exception) -> str:
    """A fault of rowcall itself: where it happened, but not the message, which could quote a row."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "rowcall" in f.filename]
    places = " <- ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames[-4:]))
    if os.environ.get("ROWCALL_DEBUG"):
        traceback.print_exception(error)
    return (
        f"rowcall: internal error: {type(error).__name__} at {places}\n  next: report this line; ROWCALL_DEBUG=1 shows the "
        "whole traceback, which may hold row data"
    )
