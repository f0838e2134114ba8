"""Scalable pictures as text: elements whose every text and attribute is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, /, *children: str | Markup, **attributes: object) -> Markup:
    """An SVG element; `class_` is written as class, `stroke_width` as stroke-width. Plain children are text and escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def picture(
    ident: str, title: str, told: str, width: float, height: float, parts: Iterable[Markup], class_: str
) -> Markup:
    """A whole picture that tells itself to who cannot see it: `title` names it, `told` says what it shows."""
    named, described = f"{ident}-title", f"{ident}-desc"
    return element(
        "svg",
        element("title", title, id=named),
        element("desc", told, id=described),
        *parts,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_labelledby=f"{named} {described}",
        class_=class_,
        style=f"--w:{_number(width)}",
    )


def text(x: float, y: float, said: str, class_: str, anchor: str = "start") -> Markup:
    return element("text", said, x=x, y=y, class_=class_, text_anchor=None if anchor == "start" else anchor)


def short(name: str, most: int) -> str:
    """A name that fits: the middle goes, since names differ at both ends."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
