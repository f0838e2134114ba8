"""What the report says in sentences, whatever form it takes: Markdown prints them as they are, the page turns their
`**bold**` and `` `code` `` into its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rowcall.explain.causes import Cause
from rowcall.explain.proof import CHECKED, Proof
from rowcall.ledger.catch_ups import Aside, CatchUpRecord, CaughtUp
from rowcall.ledger.repairs import Decision, Purge, RepairRecord
from rowcall.report.report import Progress, Report
from rowcall.report.words import are, count, duration, moment, percent, rate
from rowcall.rows import Reason

# How rowcall's own sessions are set, as far as the meaning of a query hangs on it.
SESSION = "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres';"
DIFFERENCES = (
    "missing_lines", "surplus_lines", "duplicates", "without_payload", "missing_in_target", "foreign_in_target",
    "broken", "wrong",
)  # fmt: skip


@dataclass(frozen=True)
class Proofs:
    """How many causes the source has confirmed: `held` + `refuted` + `unasked` = `causes`."""

    causes: int
    held: int
    refuted: int
    unasked: int

    def __str__(self) -> str:
        rest = ((self.refuted, "not hold"), (self.unasked, "not been asked yet"))
        said = [f"{count(n)} {_do(n, what)}" for n, what in rest if n]
        return f"{count(self.held)} of {count(self.causes, 'proof')} held" + "".join(f", {text}" for text in said)


def _do(n: int, what: str) -> str:
    if what == "not hold":
        return "does not hold" if n == 1 else "do not hold"
    return f"{'has' if n == 1 else 'have'} {what}"


def proofs(report: Report) -> Proofs:
    """A cause without a proof counts as not asked: nothing that is unproven may look proven."""
    held = [cause.proof.held if cause.proof else None for cause in report.causes]
    return Proofs(len(held), held.count(True), held.count(False), held.count(None))


def headline(report: Report) -> str:
    """What came of the run, in one sentence."""
    if not report.complete:
        return f"The run is **{report.run.state}**; the figures are those of the chunks that are settled."
    if not report.conserved:
        return "The run is over, but **the sums do not close**."
    if not report.open:
        return "The run is **complete**: every source row is accounted for, and nothing is open."
    return (
        f"The run is **complete**: every source row is accounted for; {count(report.open, 'row')} "
        f"{'is' if report.open == 1 else 'are'} open in quarantine."
    )


def going_on(progress: Progress) -> str:
    """How far the run is, how fast, and when it will be over if it goes on like that."""
    share = percent(progress.settled / progress.expected) if progress.expected else "-"
    said = f"{count(progress.settled)} of {count(progress.expected, 'expected row')} are settled ({share})"
    if progress.rows_per_second is not None:
        said += f", at {rate(progress.rows_per_second)}"
    left = f"about {duration(progress.eta)} are left" if progress.eta is not None else "nobody is working on it"
    return f"{said}; {left}."


def behind(cause: Cause) -> str:
    """The rows behind a cause, the rows it keeps back, and how many are decided."""
    said = []
    if cause.parents:
        gone = "missing" if cause.code == Reason.DANGLING_REFERENCE.value else "excluded"
        said.append(f"These rows name {count(cause.parents, f'{gone} parent')}.")
    if not cause.is_root:
        said.append(f"Behind these rows {'is' if cause.roots == 1 else 'are'} {count(cause.roots, 'root row')}.")
    if cause.victims:
        said.append(f"These rows keep back {count(cause.victims, 'other row')}.")
    if decided := cause.rows - cause.open:
        said.append(f"{count(decided)} of these rows {'is' if decided == 1 else 'are'} decided.")
    return " ".join(said)


def priority(cause: Cause) -> str:
    """What one decision is worth: the rows to repair, the rows that come home."""
    these = "this row" if cause.rows == 1 else f"these {count(cause.rows)} rows"
    verb = "Decide about" if cause.code == Reason.AFTER_CUTOFF.value else "Repair"  # nothing is broken there
    said = f"{verb} {these} of {cause.entity} (`{cause.code}`)"
    if not cause.freed:
        return said + "."
    comes = "comes home" if cause.freed == 1 else "come home"
    return f"{said}: {count(cause.freed, 'row')} {comes}."


def proof_state(proof: Proof | None) -> str:
    """One of `held`, `does not hold`, `not asked yet`."""
    if proof is None or proof.held is None:
        return "not asked yet"
    return "held" if proof.held else "does not hold"


def proof_story(cause: Cause) -> str:
    """What the proof of a cause is, and what came of it."""
    proof = cause.proof
    if proof is None:
        return "**Not asked yet**: no proof was made for this cause."
    if proof.held is None:
        return f"**Not asked yet**: {_kind(proof)} should return exactly {count(cause.rows, 'key')}."
    when = f" (asked {moment(proof.asked_at)})" if proof.asked_at else ""
    got = f"{_kind(proof)} returned {count(proof.rows or 0, 'key')}"
    if proof.held:
        return f"**Held**: {got}, exactly those of the rejected rows{when}."
    wrong = f"{count(proof.missing)} rejected {'key is' if proof.missing == 1 else 'keys are'} missing"
    return f"**Does not hold**: {got}; {wrong}, {count(proof.surplus)} too many{when}. The cause is unproven."


def _kind(proof: Proof) -> str:
    return "the check that rowcall made anew" if proof.kind == CHECKED else "the query on the source"


def how_to_ask(proof: Proof) -> str:
    """How a reader runs the proof."""
    if proof.kind == CHECKED:
        return "The source alone cannot tell; the text names the check that rowcall makes anew."
    return f"Run it yourself: `rowcall psql source`, and paste the query. It only reads. In a psql of your own first: `{SESSION}`"


def decided(decision: Decision) -> str:
    """What was decided of some rows."""
    why = f": {decision.reason}" if decision.reason else ""
    when = f", {moment(decision.at.isoformat())}" if decision.at else ""
    return (
        f"{count(decision.rows, 'row')} of {decision.entity} (`{decision.code}`) {'is' if decision.rows == 1 else 'are'} "
        f"**{decision.disposition}**{why} ({decision.by or 'unknown'}{when})"
    )


def repaired(record: RepairRecord) -> str:
    """What a repair did, and whether it stands."""
    done = f"{count(record.chosen, 'row')} chosen, {count(record.home)} came home or decided"
    made = f", {count(record.created, 'row')} created" if record.created else ""
    undone = f"; undone by {record.undone_by}" if record.undone_by else ""
    why = f": {record.reason}" if record.reason else ""
    by = f"{record.actor}, {moment(record.applied_at.isoformat())}"
    return f"{record.id}. `{record.remedy}` for `{record.entity}/{record.code}`: {done}{made}{why} ({by}{undone})"


def caught_up(record: CatchUpRecord) -> str:
    """When one catch-up was, and whether it did anything."""
    nothing = "" if any(line.any for line in record.entities) else ": nothing of what changed touches the target"
    return f"caught up with the source as it was on {moment(record.started_at.isoformat())}{nothing}"


def caught(record: CatchUpRecord) -> list[str]:
    """What it did, by entity."""
    return [_caught(line) for line in record.entities if line.any]


def _caught(line: CaughtUp) -> str:
    parts = [f"{count(rows)} {name}" for name, rows in vars(line).items() if name in _TARGET and rows]
    parts += [f"{count(rows)} {_SOURCE[name]}" for name, rows in vars(line).items() if name in _SOURCE and rows]
    return f"{line.entity}: {', '.join(parts)}"


_TARGET = ("inserted", "updated", "removed")
_SOURCE = {
    "rejected": "rejected",
    "excluded": "excluded",
    "gone": "gone at the source",
    "kept": "kept as the target has them",
}
WHY_KEPT = {
    "edited": "changed by somebody in the target",
    "removed": "removed by somebody from the target",
    "repaired": "made by a repair",
    "referred": "referred to by rows that stay",
    "refused": "refused by the target as the source has it now",
    "unfound": "a row of the target to which it refers is not found any more",
}


def kept(aside: Aside) -> str:
    """Target rows that are not as the source has them."""
    rows, differ, stay = (
        count(aside.rows, "row"),
        are(aside.rows, "differs", "differ"),
        are(aside.rows, "stays", "stay"),
    )
    return f"{rows} of {aside.entity} {differ} from the source, and {stay} so: {WHY_KEPT[aside.why]}"


def gone(aside: Aside) -> str:
    """Migrated rows that the source has no more."""
    return (
        f"{count(aside.rows, 'row')} of {aside.entity} {are(aside.rows)} gone at the source: {aside.why} in the target"
    )


def purged(purge: Purge) -> str:
    why = f": {purge.reason}" if purge.reason else ""
    return (
        f"{count(purge.rows, 'payload')} purged from the quarantine{why} ({purge.by}, {moment(purge.at.isoformat())})"
    )


def verified(report: Report) -> str:
    """What the verification found, in a sentence or two."""
    found = report.verification
    if not found:
        return "The target has not been verified yet: `rowcall verify`."
    said = ("The target agrees with the source" if found["ok"] else "**The target differs from the source**") + (
        f": {count(len(found['accounts']), 'entity account')} and "
        f"{count(len(found['references']), 'reference column')} were checked."
    )
    if found.get("values") is None:
        said += " Other columns' values were not compared."
    if found.get("source_moved") and not found["ok"]:
        said += "\nTransactions ran at the source since the run, so differences may be theirs."
    return said


def differences(report: Report) -> Iterator[tuple[str, str, str]]:
    """(entity, column, what differs) of every check of the verification that failed."""
    found = report.verification or {"accounts": [], "references": []}
    for check in [*found["accounts"], *found["references"]]:
        if not check["ok"]:
            yield check["entity"], check.get("column", ""), _what(check)


def _what(check: dict[str, Any]) -> str:
    found = [f"{count(check[name])} {name.replace('_', ' ')}" for name in DIFFERENCES if check.get(name)]
    return ", ".join(found) or "the sums do not close"


def foreseen(report: Report) -> str:
    """Whether the run came out as the forecast said; "" where none was made or the run is not over."""
    matched = report.forecast["matched"]
    if matched is None:
        return ""
    if matched:
        return "The run came out exactly as `rowcall check` had foreseen."
    return (
        "The run **differs** from what `rowcall check` had foreseen.\n"
        "The source or the mapping changed in between, or the target refused rows."
    )


def next_steps(report: Report) -> list[str]:
    """What to do now, most urgent first."""
    steps = []
    if not report.complete:
        steps.append("`rowcall run` continues the run where it stopped.")
    if not report.conserved or (report.verification and not report.verification["ok"]):
        steps.append("Do not use the target before the differences above are understood.")
    if proofs(report).refuted:
        steps.append("Look at the causes whose proof does not hold before you believe any figure about them.")
    if first := report.priorities[:1]:
        steps.append(
            f"Begin with `{first[0].entity}/{first[0].code}`: `rowcall explain {first[0].entity}` shows it, "
            "and with a key it tells that row's path hop by hop."
        )
    if any(c.open and not c.is_root for c in report.causes):
        steps.append("Rows that are kept back by their parents need nothing of their own: heal the roots.")
    if report.complete and report.open:
        steps.append("`rowcall remedies` tries what fits each cause, and says how many rows it would bring home.")
    if report.deferred:
        steps.append("The deferred rows above still wait for their decision.")
    if report.complete and not report.verification:
        steps.append("`rowcall verify` checks the target against the source.")
    return steps or ["Nothing is left to do."]
