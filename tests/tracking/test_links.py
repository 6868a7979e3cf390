from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.tracking import records as rec
from immunocast.tracking.links import Addresses, addressed, after_the_headline, spaced, with_addresses

HERE = Addresses("7", "20261101T100000-demo", own="child", parent="parent")


def links(text: str) -> dict[str, str]:
    return dict(re.findall(r"\[([^\]]+)\]\(([^)]+)\)", text))


def test_the_runs_description_links_what_is_there(run):
    records = list(addressed(rec.run_records(run), Addresses("7", run.run_id, own="parent")))
    text = next(r.text for r in records if isinstance(r, rec.Description))
    there = {r.path for r in records if isinstance(r, rec.Artifact | rec.ReadableTable | rec.EvaluationTable)}
    found = links(text)
    assert {"report", "metrics", "comparisons", "checks", "ROC", "inner search", "configuration"} <= set(found)
    assert "calibration" not in found  # this run has no such figure
    for name in set(found) - {"charts", "tables side by side"}:
        path = found[name].removeprefix("#/experiments/7/runs/parent/artifacts/").partition("?")[0]
        assert path in there, name
    assert "compareRunsMode=CHART" in found["charts"]
    assert run.run_id in found["charts"]


def test_links_stand_after_the_headline_and_before_the_tables(run):
    text = next(r.text for r in rec.run_records(run) if isinstance(r, rec.Description))
    assert text.index("above loris_routed") < text.index("Open:") < text.index("IC-RANGE-001") < text.index("| Model")


def test_a_models_description_leads_to_its_run(run):
    records = list(addressed(rec.model_records(run, "ridge"), HERE))
    for text in (
        next(r.text for r in records if isinstance(r, rec.Description)),
        next(r.description for r in records if isinstance(r, rec.Model)),
        next(r.version_description or r.description for r in records if isinstance(r, rec.Model)),
    ):
        found = links(text)
        for name in ("list", "charts", "side by side"):  # of the inner search
            assert "parentRunId%60%20%3D%20%27child%27" in found.pop(name)
        assert found == {
            "the run that made it": "#/experiments/7/runs/parent?workflowType=machine_learning",
            "its report": "#/experiments/7/runs/parent/artifacts/report.html?workflowType=machine_learning",
        }


@pytest.mark.parametrize("target", ["https://mlflow.org", "mailto:a@b.org", "/health", "#/experiments/7"])
def test_other_links_stay(target):
    assert with_addresses(f"[x]({target})", HERE) == f"[x]({target})"


def test_a_description_without_list_has_its_links_at_the_end():
    assert after_the_headline("Nothing found.", "Open: x") == "Nothing found.\n\nOpen: x"
    assert after_the_headline("", "Open: x").strip() == "Open: x"


cells = st.text(st.characters(exclude_characters="|\\\r\n", exclude_categories=["Z", "C"]), min_size=1, max_size=40)


@given(st.lists(cells, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_spacing_keeps_every_cell(row):
    line = "| " + " | ".join(row) + " |"
    found = [c.strip().removesuffix("&emsp;") for c in spaced(line).strip("|").split("|")]
    assert found == row
    assert spaced("no table, " + line) == "no table, " + line


def test_an_escaped_bar_is_no_border():
    assert spaced(r"| a\|b | c |") == r"| a\|b&emsp; | c&emsp; |"
