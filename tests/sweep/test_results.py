"""A row a job, the best of them, and the words."""

from dataclasses import replace

import pandas as pd
import pytest

from immunocast.sweep.folder import FAILED, JobState
from immunocast.sweep.results import best_of, differing, results_table, write_results
from immunocast.sweep.settings import Objective
from immunocast.sweep.summary import summary_markdown


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_tiny_run):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "a": make_tiny_run(folder / "a", auroc=0.70),
        "b": make_tiny_run(folder / "b", auroc=0.74),
        "other": make_tiny_run(folder / "other", auroc=0.9, digest="cd" * 32),
        "held_out": make_tiny_run(folder / "held_out", auroc=0.9, scheme="external"),
        "held_out_2": make_tiny_run(folder / "held_out_2", auroc=0.8, scheme="external"),
        "loco": make_tiny_run(folder / "loco", auroc=0.72, scheme="leave_one_cohort_out"),
    }


def job(number, run, value="x", **more):
    return JobState(
        number,
        f"d{number}",
        (f"features={value}",),
        {"features": value},
        **{"status": "done", "run": str(run.path), **more},
    )


@pytest.fixture
def three(runs):
    failed = JobState(3, "d3", (), {"features": "<b>|c"}, status=FAILED, exit_code=2, error="ConfigError: no `x`")
    return [job(1, runs["a"], "default"), job(2, runs["b"], "linear_tmb"), failed]


def test_a_row_holds_settings_estimates_and_the_error(three):
    table = results_table(three)
    assert table["sweep.features"].tolist() == ["default", "linear_tmb", "<b>|c"]
    first = table.iloc[0]
    assert (first["auroc"], first["auroc_ci_low"], first["auroc_minus_reference"]) == (0.7, pytest.approx(0.65), 0.02)
    assert (first["n"], first["n_events"], first["model"], first["reference_model"]) == (
        200,
        80,
        "ridge",
        "loris_routed",
    )
    last = table.iloc[2]
    assert pd.isna(last["auroc"])
    assert last["error"] == "ConfigError: no `x`"


def test_the_best_is_named_with_how_many_it_was_chosen_from(three):
    best = best_of(results_table(three))
    assert (best.row["job"], best.n, best.middle) == (2, 2, pytest.approx(0.72))
    lower = replace(Objective(), metric="brier", direction="minimise")
    assert best_of(results_table(three, lower), lower).row["job"] == 1, "equal ones: the first"


def test_jobs_that_ask_different_questions_are_not_ranked(runs):
    best = best_of(results_table([job(1, runs["a"]), job(2, runs["other"])]))
    assert best.row is None
    assert "differ in patients" in best.why_not
    best = best_of(results_table([job(1, runs["a"]), job(2, runs["loco"])]))
    assert "validation scheme" in best.why_not


def test_a_held_out_test_set_chooses_nothing(runs):
    best = best_of(results_table([job(1, runs["held_out"]), job(2, runs["held_out_2"])]))
    assert best.row is None
    assert "held-out test set (external) choose nothing" in best.why_not


def test_a_job_that_is_as_an_earlier_one_does_not_count_twice(runs):
    states = [job(1, runs["a"]), job(2, runs["b"]), job(3, runs["a"], same_as=1)]
    assert best_of(results_table(states)).n == 2


def test_the_summary_tells_the_best_the_failures_and_the_optimism(three):
    table = results_table(three)
    text = summary_markdown(table, three, best_of(table), synthetic=True, links={1: "#/run/1"})
    assert text.startswith("**SYNTHETIC DATA")
    assert "2 of 3 jobs done, 1 failed" in text
    assert "job 2 (features=linear\\_tmb), 0.740 (0.690 to 0.790); the median of the 2 is 0.720" in text
    assert "the best of many looks better than it is" in text
    assert "**1 job failed**" in text
    assert "ConfigError: no \\`x\\` [whole error](errors/003.txt)" in text
    assert "| [1](#/run/1) | default | done | 0.700 (0.650 to 0.750) | +0.020 (-0.010 to +0.050) |" in text
    assert "&lt;b&gt;\\|c" in text
    assert "held out in every job" not in text


def test_leave_one_cohort_out_gets_a_warning_of_its_own(runs, tmp_path, make_tiny_run):
    second = make_tiny_run(tmp_path / "loco2", auroc=0.7, scheme="leave_one_cohort_out")
    states = [job(1, runs["loco"]), job(2, second)]
    table = results_table(states)
    text = summary_markdown(table, states, best_of(table))
    assert "none of them is external any more" in text
    assert "SYNTHETIC" not in text


def test_changed_code_and_changed_data_are_told(runs):
    states = [job(1, runs["a"], source_digest="1"), job(2, runs["other"], source_digest="2")]
    said = " ".join(differing(results_table(states), states))
    assert "2 states of the code (jobs 1; jobs 2)" in said
    assert "different patients" in said
    assert differing(results_table(states[:1]), states[:1]) == []


def test_equal_results_are_equal_bytes_and_hold_no_times(three, tmp_path):
    written = []
    for name, seconds in (("one", 1.0), ("two", 99.0)):
        states = [replace(s, seconds=seconds) for s in three]
        table = results_table(states)
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, table, summary_markdown(table, states, best_of(table)))
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"results.csv", "results.parquet", "summary.md"}
    assert pd.read_parquet(tmp_path / "one" / "results.parquet")["auroc"].tolist()[:2] == [0.7, 0.74]
