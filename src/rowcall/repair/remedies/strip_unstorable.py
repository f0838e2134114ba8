r"""Take out what Postgres cannot store: NUL characters, in JSON the escape \u0000 and halves of surrogate pairs.

https://www.postgresql.org/docs/current/datatype-json.html (RFC 8259 permits these escapes, jsonb does not)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason

# An escape of JSON as a whole, so that the `u0000` behind an escaped backslash is left alone; a whole pair is a character.
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL)
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_BAD = re.compile(r"\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


class StripUnstorable(Remedy):
    name = "strip_unstorable"
    does = "take out what Postgres cannot store"
    codes = frozenset({Reason.UNSTORABLE_TEXT})
    settings = (Setting("instead", "what stands in its place; nothing by default", ""), COLUMN)

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        instead = str(use.settings["instead"])
        for row in rows:
            if (seen := use.seen(row)) is None:
                continue
            if (stripped := strip(seen, instead)) != seen:
                yield Amendment(row.key, use.column, stripped)


def strip(text: str, instead: str = "", *, zeros: bool = True) -> str:
    """The text without JSON escapes that name no character which Postgres stores: halves of surrogate pairs, and (`zeros`) NULs,
    also as characters."""
    bad = _BAD if zeros else _HALF
    clean = _ESCAPE.sub(lambda m: instead if bad.fullmatch(m[0]) else m[0], text)
    return clean.replace("\0", instead) if zeros else clean
