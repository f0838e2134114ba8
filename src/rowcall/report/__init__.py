from rowcall.report.html import html
from rowcall.report.markdown import markdown
from rowcall.report.repairs import effect_parts, offers_parts, repairs_table, replayed_lines, retried_line, undone_line
from rowcall.report.report import EntityLine, Report, build_report, entity_line, foreseen_line
from rowcall.report.sentences import caught, caught_up, kept
from rowcall.report.text import (
    cause_lines,
    causes_table,
    entities_table,
    forecast_parts,
    home_lines,
    proof_lines,
    status_table,
    story_text,
    verification_table,
)

__all__ = [
    "EntityLine",
    "Report",
    "build_report",
    "caught",
    "caught_up",
    "cause_lines",
    "causes_table",
    "effect_parts",
    "entities_table",
    "entity_line",
    "forecast_parts",
    "foreseen_line",
    "home_lines",
    "html",
    "kept",
    "markdown",
    "offers_parts",
    "proof_lines",
    "repairs_table",
    "replayed_lines",
    "retried_line",
    "status_table",
    "story_text",
    "undone_line",
    "verification_table",
]
