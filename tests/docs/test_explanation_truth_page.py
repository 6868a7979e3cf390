"""docs/explanation-truth.md: its findings are those of its tables, its prose states no figures of its own."""

import re
import sys

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def truth_page(root):
    sys.path.insert(0, str(root / "benchmarks"))
    yield __import__("_truth_page")
    sys.path.remove(str(root / "benchmarks"))


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs/explanation-truth.md").read_text()


def test_findings_follow_from_the_tables(truth_page, page):
    found, truths = truth_page.read(page)
    assert {key[0] for key in found} == set(truth_page.SCENARIOS)
    assert {key[2] for key in found} == {200, 500, 1000, 2000, 5000, 20_000}
    expected = truth_page.findings(found, truths)
    told = page.split("## Findings", 1)[1].split("\n## ", 1)[0]
    assert [line.removeprefix("- ") for line in told.splitlines() if line.startswith("- ")] == expected


def test_a_changed_figure_would_be_seen(truth_page, page):
    found, truths = truth_page.read(page)
    key = ("default", "ridge", 20_000, "importance_rank_correlation")
    changed = found | {key: (0.11, 0.1, 0.12)}
    assert truth_page.findings(changed, truths) != truth_page.findings(found, truths)


def test_prose_outside_the_generated_part_states_no_results(truth_page, page):
    prose = page.split(truth_page.BEGIN)[0] + page.split(truth_page.END)[1]
    assert not re.findall(r"\b\d?\.\d+|\b\d+ %(?! have no label)", re.sub(r"`[^`]*`", "", prose))


def test_every_metric_of_the_table_is_on_the_page(root, page):
    code = "".join((root / f"src/immunocast/explain/{name}.py").read_text() for name in ("truth_metrics",))
    metrics = set(re.findall(r'(?:Recovered|_ratio)\(\s*"(\w+)"', code))
    metrics |= set(re.findall(r'^ {8}"(\w+)": ', code, re.M))
    assert {"first_reason", "noise_share", "cause_unmeasured", "feature_correlation"} <= metrics
    assert not {m for m in metrics if m not in page}


def test_generated_text_can_be_read_back(truth_page, tmp_path):
    rows = []
    for scenario in truth_page.SCENARIOS:
        for model in ("ridge", "xgboost"):
            for size in (200, 1000):
                for seed in (1, 2):
                    for k, metric in enumerate([*truth_page.COLUMNS, "cause_unmeasured"]):
                        if not metric.endswith(("tmb_share", "marker_share")):
                            rows.append((scenario, model, size, seed, metric, "all", 0.1 + k / 30 + seed / 50, 1.0))
                    for feature in truth_page.MARKERS:
                        rows.append((scenario, model, size, seed, "attribution_share", feature, 0.2, 0.3))
    names = ["scenario", "model", "size", "seed", "metric", "feature", "estimate", "truth"]
    frame = pd.DataFrame(rows, columns=names)
    page = tmp_path / "page.md"
    page.write_text(f"a\n{truth_page.BEGIN}\nold\n{truth_page.END}\nb\n")
    truth_page.insert(page, truth_page.generated(frame))
    text = page.read_text()
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    assert "old" not in text
    found, truths = truth_page.read(text)
    ours = truth_page.summary(frame)
    shown = {k: v for k, v in ours[0].items() if k[3] not in truth_page.LEFT_OUT.get(k[0], ())}
    assert found == shown
    assert truths["default", "cause_unmeasured"] == ours[1]["default", "cause_unmeasured"]
    assert truth_page.findings(found, truths) == truth_page.findings(*ours)
