from rowcall.report.html import html
from rowcall.report.markdown import markdown
from rowcall.report.report import EntityLine, Report, build_report, entity_line, foreseen_line
from rowcall.report.text import (
    causes_table,
    entities_table,
    example_lines,
    forecast_parts,
    status_table,
    story_text,
    verification_table,
)

__all__ = [
    "EntityLine",
    "Report",
    "build_report",
    "causes_table",
    "entities_table",
    "entity_line",
    "example_lines",
    "forecast_parts",
    "foreseen_line",
    "html",
    "markdown",
    "status_table",
    "story_text",
    "verification_table",
]
