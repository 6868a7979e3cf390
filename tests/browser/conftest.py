"""A Chromium for the pages; without one the tests are skipped with a reason."""

import shutil
from pathlib import Path

import pytest

PLACES = ("/usr/bin/chromium", shutil.which("chromium"), shutil.which("google-chrome"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; skips where there is none."""
    found = next((p for p in PLACES if p and Path(p).exists()), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()
