"""The page: every part of the document is on it, nothing that a name says becomes code, and it asks for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from report.figures import FLOWS, GOING_ON, HOSTILE, REPORT, account, hostile, wide
from rowcall.explain import Cause
from rowcall.report import EntityLine, Report, html
from rowcall.report.bars import LEAST, widths
from rowcall.report.flow import THIN
from rowcall.report.graph import bonds
from rowcall.report.html import inline, seals
from rowcall.report.words import count
from rowcall.rows import Counts

VOID = {"meta", "link", "wbr", "br", "img", "input", "hr"}
EMPTY = Report(replace(REPORT.run, finished_at=None, source_snapshot_lsn=None), (), ())
PAGES = {"whole": REPORT, "going on": GOING_ON, "hostile": hostile(), "wide": wide(), "empty": EMPTY}


class Page(HTMLParser):
    """The elements of a page in their order, each with its attributes and all text inside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.inside: list[tuple[str, ...]] = []
        self.feed(text)
        assert not self.open, f"never closed: {[self.found[n][0] for n in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside.append(tuple(self.found[n][0] for n in self.open))
        self.found.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.found) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.found[self.open[-1]][0] == tag, f"{tag} closes {self.found[self.open[-1]][0]}"
        if tag in ("td", "th", "dt", "dd", "title"):
            self.handle_data(" ")
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for n in self.open:
            self.found[n][2].append(data)

    def all(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        return ((attrs, " ".join("".join(text).split())) for name, attrs, text in self.found if name == tag)

    def texts(self, tag: str) -> list[str]:
        return [text for _, text in self.all(tag)]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(html(PAGES[request.param]))


@pytest.fixture(scope="module")
def whole() -> Page:
    return Page(html(REPORT))


def test_the_sections_are_there_in_order(whole: Page) -> None:
    assert whole.texts("h1") == ["Migration report dispatch"]
    assert whole.texts("h2") == [
        "Completeness by entity", "Entities and their parents", "From roots to victims", "Attribution", "Impact",
        "What to do first", "Causes", "Analysis by entity", "Time by entity", "Checks", "What happens next",
    ]  # fmt: skip


def test_landmarks_headings_and_links(page: Page) -> None:
    tags = [tag for tag, _, _ in page.found]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert next(page.all("html"))[0]["lang"] == "en"
    ids = [attrs["id"] for _, attrs, _ in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(attrs["href"]).removeprefix("#") for attrs, _ in page.all("a")} <= set(ids)


def test_every_table_has_a_caption_and_scopes(page: Page) -> None:
    assert len(page.texts("table")) == len(page.texts("caption"))
    assert all(page.texts("caption"))
    assert all(attrs.get("scope") in ("row", "col") for attrs, _ in page.all("th"))


def test_every_picture_tells_itself(page: Page) -> None:
    pictures = [attrs for attrs, _ in page.all("svg")]
    assert all(p.get("role") == "img" and (p.get("aria-label") or p.get("aria-labelledby")) for p in pictures)
    assert pictures


@pytest.mark.parametrize("report", PAGES.values(), ids=PAGES)
def test_the_page_asks_for_nothing(report: Report) -> None:
    text = html(report)
    assert not re.search(r"https?:", text)
    assert not re.search(r"@import|url\(", text)
    page = Page(text)
    assert not {"img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _, _ in page.found}
    assert not [attrs for tag in ("script", "svg", "link") for attrs, _ in page.all(tag) if attrs.get("src")]
    assert len(text) < 1_500_000


def test_names_are_no_code() -> None:
    text = html(hostile())
    page = Page(text)
    assert "<script>alert" not in text
    assert len(page.texts("script")) == 1
    assert "alert(1)" in page.texts("title")[0]  # shown, as text
    assert " ".join(HOSTILE.split()) in " ".join(page.texts("pre"))
    assert not [name for _, attrs, _ in page.found for name in attrs if name.startswith("on")]
    assert "49" not in page.texts("h1")[0]


def test_a_name_cannot_make_markup_of_its_own() -> None:
    assert inline("`<b>` and **<i>**") == "<code>&lt;b&gt;</code> and <strong>&lt;i&gt;</strong>"


def test_figures_are_the_documents(whole: Page) -> None:
    rows = whole.texts("tr")
    for line in REPORT.entities:
        numbers = (line.counts.source, line.counts.migrated, line.counts.quarantined, line.counts.excluded, line.open)
        row = next(row for row in rows if row.startswith(line.name) and row.count("%") == 1)
        assert row.split()[-5:] == list(map(count, numbers))
    for cause in REPORT.causes:
        told = [text for attrs, text in whole.all("article") if "cause" in str(attrs.get("class"))]
        (card,) = [text for text in told if re.match(rf"\d+ {cause.entity} {cause.code} ", text)]
        assert f"rows {count(cause.rows)} share of quarantine" in card
        assert f"docs/causes/{cause.code}.md" in card
        assert not cause.proof or cause.proof.sql in html(REPORT).replace("&#39;", "'").replace("&lt;", "<").replace(
            "&gt;", ">"
        )
        assert all(sample.key in card for sample in cause.samples)


def test_the_sum_is_an_equation(whole: Page) -> None:
    (sum_,) = [
        attrs["aria-label"] for tag, attrs, _ in whole.found if str(attrs.get("class", "")).startswith("equation")
    ]
    assert sum_ == "Conservation: source 291,495 = migrated 289,611 + quarantined 1,877 + excluded 7"
    broken = replace(REPORT, entities=(EntityLine("lost", Counts(3, 1, 1, 0), 1), *REPORT.entities))
    assert "≠" in html(broken)
    assert "The sums do not close." in html(broken)


def test_unproven_causes_are_told_loudly() -> None:
    text = html(REPORT)
    assert "1 cause is unproven." in text
    assert "8 proofs have not been asked yet." in text
    assert [seal.state for seal in seals(REPORT)] == ["good", "good", "good", "bad"]
    asked = [c for c in REPORT.causes if c.proof and c.proof.held]
    proven = replace(REPORT, causes=tuple(asked))
    assert "unproven" not in html(proven)
    assert seals(proven)[-1].state == "good"
    assert seals(replace(REPORT, causes=(replace(asked[0], proof=None),)))[-1].state == "open"


def test_a_run_that_goes_on() -> None:
    text = html(GOING_ON)
    assert "79,000 of 2,039,588 expected rows are settled (3.87%), at 41,000 rows/s; about 47.8 s are left." in text
    assert 'href="#progress"' in text
    assert 'id="progress"' not in html(REPORT)


def test_whether_values_are_masked_is_said() -> None:
    assert "are masked." in html(REPORT)
    assert "handle this page as you handle the source" in html(REPORT, show_values=True)


def test_what_went_wrong_is_listed() -> None:
    foreseen = [{"name": "orders", "quarantined": 4}, {"name": "cases", "quarantined": 5}]
    wrong = {**account("orders"), "ok": False, "missing_lines": 2}
    found = {"ok": False, "accounts": [wrong], "references": [], "values": None}
    page = Page(html(replace(REPORT, verification=found, forecast={"matched": False, "entities": foreseen})))
    assert "orders - 2 missing lines" in page.texts("tr")
    assert "orders 4 5" in page.texts("tr")
    assert "cases 5 5" not in page.texts("tr")


@pytest.mark.parametrize("parts", [(1, 0, 0), (160_418, 2, 0), (423, 0, 7), (1, 1, 1), (0, 0, 0), (10**9, 1, 1)])
def test_bars_show_the_smallest_part(parts: tuple[int, ...]) -> None:
    found = widths(parts)
    assert all(wide >= LEAST for wide, part in zip(found, parts, strict=True) if part)
    assert all(wide == 0 for wide, part in zip(found, parts, strict=True) if not part)
    assert sum(found) == pytest.approx(100 if any(parts) else 0)


def heights(text: str, class_: str) -> list[float]:
    return [float(str(attrs["height"])) for attrs, _ in Page(text).all("rect") if attrs.get("class") == class_]


def test_a_flow_of_one_row_is_seen_beside_a_thousand() -> None:
    text = html(wide())
    assert min(heights(text, "root")) >= THIN
    assert max(heights(text, "root")) > 50 * min(heights(text, "root"))


def boxes(report: Report) -> list[tuple[float, float, float, float]]:
    found = (attrs for attrs, _ in Page(html(report)).all("rect") if attrs.get("class") == "box")
    return [tuple(float(str(b[k])) for k in ("x", "y", "width", "height")) for b in found]  # type: ignore[misc]


@pytest.mark.parametrize("report", [REPORT, wide(), wide(80), replace(REPORT, edges=()), hostile()])
def test_boxes_of_the_graph_do_not_overlap(report: Report) -> None:
    placed = boxes(report)
    assert len(placed) >= len(report.entities)
    for n, (x, y, wide_, tall) in enumerate(placed):
        assert x >= 0
        assert y >= 0
        for to_x, to_y, *_ in placed[n + 1 :]:
            assert abs(x - to_x) >= wide_ or abs(y - to_y) >= tall


def test_parents_stand_left_of_their_children(whole: Page) -> None:
    at = {}
    for (tag, _, text), (after, inner, _) in pairwise([f for f in whole.found if f[0] in ("title", "rect")]):
        if tag == "title" and after == "rect" and inner.get("class") == "box":
            at["".join(text).split(":")[0]] = float(str(inner["x"]))
    assert all(at[bond.parent] < at[bond.child] for bond in bonds(REPORT.edges))


def test_ways_to_one_parent_are_one_bond() -> None:
    (bond,) = [b for b in bonds(REPORT.edges) if (b.child, b.parent) == ("case_messages", "cases")]
    assert (bond.ways, bond.rejected, bond.columns) == (3, 63, ("case_id",))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: replace(r, edges=(replace(r.edges[0], entity="cases", to="cases", rejected=4),)),
        lambda r: replace(r, edges=(*r.edges, replace(r.edges[0], entity="offices", to="case_files"))),
        lambda r: replace(r, flows=(replace(FLOWS[0], rows=0),)),
        lambda r: replace(r, entities=(), edges=(), flows=(), causes=()),
    ],
    ids=["self", "circle", "no rows", "nothing"],
)
def test_odd_shapes_are_drawn(change: Callable[[Report], Report]) -> None:
    assert Page(html(change(REPORT))).texts("svg")


def test_a_cause_without_anything() -> None:
    bare = Cause("orders", "null_reference", 1, 1.0, 1, 0, 1)
    assert "Not asked yet" in html(replace(REPORT, causes=(bare,), flows=()))
