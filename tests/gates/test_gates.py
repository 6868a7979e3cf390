"""Each gate on run folders that hold just what it asks for: what passes, what fails, what can't be told."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from immunocast.errors import ConfigError
from immunocast.gates import FAILED, GATES, NOT_ASSESSABLE, OFF, PASSED, Evidence, GateSettings, judge

_SPEC = importlib.util.spec_from_file_location("rows", Path(__file__).with_name("rows.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
rows = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rows)
comparison, finding, metric = rows.comparison, rows.finding, rows.metric


@pytest.fixture
def ask(settings):
    """One gate's verdict on a run: ask(run, "min_events", value=5)."""

    def asked(run, gate, alias="champion", **change):
        verdicts = judge(Evidence(run, "ridge"), settings(**{gate: change}), alias)
        return next(v for v in verdicts if v.gate == gate)

    return asked


@pytest.fixture
def good(folder):
    """A run that every shipped gate lets through."""
    levels = [("female", 0.71, 0.65, 0.77), ("male", 0.73, 0.67, 0.78)]
    rows = [
        metric("auroc", 0.72, 0.68, 0.76),
        metric("calibration_slope", 0.95, 0.8, 1.1),
        metric("calibration_intercept", 0.05, -0.1, 0.2),
        *(metric("auroc", a, b, c, subgroup="sex", level=name, n=200) for name, a, b, c in levels),
    ]
    return folder(
        "good",
        {
            "metrics": rows,
            "comparisons": [comparison(0.01, -0.02, 0.04)],
            "checks": [finding("IC-X-001", "warning")],
            "model_checks": [],
        },
    )


def test_a_good_run_passes_every_shipped_gate(good, settings):
    verdicts = judge(Evidence(good, "ridge"), settings(), "champion")
    assert [v.gate for v in verdicts] == list(GATES)
    assert {v.gate: v.status for v in verdicts if v.status != PASSED} == {"reproduction": NOT_ASSESSABLE}
    assert not [v for v in verdicts if v.blocks]
    assert next(v for v in verdicts if v.gate == "auroc_vs_champion").words == "no champion yet"


def test_a_gate_that_is_off_is_shown_as_off(good, settings):
    verdict = judge(Evidence(good, "ridge"), settings(subgroups=None), "champion")[list(GATES).index("subgroups")]
    assert (verdict.status, verdict.blocks) == (OFF, False)


def test_a_gate_blocks_only_the_aliases_that_it_is_for(good, ask):
    for alias, blocks in (("challenger", False), ("champion", True)):
        verdict = ask(good, "min_patients", alias, value=401, aliases=["champion"])
        assert (verdict.status, verdict.blocks) == (FAILED, blocks)
    assert verdict.words == "400 patients with a fair prediction; at least 401"


def test_size_counts_the_smaller_class(good, ask):
    assert ask(good, "min_patients", value=400).status == PASSED
    assert ask(good, "min_events", value=150).status == PASSED
    assert ask(good, "min_events", value=151).status == FAILED
    assert ask(good, "min_events", value=151).words == "150 events and 250 others; at least 151 of each"


def test_few_without_the_event_are_few_too(folder, ask):
    run = folder("run", {"metrics": [metric("auroc", 0.7, 0.6, 0.8, n_events=390)]})
    assert ask(run, "min_events", value=11).status == FAILED


@pytest.mark.parametrize(
    ("row", "status", "words"),
    [
        (comparison(-0.01, -0.05, 0.03), PASSED, "-0.010 (-0.050 to +0.030) on 200 common patients, 80 with the event"),
        (comparison(0.02, -0.051, 0.09), FAILED, "the lower end at least -0.05"),
        (comparison(0.3, 0.2, 0.4, n_common=14, n_events=5, note="too small"), NOT_ASSESSABLE, "(too small)"),
        (comparison(0.3, 0.2, 0.4, n_common=85, n_events=80), NOT_ASSESSABLE, "85 fair patients"),
        (comparison(None, None, None), NOT_ASSESSABLE, "no interval"),
        (comparison(0.3, 0.2, 0.4, reference_model="tmb_10"), NOT_ASSESSABLE, "evaluation.references"),
        (comparison(0.3, 0.2, 0.4, cohort_id="a"), NOT_ASSESSABLE, "evaluation.references"),
    ],
)
def test_routed_loris_is_met_by_the_lower_end_of_the_interval(folder, ask, row, status, words):
    verdict = ask(folder("run", {"comparisons": [row]}), "auroc_vs_loris")
    assert verdict.status == status
    assert words in verdict.words
    assert verdict.blocks == (status != PASSED)


@pytest.mark.parametrize(
    ("judged", "estimate", "low", "high", "status"),
    [
        ("estimate", 0.81, 0.5, 1.1, PASSED),
        ("estimate", 0.79, 0.78, 1.0, FAILED),
        ("estimate", 1.26, 1.0, 1.5, FAILED),
        ("estimate", None, None, None, NOT_ASSESSABLE),
        ("interval", 0.95, 0.81, 1.2, PASSED),
        ("interval", 0.95, 0.79, 1.2, FAILED),
        ("interval", 0.95, 0.9, 1.26, FAILED),
        ("interval", 0.95, None, None, NOT_ASSESSABLE),
    ],
)
def test_calibration_by_estimate_or_interval(folder, ask, judged, estimate, low, high, status):
    run = folder("run", {"metrics": [metric("calibration_slope", estimate, low, high)]})
    assert ask(run, "calibration_slope", judge=judged).status == status


def test_a_recalibrated_slope_does_not_speak_for_the_model(folder, ask):
    run = folder("run", {"metrics": [metric("calibration_slope", 1.0, 0.9, 1.1, recalibration="platt")]})
    assert ask(run, "calibration_slope").status == NOT_ASSESSABLE


def test_errors_in_the_data_block_and_waived_ones_are_named(folder, ask):
    waived = folder("a", {"checks": [finding("IC-LEAK-001", "error", "albumin was simulated")], "model_checks": []})
    assert ask(waived, "data_checks").status == PASSED
    assert ask(waived, "data_checks").words == "no error; waived: IC-LEAK-001 (albumin was simulated); 0 warnings"
    assert ask(waived, "data_checks", waived="fail").status == FAILED
    of_results = folder("b", {"checks": [], "model_checks": [finding("IC-MODEL-001", "error")]})
    assert ask(of_results, "data_checks").words == "errors: IC-MODEL-001; 0 warnings"
    assert ask(of_results, "data_checks").status == FAILED
    assert ask(folder("c", {"metrics": []}), "data_checks").status == NOT_ASSESSABLE


def levels(folder, name, *found):
    rows = [metric("auroc", 0.75, 0.72, 0.78)]
    rows += [metric("auroc", a, b, c, subgroup=v, level=k, n=n) for v, k, a, b, c, n in found]
    return folder(name, {"metrics": rows})


def test_a_subgroup_collapses_by_a_drop_and_a_corrected_p(folder, ask):
    even = [("sex", f"level {i}", 0.75, 0.7, 0.79, 100) for i in range(5)]
    run = levels(folder, "deep", *even, ("site_id", "north", 0.5, 0.42, 0.58, 120))
    verdict = ask(run, "subgroups")
    assert verdict.status == FAILED
    assert "site_id north: 0.500 (0.420 to 0.580) in 120 patients" in verdict.words
    # as deep and not significant; significant and not deep; significant only before the correction
    unsure = levels(folder, "unsure", *even, ("site_id", "north", 0.5, 0.2, 0.8, 12))
    shallow = levels(folder, "shallow", *even, ("site_id", "north", 0.66, 0.64, 0.68, 3000))
    uncorrected = levels(folder, "uncorrected", *even, ("site_id", "north", 0.6, 0.44, 0.74, 40))
    assert [ask(r, "subgroups").status for r in (unsure, shallow, uncorrected)] == [PASSED] * 3
    alone = levels(folder, "alone", ("site_id", "north", 0.6, 0.44, 0.74, 40), ("site_id", "south", 0.8, 0.7, 0.9, 40))
    assert ask(alone, "subgroups").status == FAILED


def test_discordance_strata_and_everybody_are_no_subgroup(folder, ask):
    run = levels(
        folder,
        "run",
        ("discordance", "tmb_mut_mb < 10", 0.5, 0.45, 0.55, 200),
        ("tmb_measured", "measured", 0.75, 0.72, 0.78, 400),
    )
    assert ask(run, "subgroups").status == NOT_ASSESSABLE
    small = levels(folder, "small", ("sex", "male", None, None, None, 5))
    assert ask(small, "subgroups").status == NOT_ASSESSABLE


def test_synthetic_patients_are_refused_and_unknown_is_no_pass(folder, ask):
    assert ask(folder("a", {}, provenance={"synthetic": True}), "real_data").status == FAILED
    verdict = ask(folder("b", {}, provenance={}), "real_data")
    assert (verdict.status, verdict.blocks) == (NOT_ASSESSABLE, True)


def test_code_that_is_no_commit_is_refused_and_unknown_is_no_pass(folder, ask):
    dirty = folder("a", {}, code={"git_commit": "a" * 40, "dirty": True, "dirty_files": ["src/x.py"]})
    assert ask(dirty, "clean_tree").words == f"commit {'a' * 12} with changes in src/x.py"
    assert ask(dirty, "clean_tree").status == FAILED
    for name, code in (("b", None), ("c", {"git_commit": None, "dirty": None})):
        verdict = ask(folder(name, {}, code=code), "clean_tree")
        assert (verdict.status, verdict.blocks) == (NOT_ASSESSABLE, True)


def test_a_table_that_is_not_what_it_was_fails_the_digests(good, ask):
    assert ask(good, "digests").status == PASSED
    path = good.table_path("metrics")
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    assert ask(good, "digests").words == "1 changed (tables/metrics.parquet)"
    path.unlink()
    assert ask(good, "digests").words == "1 missing (tables/metrics.parquet)"
    path.write_bytes(whole)
    path.with_name("more.parquet").write_bytes(whole)
    assert ask(good, "digests").words == "1 added (tables/more.parquet)"
    assert ask(good, "digests").status == FAILED


def test_a_damaged_table_is_no_pass_and_no_traceback(good, ask):
    good.table_path("metrics").write_bytes(b"no parquet")
    verdict = ask(good, "min_patients")
    assert (verdict.status, verdict.blocks) == (NOT_ASSESSABLE, True)
    assert "can't be read" in verdict.words


def test_a_reproduction_is_used_where_there_is_one(good, ask):
    assert not ask(good, "reproduction").blocks
    assert ask(good, "reproduction", not_assessable="fail").blocks
    record = {"when": "2026-11-03T10:00:00+00:00", "tolerance": 1e-9, "why": "cohort.csv has changed\nand more"}
    for verdict, status, words in (
        ("identical", PASSED, "identical, made again on 2026-11-03"),
        ("close", PASSED, "close: no number differs by more than 1e-09, made again on 2026-11-03"),
        ("different", FAILED, "different, made again on 2026-11-03"),
        ("impossible", NOT_ASSESSABLE, "it could not be made again on 2026-11-03: impossible: cohort.csv has changed"),
    ):
        (good.path / "reproduction.json").write_text(json.dumps(record | {"verdict": verdict}))
        found = ask(good, "reproduction")
        assert (found.status, found.words) == (status, words)
        assert ask(good, "reproduction", close="fail").status == (FAILED if verdict == "close" else status)
    (good.path / "reproduction.json").write_text("{")
    assert ask(good, "reproduction").status == NOT_ASSESSABLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_events": {"value": "many"}}, "promotion.gates.min_events.value is 'many'; it must be a number"),
        ({"min_events": {"value": True}}, "must be a number"),
        ({"min_events": {"value": 2.5}}, "whole number"),
        ({"auroc_vs_loris": {"margin": -0.1}}, "promotion.gates.auroc_vs_loris.margin is -0.1"),
        ({"auroc_vs_loris": {"min_events": 1}}, "2 or more"),
        ({"auroc_vs_loris": {"reference": ""}}, "must be a name"),
        ({"calibration_slope": {"low": 2}}, "low must be below high"),
        ({"calibration_slope": {"judge": "eye"}}, "estimate or interval"),
        ({"real_data": {"aliases": ["winner"]}}, "challenger and champion"),
        ({"real_data": {"not_assessable": "maybe"}}, "fail or pass"),
        ({"real_data": {"limit": 3}}, "has no setting 'limit'"),
        ({"auroc_vs_champion": {"same_scheme": 1}}, "true or false"),
        ({"luck": {}}, "'luck', which is no gate"),
    ],
)
def test_mistakes_in_the_settings_name_their_key(settings, change, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("[", r"\[")):
        settings(**change)


def test_settings_come_back_as_they_were(shipped, settings):
    assert GateSettings.from_plain(settings(subgroups=None).to_plain()) == settings(subgroups=None)
    with pytest.raises(ConfigError, match="lacks 'digests'"):
        GateSettings.from_plain({k: v for k, v in shipped.items() if k != "digests"})
    with pytest.raises(ConfigError, match="must hold a section"):
        GateSettings.from_plain(None)
