"""What a command needs of the run before it begins."""

from __future__ import annotations

from rowcall.errors import UsageError
from rowcall.ledger.book import Ledger


def need_ledger(ledger: Ledger) -> None:
    if not ledger.exists():
        raise UsageError(
            "the target has no ledger: nothing was run yet", hint="begin with `rowcall check`, then `rowcall run`"
        )


def need_complete(ledger: Ledger, mapping: str | None = None) -> None:
    """A run whose rows are all settled; with the fingerprint of a mapping: of this very mapping."""
    run = ledger.run()
    if mapping is not None and run.mapping_fingerprint != mapping:
        raise UsageError(
            "the mapping changed since this run began: its causes are those of the earlier one",
            hint="work with that mapping, or begin anew with `rowcall run --restart`",
        )
    if (state := run.state) != "complete":
        raise UsageError(
            f"the run is not complete ({state}): nothing can be proven or repaired before every row is settled",
            hint="finish it with `rowcall run`",
        )
