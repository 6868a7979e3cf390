"""`immunocast card` of a run; of a version in MLflow: tests/tracking/test_cards.py."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest


def _neighbour():
    path = Path(__file__).parents[1] / "tracking" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tracking_conftest_card", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    _neighbour().make_run(folder / "20261101T100000-demo")
    return folder


def test_the_card_of_a_run_is_made_where_it_is_not_there_and_judged_where_it_is(runs, call):
    card = runs / "20261101T100000-demo" / "cards" / "ridge"
    done = call(runs, "card", "latest", "--model", "ridge")
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC DATA, no patient exists. TRIPOD+AI of ridge" in done.stdout
    assert "52 items: " in done.stdout
    assert f"Card: {card / 'model_card.html'}" in done.stdout
    (card / "evidence" / "metrics.csv").unlink()
    done = call(runs, "card", "--model", "ridge")
    assert "Missing: evidence/metrics.csv (gone)" in done.stdout
    rows = {r["item"]: r for r in json.loads(call(runs, "card", "--model", "ridge", "--format", "json").stdout)}
    assert rows["21"]["status"] == "missing"
    author = runs / "author.yaml"
    author.write_text("8b: two radiologists\n")
    done = call(runs, "card", "--model", "ridge", "--author", author)  # made anew, with the statement
    assert "1 author's statement" in done.stdout
    assert "Missing:" not in done.stdout
    done = call(runs, "card", "--model", "ridge", "--rebuild")  # which stays
    assert "1 author's statement" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["latest", "--version", "x/1"], "leave out the run"),
        (["--out", "x"], "--out is for --version"),
        (["--model", "loris_routed"], "no learned model 'loris_routed'"),
        (["--author", "none.yaml"], "no file"),
    ],
)
def test_what_does_not_fit_together_is_told(runs, call, words, said):
    if words[0] == "latest":
        words[0] = "20261101T100000-demo"
    done = call(runs, "card", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
