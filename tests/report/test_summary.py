from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from immunocast.report.summary import results_table, summary_markdown
from immunocast.report.verdict import best_sentence, comparison_sentence, verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder


@pytest.fixture(scope="module")
def summary(toy_run: RunFolder) -> str:
    return summary_markdown(toy_run)


def test_summary_says_what_a_reviewer_needs_first(summary: str, toy_run: RunFolder) -> None:
    view = RunView(toy_run)
    auroc = view.metric("auroc", "ridge")
    first = summary.splitlines()
    assert first[0].startswith("**SYNTHETIC DATA")
    assert f"AUROC of {auroc['estimate']:.3f} (95 % interval {auroc['ci_low']:.3f} to" in first[0]
    assert "is not distinguishable from LORIS, routed: difference in AUROC +0.020" in summary
    assert "p = 0.310, on 240 common patients (44 left out)" in summary
    assert f"{view.counts['n']} patients in 3 cohorts, {view.counts['n_events']} events (ORR" in summary
    assert "leave-one-cohort-out" in summary
    assert "2 warnings, by code" in summary
    assert "prognostic" in summary
    assert "report.html" in summary
    # what a tracker shows before "more": the answer, the comparison and the calibration come before anything else
    assert [line[:2] for line in first[1:5]] == ["", "- ", "- ", "- "]


def test_warnings_stand_by_code_before_the_tables(make_run) -> None:
    run = make_run()
    checks = run.table("checks")
    twice = checks[checks["severity"] == "warning"]
    run.write_table("checks", pd.concat([checks, twice.assign(cohort_id="elsewhere")]))
    said = summary_markdown(run)
    lines = [line for line in said.partition("| Model")[0].splitlines() if line.startswith("- **")]
    codes = [re.match(r"- \*\*([A-Z-]+\d+)\*\*", line)[1] for line in lines]
    assert codes == list(dict.fromkeys(RunView(run).warnings["code"]))
    assert all("more of this code" in line for line in lines if twice["code"].iloc[0] in line)


def test_opponents_and_calibration_have_intervals(summary: str, toy_run: RunFolder) -> None:
    view = RunView(toy_run)
    opponents = summary.partition("against what is published**")[2].partition("**Calibration")[0]
    rows = [line for line in opponents.splitlines() if line.startswith("| ")][1:]
    learned = {view.label(m) for m, entry in view.models.items() if entry["spec"].get("learned")}
    assert rows
    for row in rows:
        cells = [c.strip() for c in row.strip("|").split("|")]
        assert cells[0] not in learned
        assert re.fullmatch(r"[+−]?\d\.\d{3} \([+−]?\d\.\d{3} to [+−]?\d\.\d{3}\)", cells[2]), row
    calibration = summary.partition("**Calibration and net benefit**")[2]
    slope = view.metric("calibration_slope", "ridge")
    assert f"{slope['estimate']:.2f} ({slope['ci_low']:.2f}, {slope['ci_high']:.2f})" in calibration


def test_summary_escapes_names_from_data(make_run) -> None:
    run = make_run()
    manifest = run.read_json("manifest.json")
    manifest["provenance"]["name"] = "a|b <img src=x> *bold*"
    run.write_json("manifest.json", manifest)
    said = summary_markdown(run)
    assert r"a\|b &lt;img src=x&gt; \*bold\*" in said
    assert "imputed &lt;constant&gt;" in said
    assert "<" not in said


def test_real_data_carries_no_synthetic_banner(make_run) -> None:
    assert "synthetic" not in summary_markdown(make_run(synthetic=False)).lower()


def test_no_summary_or_table_reads_nan(summary: str, toy_run: RunFolder) -> None:
    table = results_table(toy_run, recalibrated=False)
    assert not re.search(r"\bnan\b", summary + table.to_csv(), flags=re.IGNORECASE)
    assert table["Model"].tolist()[:2] == ["Ridge logistic regression", "LORIS, routed"]
    assert list(table.columns) == [
        "Model", "n", "Events", "AUROC (95 % CI)", "Brier", "Calibration slope", "Calibration intercept",
        "Net benefit at 0.3", "AUROC difference vs LORIS, routed",
    ]  # fmt: skip
    assert table.iloc[1, -1] == "reference"
    assert "not estimated" in table.set_index("Model").loc["TMB ≥ 10 mut/Mb", "Calibration slope"]
    both = results_table(toy_run)
    assert len(both) == len(table) + 2
    assert both["Model"].tolist()[1] == "Ridge logistic regression, recalibrated (Platt)"


@pytest.mark.parametrize(
    ("low", "high", "words", "kind"),
    [
        (0.01, 0.05, "discriminates better than", "better"),
        (-0.05, -0.01, "discriminates worse than", "worse"),
        (-0.01, 0.05, "is not distinguishable from", "same"),
        (0.0, 0.05, "is not distinguishable from", "same"),
    ],
)
def test_verdict_follows_the_interval(make_run, low: float, high: float, words: str, kind: str) -> None:
    run = make_run()
    frame = run.table("comparisons")
    frame["difference"], frame["ci_low"], frame["ci_high"] = (low + high) / 2, low, high
    run.write_table("comparisons", frame)
    said = comparison_sentence(RunView(run))
    assert words in said[0]
    assert said[1] == kind


def test_verdict_reads_calibration_from_intervals(make_run) -> None:
    run = make_run()
    frame = run.table("metrics")
    for metric, low, high in (("calibration_slope", 0.5, 0.8), ("calibration_intercept", -1.2, -0.8)):
        rows = frame["metric"] == metric
        frame.loc[rows, ["estimate", "ci_low", "ci_high"]] = [(low + high) / 2, low, high]
    run.write_table("metrics", frame)
    said = verdict(RunView(run)).calibration
    assert "predictions are too extreme" in said
    assert "predictions are too high on average" in said


def test_missing_tables_are_said_not_hidden(make_run) -> None:
    run = make_run()
    for name in ("metrics", "comparisons", "checks"):
        run.table_path(name).unlink()
    said = summary_markdown(run)
    assert "could not be estimated" in said
    assert "was not compared with LORIS, routed" in said
    assert "Checks have not run." in said


def test_a_recalibrated_reference_is_not_called_the_reference(toy_run: RunFolder, tmp_path: Path) -> None:
    run, manifest = RunFolder(tmp_path / "run"), toy_run.manifest()
    kept = ("endpoint", "scheme", "models", "headline_model", "reference_model")
    run.write_meta("train", **{k: manifest[k] for k in kept})
    metrics, comparisons = toy_run.table("metrics"), toy_run.table("comparisons")
    recalibrated = metrics[metrics["model"] == "loris_routed"].assign(recalibration="beta")
    against = comparisons[comparisons["model"] == "ridge"].assign(model="loris_routed+beta")
    run.write_table("metrics", pd.concat([metrics, recalibrated]))
    run.write_table("comparisons", pd.concat([comparisons, against]))
    table = results_table(run).set_index("Model")
    column = next(c for c in table if c.startswith("AUROC difference"))
    found = table[column].filter(like="LORIS").filter(like="ecalibrated")
    assert found.iloc[0] == table.loc[RunView(run).label("ridge"), column]
    assert table.loc[RunView(run).label("loris_routed"), column] == "reference"


def test_models_that_cannot_be_told_from_the_best_stand_in_place_of_a_ranking(make_run) -> None:
    run = make_run()
    frame = run.table("comparisons")
    frame = frame[(frame["metric"] == "auroc") & (frame["cohort_id"] == "combined")]
    frame["p"] = [0.0001 if m == "tmb_10" else 0.4 for m in frame["model"]]
    frame["difference"] = -0.03
    run.write_table("comparisons", frame)
    said = best_sentence(RunView(run))
    told, behind = said.split("Behind at least one of them:")
    assert "LORIS, routed" in told
    assert "Ridge logistic regression" in told
    assert behind.strip() == "TMB ≥ 10 mut/Mb."
    frame["p"] = 0.0001
    run.write_table("comparisons", frame)
    assert best_sentence(RunView(run)).startswith("By AUROC, LORIS, routed is better than each other model")
