"""The reference of the mapping says what the model says."""

from __future__ import annotations

from docs.reference import FILE, page


def test_the_reference_is_made_from_the_model() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "write it anew: python tests/docs/reference.py"
