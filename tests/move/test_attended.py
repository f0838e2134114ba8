"""Work in a thread that Ctrl-C ends: what is under way is cancelled until it has heard."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from rowcall.move.belt import attended


class Query:
    """Heeds the second cancelling only, as a server may that had not begun yet."""

    def __init__(self) -> None:
        self.over, self.cancelled = threading.Event(), 0

    def run(self) -> str:
        self.over.wait(30)
        return "done"

    def cancel(self) -> None:
        self.cancelled += 1
        if self.cancelled > 1:
            self.over.set()


def test_the_result_is_handed_on() -> None:
    assert attended(lambda: 7, []) == 7


def test_a_failure_is_handed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        attended(lambda: 1 // 0, [])


@pytest.mark.timeout(20)
def test_ctrl_c_cancels_what_is_under_way() -> None:
    query, started = Query(), time.monotonic()
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        attended(query.run, [query])
    assert query.cancelled > 1
    assert time.monotonic() - started < 15


@pytest.mark.timeout(20)
def test_what_was_done_in_spite_of_ctrl_c_is_told() -> None:
    """It came between a COMMIT and its answer."""
    query = Query()
    threading.Timer(0.5, _thread.interrupt_main).start()
    assert attended(query.run, [query], lasting=True) == "done"


@pytest.mark.timeout(20)
def test_what_ctrl_c_ended_is_not() -> None:
    def work() -> None:
        query.run()
        raise ConnectionError

    query = Query()
    threading.Timer(0.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        attended(work, [query], lasting=True)
