"""Tables of the report that are made from the run's evaluation tables."""

from __future__ import annotations

import pandas as pd
import pytest

from immunocast.report import sections_comparisons as comparisons
from immunocast.report import sections_controls as controls
from immunocast.report import sections_decisions as decisions
from immunocast.report import sections_evaluation as evaluation
from immunocast.report import sections_survival as survival
from immunocast.report.sections import Notes
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder


@pytest.fixture(scope="module")
def view(toy_run: RunFolder) -> RunView:
    return RunView(toy_run)


def _column(sheet, head: str) -> list[str]:
    place = sheet.heads.index(head)
    return [row[place].value for row in sheet.rows]


def test_lowest_risk_group_is_the_reference_and_not_a_ratio_of_one(view: RunView) -> None:
    sheet = survival.risk_group_sheet(view)
    ratios = dict(zip(zip(_column(sheet, "Model"), _column(sheet, "Probability"), strict=True),
                      _column(sheet, "Hazard ratio"), strict=True))  # fmt: skip
    assert ratios["Ridge logistic regression", "low"] == "reference"
    assert ratios["Ridge logistic regression", "middle"] == "0.70"
    spans = [row[sheet.heads.index("Hazard ratio")].span for row in sheet.rows]
    assert "1.00 to 1.00" not in spans


def test_a_ratio_of_one_with_a_width_is_an_estimate(make_run) -> None:
    run = make_run()
    frame = run.table("risk_groups")
    middle = frame["group"] == "middle"
    frame.loc[middle, ["hazard_ratio", "hr_low", "hr_high"]] = [1.0, 0.7, 1.4]
    run.write_table("risk_groups", frame)
    sheet = survival.risk_group_sheet(RunView(run))
    assert _column(sheet, "Hazard ratio")[:3] == ["reference", "1.00", "0.40"]


def test_adverse_events_have_a_table_of_their_own(view: RunView) -> None:
    assert set(_column(survival.risk_group_sheet(view), "Model")) == {"Ridge logistic regression", "LORIS, routed"}
    sheet = survival.irae_sheet(view)
    assert _column(sheet, "Counted") == ["From a landmark day"] * 2 + ["Ever, naively"] * 2
    assert _column(sheet, "Patients with") == ["no irAE", "an irAE"] * 2
    assert _column(sheet, "Hazard ratio") == ["reference", "0.60"] * 2


def test_horizons_show_error_and_gain(view: RunView) -> None:
    (sheet,) = survival.horizon_sheets(view)
    assert sheet.heads == ["Model", "Brier(t), 6 months", "Brier(t), 12 months", "IPA, 6 months", "IPA, 12 months"]
    assert [c.value for c in sheet.rows[0][1:]] == ["0.210", "0.210", "0.050", "0.050"]


def test_prediction_sets_are_counted_by_outcome(view: RunView) -> None:
    sheet = decisions.prediction_set_sheet(view)
    table = view.table("conformal").merge(view.analysed, on=["patient_id", "cohort_id"])
    (row,) = sheet.rows
    for head, part in (("Covered", table), ("Covered: responders", table[table["y_true"] == 1])):
        share = 100 * part["covered"].astype(bool).mean()
        assert row[sheet.heads.index(head)].value == f"{share:.1f} %"
    one = table[table["prediction_set"].isin(["event", "other"])]
    right = ((one["prediction_set"] == "event") == (one["y_true"] == 1)).mean()
    assert row[sheet.heads.index("Right where one is named")].value == f"{100 * right:.1f} %"
    assert _column(sheet, "Both left open") == [f"{(table['prediction_set'] == 'both').sum():,}"]


def test_patients_without_a_set_do_not_count(make_run) -> None:
    run = make_run()
    frame = run.table("conformal")
    frame.loc[frame.index[:20], ["prediction_set", "covered"]] = ["", False]
    run.write_table("conformal", frame)
    sheet = decisions.prediction_set_sheet(RunView(run))
    assert _column(sheet, "Patients") == [f"{len(frame) - 20:,}"]


def test_thresholds_show_how_far_training_folds_disagree(view: RunView) -> None:
    sheet = decisions.threshold_sheet(view)
    assert [c.value for c in sheet.rows[0]][2:] == ["0.300", "0.270 to 0.350", "2"]


def test_decisions_of_the_headline_model_stand_by_cohort(view: RunView) -> None:
    (sheet,) = decisions.decision_cohort_sheets(view)
    assert sheet.title.startswith("Youden")
    assert _column(sheet, "Cohort") == ["Alpha & <Beta>", "MSK-like | one"]
    assert _column(sheet, "Sensitivity") == ["0.700", "0.700"]


def test_money_has_commas(view: RunView) -> None:
    sheet = decisions.decision_sheets(view)[0]
    cell = sheet.rows[0][sheet.heads.index("Cost per responder")]
    assert (cell.value, cell.span) == ("333,000", "299,700 to 366,300")


def test_tuning_tells_what_was_chosen_and_how_often(view: RunView) -> None:
    sheet = controls.tuning_sheet(view)
    assert [c.value for c in sheet.rows[0]] == ["Random forest", "depth=2", "2 of 2", "Log loss", "0.500", "2"]


def test_every_pair_reads_the_same_from_both_sides(make_run) -> None:
    run = make_run()
    frame = run.table("comparisons")
    more = frame[(frame["model"] == "ridge") & (frame["cohort_id"] == "combined")].assign(
        model="forest", reference_model="ridge", difference=-0.1, ci_low=-0.2, ci_high=0.0, p=0.04
    )
    run.write_table("comparisons", pd.concat([frame, more], ignore_index=True))
    sheet = comparisons.pair_sheet(RunView(run))
    names = [row[0].value for row in sheet.rows]
    assert sheet.heads[1:] == names
    a, b = names.index("Ridge logistic regression"), names.index("Random forest")
    assert (sheet.rows[a][b + 1].value, sheet.rows[a][b + 1].span) == ("+0.100", "p 0.040")
    assert (sheet.rows[b][a + 1].value, sheet.rows[b][a + 1].span) == ("-0.100", "p 0.040")
    assert all(row[i + 1].value == "" for i, row in enumerate(sheet.rows))


def test_the_same_predictions_are_no_difference_of_zero(make_run) -> None:
    run = make_run()
    frame = run.table("comparisons")
    forest = frame["model"] == "forest"
    frame.loc[forest, ["difference", "ci_low", "ci_high"]] = 0.0
    run.write_table("comparisons", frame)
    sheet = comparisons.comparison_sheet(RunView(run), ("auroc",))
    found = dict(zip(_column(sheet, "Model"), _column(sheet, "Difference"), strict=True))
    assert found["Random forest"] == "the same here"
    assert found["Ridge logistic regression"] == "+0.020"


def test_interval_for_a_new_cohort_stays_within_the_score(make_run) -> None:
    run = make_run()
    frame = run.table("heterogeneity")
    brier = frame[frame["metric"] == "auroc"].assign(metric="brier", estimate=0.2, pi_low=-0.16, pi_high=0.5)
    run.write_table("heterogeneity", pd.concat([frame, brier], ignore_index=True))
    sheet = evaluation.meta_sheet(RunView(run))
    place = _column(sheet, "Metric").index("Brier score")
    assert sheet.rows[place][sheet.heads.index("For a new cohort")].value == "0.000 to 0.500"
    assert any("cut at the range of the score" in note for note in sheet.notes)


def test_a_note_of_all_rows_names_none(view: RunView) -> None:
    notes = Notes(view)
    for name in ("A", "B", "C"):
        notes.add("holds everywhere", name)
        notes.add("holds once" if name == "B" else "", name)
    assert notes.lines() == ["holds everywhere", "holds once (B)"]
