from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunocast.errors import NotFoundError
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder


def test_models_stand_in_the_order_of_the_question(toy_run: RunFolder) -> None:
    assert RunView(toy_run).order == ["ridge", "loris_routed", "forest", "loris_pan", "pdl1_50", "tmb_10"]


def test_rules_are_found_by_fold_and_give_one_operating_point(toy_run: RunFolder) -> None:
    view = RunView(toy_run)
    assert view.rules == {"tmb_10", "pdl1_50"}
    cohort = toy_run.table("cohort")
    positive = (cohort["tmb_mut_mb"] >= 10).to_numpy()
    event = (cohort["responder"] == 1).to_numpy()
    assert view.operating_point("tmb_10") == pytest.approx((positive[~event].mean(), positive[event].mean()))


def test_rule_whose_probabilities_differ_between_folds_is_still_a_rule(make_run) -> None:
    run = make_run()
    frame = run.table("predictions")
    rule = frame["model"] == "tmb_10"
    shift = frame["cohort_id"].map({c: 0.01 * i for i, c in enumerate(frame["cohort_id"].unique())})
    frame.loc[rule, "p_response"] = 0.2 + 0.3 * frame.loc[rule, "p_response"] + shift[rule]
    before = RunView(run).operating_point("tmb_10")
    run.write_table("predictions", frame)
    view = RunView(run)
    assert "tmb_10" in view.rules
    assert view.operating_point("tmb_10") == pytest.approx(before)


def test_predictions_in_training_are_never_shown(make_run) -> None:
    run = make_run()
    frame = run.table("predictions")
    frame["in_training"] = (frame["model"] == "loris_pan") & (frame["cohort_id"] == "Tiny")
    run.write_table("predictions", frame)
    shown = RunView(run).predictions
    assert set(shown.loc[shown["model"] == "loris_pan", "cohort_id"]) == {"Alpha & <Beta>", "MSK-like | one"}
    assert "Tiny" in set(shown.loc[shown["model"] == "ridge", "cohort_id"])


def test_repeats_are_averaged(make_run) -> None:
    run = make_run()
    frame = run.table("predictions")
    second = frame.assign(repeat=1, p_response=np.clip(frame["p_response"] + 0.1, 0, 1))
    second.loc[frame["p_response"].isna(), "p_response"] = np.nan
    run.write_table("predictions", pd.concat([frame, second]))
    before = frame[(frame["model"] == "ridge")].set_index("patient_id")["p_response"]
    shown = RunView(run).predictions
    shown = shown[shown["model"] == "ridge"].set_index("patient_id")["p_response"]
    expected = (before + np.clip(before + 0.1, 0, 1)) / 2
    assert shown.sort_index().to_numpy() == pytest.approx(expected.sort_index().to_numpy())


def test_findings_put_the_most_severe_first(toy_run: RunFolder) -> None:
    assert list(RunView(toy_run).findings["severity"]) == ["warning", "warning", "info"]
    assert len(RunView(toy_run).warnings) == 2


def test_folder_without_manifest_is_told(tmp_path) -> None:
    with pytest.raises(NotFoundError, match="lacks endpoint"):
        RunView(RunFolder(tmp_path))


def test_notes_name_models_as_readers_know_them(toy_run: RunFolder) -> None:
    view = RunView(toy_run)
    assert (
        view.relabel("loris_pan trained on 3, forest-like; tmb_10")
        == "LORIS, pan-cancer trained on 3, Random forest-like; TMB ≥ 10 mut/Mb"
    )
    assert view.relabel("deforestation") == "deforestation"
    assert view.relabel(None) == ""
    assert view.label("ridge+platt") == "Ridge logistic regression, recalibrated (Platt)"


def test_the_report_keeps_a_recalibrated_model_apart(tmp_path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_meta(
        "train", endpoint="response", scheme="leave_one_cohort_out", headline_model="high", reference_model="high",
        models={"high": {"label": "Published", "spec": {}}},
    )  # fmt: skip
    view = RunView(run)
    assert view.label("high+platt").startswith("Published, recalibrated")
    note = view.relabel("high+platt abstained on 3 of 9 patients, high trained on all; highest")
    assert note == f"{view.label('high+platt')} abstained on 3 of 9 patients, Published trained on all; highest"


def test_a_rule_stays_one_where_its_update_inside_a_cohort_has_many_values(toy_run: RunFolder, tmp_path) -> None:
    predictions = toy_run.table("predictions")
    rule = predictions[predictions["model"] == "tmb_10"]
    updated = rule.assign(recalibration="intercept_site", p_response=np.linspace(0.1, 0.6, len(rule)))
    run = RunFolder(tmp_path / "run")
    manifest = toy_run.manifest()
    run.write_meta("train", **{k: manifest[k] for k in ("endpoint", "scheme", "models", "headline_model")})
    run.write_table("predictions", pd.concat([predictions, updated]))
    assert "tmb_10" in RunView(run).rules
