"""The whole verification: the target against the source, by ways of its own. It never imports what moved the rows."""

from __future__ import annotations

from rowcall.postgres.read import Reader
from rowcall.progress import OnProgress, silent
from rowcall.verify.accounts import check_accounts
from rowcall.verify.checks import Verification
from rowcall.verify.references import check_references
from rowcall.verify.scope import Scope


def verify(scope: Scope, *, visible: str | None = None, on_progress: OnProgress = silent) -> Verification:
    """Compares the target with the source. `visible` is txid_current_snapshot() of the run's last snapshot."""
    moved = None if visible is None else visible != visible_now(scope.source)
    accounts = check_accounts(scope)
    return Verification(accounts, check_references(scope, on_progress), moved)


def visible_now(source: Reader) -> str:
    """The transactions that the source's current snapshot sees, as text."""
    return str(source.table("select txid_current_snapshot()::text").column(0)[0].as_py())
