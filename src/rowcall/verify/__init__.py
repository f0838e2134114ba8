from rowcall.verify.accounts import check_accounts
from rowcall.verify.checks import AccountCheck, ReferenceCheck, Verification
from rowcall.verify.glance import Glances
from rowcall.verify.references import check_references
from rowcall.verify.scope import Scope
from rowcall.verify.verification import verify

__all__ = [
    "AccountCheck",
    "Glances",
    "ReferenceCheck",
    "Scope",
    "Verification",
    "check_accounts",
    "check_references",
    "verify",
]
