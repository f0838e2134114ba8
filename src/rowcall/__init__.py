"""rowcall: move a legacy, integer-keyed Postgres to UUID keys; every source row answers."""

from rowcall.errors import RowcallError
from rowcall.migration import Migration, RunResult
from rowcall.progress import Progress
from rowcall.version import __version__

__all__ = ["Migration", "Progress", "RowcallError", "RunResult", "__version__"]
