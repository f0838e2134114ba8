"""How the report speaks: each reason code in a sentence, numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from rowcall.repair import own_remedies
from rowcall.rows import Reason

MEANINGS: dict[Reason, str] = {
    Reason.NULL_REFERENCE: "The path to the parent meets a NULL.",
    Reason.SENTINEL_REFERENCE: "The path meets a value that the mapping declares impossible.",
    Reason.UNKNOWN_TYPE: "The content type is not known, or the mapping does not name it.",
    Reason.CYCLIC_PATH: "The hierarchy that the path climbs leads back to itself.",
    Reason.AMBIGUOUS_REFERENCE: "Several ways lead to different parents.",
    Reason.DANGLING_REFERENCE: "A row that the path names does not exist.",
    Reason.PARENT_EXCLUDED: "The parent was excluded by a rule.",
    Reason.PARENT_QUARANTINED: "The parent is in quarantine; the row comes home once its root is healed.",
    Reason.AFTER_CUTOFF: "The row is later than the cutoff.",
    Reason.NULL_IN_REQUIRED: "A NULL where the target requires a value.",
    Reason.MALFORMED_JSON: "The text is no JSON that the target accepts.",
    Reason.NOT_CONVERTIBLE: "The text is no value of the target's type.",
    Reason.OUT_OF_RANGE: "The value is beyond the range of the target's type.",
    Reason.TOO_LONG: "The text is longer than the target's column holds.",
    Reason.NOT_IN_ENUM: "The value is none that the target or the mapping knows.",
    Reason.DUPLICATE_KEY: "An earlier row already has these values, which the target requires to be unique.",
    Reason.RULE_FAILED: "A rule of the mapping does not hold for the row.",
    Reason.UNSTORABLE_TEXT: "The text holds a character that Postgres cannot store, such as NUL.",
    Reason.REFUSED_BY_TARGET: "The target refused the row when it was written.",
    Reason.EXPRESSION_FAILED: "An SQL expression of the mapping fails on the row.",
}
REMEDIES = {name: remedy.does for name, remedy in own_remedies().items()}
ATTRIBUTIONS = {
    "source_data": "the source's data",
    "relationship": "relationships between rows",
    "timing": "timing",
    "migration_logic": "the mapping",
    "target": "the target",
}


def count(rows: int, noun: str = "") -> str:
    """1234 -> "1,234"; with a noun "1,234 rows", "1 row"."""
    if not noun:
        return f"{rows:,}"
    return f"{rows:,} {noun}" if rows == 1 else f"{rows:,} {noun}s"


def are(rows: int, one: str = "is", many: str = "are") -> str:
    """The verb behind a number of rows."""
    return one if rows == 1 else many


def percent(share: float | None) -> str:
    """A fraction as 99.61%; with more digits where it would look like all or nothing and is not. None is "-"."""
    if share is None:
        return "-"
    texts = (f"{share:.{digits}%}" for digits in (2, 3, 4, 5))
    exact = share in (0, 1)
    return next((t for t in texts if exact or 0 < float(t[:-1]) < 100), "< 0.001%" if share < 0.5 else "> 99.999%")


def place(column: str | None, hop: int | None) -> str:
    """Where a group of rows fails: "case_id, hop 2"."""
    return ", ".join(filter(None, (column, f"hop {hop}" if hop is not None else "")))


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"


def rate(per_second: float | None) -> str:
    return "-" if per_second is None else f"{per_second:,.0f} rows/s"


def speed(per_second: float | None) -> str:
    """A rate for a column whose head says rows/s."""
    return "" if per_second is None else f"{per_second:,.0f}"


def moment(at: str) -> str:
    """An ISO time as people read it, in UTC; what is none stays as it is."""
    try:
        read = datetime.fromisoformat(at)
    except ValueError:
        return at
    read = read.astimezone(UTC) if read.tzinfo else read
    return f"{read.day} {read:%B %Y, %H:%M:%S} UTC"
