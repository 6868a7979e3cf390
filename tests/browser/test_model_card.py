"""The model card in a browser: opened from disk, its links open files; it fits a phone and prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from immunocast.report.card import write_cards

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    path = Path(__file__).parents[1] / "tracking" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tracking_conftest_for_card", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return write_cards(module.make_run(tmp_path_factory.mktemp("runs") / "20261101T100000-demo"))[0]


def test_a_card_opened_from_disk_leads_to_its_evidence(card, browser):
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((card / "model_card.html").as_uri())
    assert page.locator(".banner").inner_text().startswith("SYNTHETIC DATA")
    with context.expect_page() as opened:
        page.locator('a[href="evidence/summary.json"]').first.click()
    assert opened.value.url == (card / "evidence/summary.json").as_uri()
    page.locator("nav a", has_text="TRIPOD+AI").click()
    page.wait_for_function("Math.abs(document.getElementById('tripod').getBoundingClientRect().top) < 60")
    assert said == []
    context.close()


def test_a_card_fits_a_phone_and_prints(card, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((card / "model_card.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.pdf().count(b"/Type /Page") > 3
    page.close()
