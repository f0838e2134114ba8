"""The page in a real browser, opened from disk with the network off.

Needs Debian's `chromium` and `chromium-driver`, which `make test` installs as root. Where there are none it is skipped; on
CI that is a failure.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from report.figures import GOING_ON, REPORT, hostile, wide
from rowcall.report import html

SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name leads anywhere
)  # fmt: skip
PAGES = {"whole": REPORT, "going": GOING_ON, "hostile": hostile(), "wide": wide()}
SIZES = [(theme, wide_) for theme in ("light", "dark") for wide_ in (1280, 390)]
CONTRASTS = """
const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data; };
const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const under = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
  if (c[3] > 128) return c; } return [255, 255, 255, 255]; };
const found = [];
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
  if (["TITLE", "DESC", "SCRIPT", "PROGRESS"].includes(e.tagName.toUpperCase())) continue;
  const style = getComputedStyle(e), box = e.previousElementSibling;
  const back = e.closest(".tag") && box ? rgb(getComputedStyle(box).fill) : under(e);
  const [a, b] = [light(rgb(e instanceof SVGElement ? style.fill : style.color)), light(back)].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.tagName + "." + e.getAttribute("class") + ": " + e.textContent.slice(0, 30));
}
return [...new Set(found)];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        missing = (
            "chromium and chromedriver are not installed: THE PAGE IS NOT TRIED IN A BROWSER (as root: `make chromium`)"
        )
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, report in PAGES.items():
        (folder / f"{name}.html").write_text(html(report), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in PAGES}


def show(browser: webdriver.Chrome, page: Path, theme: str = "light", wide: int = 1280, media: str = "") -> None:
    """Opens the page as a reader with this theme and this width sees it."""
    for kind in ("browser", "performance"):
        log(browser, kind)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    size = {"width": wide, "height": 900, "deviceScaleFactor": 1, "mobile": wide < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


def ask(browser: webdriver.Chrome, script: str) -> Any:
    return browser.execute_script(script)


def log(browser: Any, kind: str) -> list[dict[str, Any]]:
    """What was logged since this was asked last."""
    return list(browser.get_log(kind))


def number(browser: webdriver.Chrome, selector: str) -> int:
    return len(browser.find_elements("css selector", selector))


def requests(browser: webdriver.Chrome) -> set[str]:
    """The addresses that the page asked for since it was opened. Chromium's own pages (a new tab that still loads) do not count."""
    messages = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {a["request"]["url"] for a in asked if not a["documentURL"].startswith("chrome://")}


@pytest.mark.parametrize("name", PAGES)
def test_it_asks_for_nothing_and_complains_of_nothing(
    name: str, browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages[name])
    asked = {url for url in requests(browser) if not url.startswith("data:")}
    assert asked == {pages[name].as_uri()}
    assert log(browser, "browser") == []


def test_it_has_its_landmarks_and_pictures(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["whole"])
    assert (
        ask(browser, "return ['header', 'nav', 'main', 'footer', 'h1'].map((t) => document.querySelectorAll(t).length)")
        == [1] * 5
    )
    drawn = "return ['.graph .node', '.graph .bond', '.flow .band'].map((s) => document.querySelectorAll(s).length)"
    assert ask(browser, drawn) == [13, 21, 3]
    flat = "return [...document.querySelectorAll('svg')].filter((s) => !s.getBoundingClientRect().height).length"
    assert ask(browser, flat) == 0


@pytest.mark.parametrize(("theme", "wide_"), SIZES)
def test_it_is_not_blank(theme: str, wide_: int, browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["whole"], theme, wide_)
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    assert len(base64.b64decode(shot["data"])) > 15_000  # one colour alone takes less than 5,000
    (red, *_) = ask(browser, "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    assert (int(red) > 200) == (theme == "light")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("wide_", [360, 768, 1280, 1920])
def test_no_part_is_wider_than_the_screen(
    wide_: int, name: str, browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages[name], wide=wide_)
    assert ask(browser, "return document.documentElement.scrollWidth") <= wide_


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["whole", "going"])
def test_text_can_be_read(name: str, theme: str, browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    """A contrast of 4.5 at least: AA for text of any size."""
    show(browser, pages[name], theme)
    ask(browser, "document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert ask(browser, CONTRASTS) == []


def test_names_of_the_graph_stay_in_their_boxes(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    out = """return [...document.querySelectorAll('.node')].filter((n) => {
        const box = n.querySelector('.box').getBBox();
        return [...n.querySelectorAll('text')].some((t) => t.getBBox().x + t.getBBox().width > box.x + box.width);
    }).map((n) => n.textContent)"""
    for name in PAGES:
        show(browser, pages[name])
        assert ask(browser, out) == []


def test_print_opens_everything(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["whole"], media="print")
    hidden = "return [...document.querySelectorAll('pre, main table')].filter((e) => !e.checkVisibility()).length"
    assert ask(browser, hidden) == 0
    assert ask(browser, "return document.querySelector('nav').checkVisibility()") is False
    assert len(base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])) > 50_000


def test_a_proof_is_copied(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["whole"])
    ask(browser, "document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    ask(browser, "document.querySelector('[data-copy]').click()")
    answered = "return ['Copied', 'Selected: press Ctrl+C'].includes(document.querySelector('[data-copy]').textContent)"
    assert any(ask(browser, answered) for _ in range(100))


def test_it_says_all_without_its_script(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, pages["whole"])
        text = browser.find_element("css selector", "main").get_attribute("textContent") or ""
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert all(cause.proof.sql in text for cause in REPORT.causes if cause.proof)
