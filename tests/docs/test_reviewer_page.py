"""docs/reviewer.md: every search runs and finds something, every picture is there and small."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

from immunocast.tracking import records as rec
from immunocast.tracking.folds import fold_searches
from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.mlflow.log import log

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reviewer.md").read_text()
SEARCHES = [
    match[1].strip("`").strip()
    for match in re.finditer(r"^\| [^|]+ \| (`+.+?`+) \|$", PAGE.partition("## What to search for")[2], re.MULTILINE)
]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    """Labels and numbers of two runs and their models: synthetic and clean, real and dirty."""
    spec = importlib.util.spec_from_file_location("tracking_fixtures", ROOT / "tests/tracking/conftest.py")
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    folder = tmp_path_factory.mktemp("search")
    run = fixtures.make_run(folder / "20261101T100000-demo")
    found = Tracker(f"sqlite:///{folder / 'mlflow.db'}")
    (run.path / "config.yaml").write_text("models: {ridge: {estimator: {C: 0.1}}}\n")
    provenance, code = run.manifest()["provenance"], run.manifest()["code"]
    for synthetic in (True, False):
        name = "synthetic" if synthetic else "demo"
        run.update_manifest(
            provenance=provenance | {"synthetic": synthetic, "name": name}, code=code | {"dirty": not synthetic}
        )
        if not synthetic:
            run.write_table("comparisons", run.table("comparisons").assign(ci_low=0.01))
        for records in (rec.run_records(run), *(rec.model_records(run, m) for m in run.manifest()["models"])):
            handle = found.start("any", {})
            log(found, handle.run_id, [r for r in records if isinstance(r, rec.Tag | rec.Metric | rec.Param)])
        for search in fold_searches(run, "ridge"):
            found.start("any", search.tags)
    return found


def test_there_are_searches():
    assert len(SEARCHES) >= 15


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_some_and_not_all(tracker, search):
    found = tracker.client.search_runs([tracker.experiment_id], search)
    assert found
    if not re.search("endpoint|git_commit|data_digest|run_id", search):  # the two runs share these
        assert len(found) < 8


def test_pictures_are_there_small_and_each_is_shown():
    shown = re.findall(r"!\[[^\]]+\]\((img/[^)]+\.png)\)", PAGE)
    assert shown
    assert {Path(p).name for p in shown} == {p.name for p in (ROOT / "docs/img").glob("reviewer-*.png")}
    for path in shown:
        assert (ROOT / "docs" / path).stat().st_size < 150_000
        with Image.open(ROOT / "docs" / path) as image:
            assert image.mode == "P"
            assert image.size == (1440, 900)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([a-z-]+\.md)\)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target
