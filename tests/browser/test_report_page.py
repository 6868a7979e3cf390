"""The HTML report in a browser: without scripts or network, on a phone, on paper, and checked by axe-core."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from immunocast.report.figures import CATALOGUE, make_figures
from immunocast.report.html import write_report

ROOT = Path(__file__).parents[2]
#: Pixels of a page of A4 less margins of 14 mm, at 96 a inch.
A4_WIDTH = round((210 - 28) / 25.4 * 96)

pytestmark = pytest.mark.browser


def _fixtures():
    """The run that the tests of the report make."""
    path = ROOT / "tests" / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tests.report.conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    run = _fixtures().build_run(tmp_path_factory.mktemp("report") / "r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("immunocast.report.figures.CATALOGUE", {n: CATALOGUE[n] for n in ("roc", "survival")})
        return write_report(run, make_figures(run))


@pytest.fixture
def page(browser, report):
    """The report as a reader without scripts sees it; anything that it loads from elsewhere is an error."""
    context = browser.new_context(
        java_script_enabled=False, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
    )
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    yield page
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def test_sections_are_reached_from_the_contents_without_scripts(page) -> None:
    page.get_by_role("navigation", name="Contents").get_by_role("link", name="Controls").click()
    assert page.url.endswith("#controls")
    box = page.locator("#controls").bounding_box()
    assert -1 <= box["y"] < 900
    folded = page.locator("#method details")
    assert not folded.locator("pre").is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").is_visible()


def test_first_tab_stop_leads_past_the_contents(page) -> None:
    page.keyboard.press("Tab")
    link = page.locator("a.skip")
    assert link.evaluate("e => e === document.activeElement")
    assert link.bounding_box()["x"] >= 0  # it is seen while it has the focus
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_page_does_not_scroll_sideways(page) -> None:
    for summary in page.locator("details:not([open]) > summary").all():
        if summary.is_visible():
            summary.click()
    for width in (320, 400, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_printed_tables_fit_on_the_paper(page) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4_WIDTH, "height": 1000})
    wide = page.evaluate(
        """() => [...document.querySelectorAll('table, img, pre, dl, p, ul')]
        .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert wide == []
    assert page.locator("details.toc a").first.is_visible()
    assert not page.locator("nav.side").is_visible()


def test_recipe_for_pdf_in_the_docs_makes_one(report: Path, chromium: str, tmp_path: Path) -> None:
    docs = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```sh\n(chromium .*?--print-to-pdf.*?)```", docs, re.S)
    command = shlex.split(recipe.replace("\\\n", " "))
    pdf = tmp_path / "report.pdf"
    swap = {
        "chromium": chromium,
        "runs/RUN_ID/report.html": str(report),
        "--print-to-pdf=report.pdf": f"--print-to-pdf={pdf}",
    }
    assert set(swap) <= set(command)
    command = [swap.get(word, word) for word in command]
    command += ["--no-sandbox", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    data = pdf.read_bytes()
    pages = len(re.findall(rb"/Type /Page\b(?!s)", data))
    assert data.startswith(b"%PDF")
    assert 10 < pages < 80
    assert b"/Outlines" in data  # headings as bookmarks
    assert b"/StructTreeRoot" in data  # headings, tables and alt texts for those who read by ear
    assert data.count(b"/Subtype /Link") > 30  # the contents and the reading guide still lead somewhere
    assert b"file://" not in data  # no footer that tells the reader's folders


def _axe() -> str:
    """axe-core as the package axe-playwright-python carries it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core (package axe-playwright-python) is not installed")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1440])
def test_axe_finds_nothing(browser, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.evaluate(_axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    page.close()
    said = [f"{v['id']} ({v['impact']}): {[n['target'] for n in v['nodes'][:3]]}" for v in found["violations"]]
    assert said == []
