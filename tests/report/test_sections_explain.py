"""The report's tables on explanations, from made-up rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from immunocast.report import sections_explain as explain
from immunocast.report.explained import (
    agreement_rows,
    discordant_words,
    interacting_model,
    stability_rows,
    why_no_discordant,
)
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder

NBSP = "\N{NO-BREAK SPACE}"
EMPTY = ("importance_stability", "importance_methods", "agreement", "interactions", "discordant", "truth_recovery",
         "recalibration_maps")  # fmt: skip


@pytest.fixture(scope="module")
def view(toy_run: RunFolder) -> RunView:
    return RunView(toy_run)


def words(sheet) -> list[list[str]]:
    return [[cell.value for cell in row] for row in sheet.rows]


def change(run: RunFolder, name: str, edit) -> RunView:
    run.write_table(name, edit(run.table(name)))
    return RunView(run)


def test_methods_are_told_in_words_with_their_scale(view) -> None:
    assert words(explain.method_sheet(view)) == [
        ["Ridge logistic regression", "exact, closed form (features taken as independent)", "log-odds", "284"],
        ["Random forest", "exact TreeSHAP, path-dependent", "probability", "284"],
    ]
    assert "estimated" in explain.method_words("linear+sampled")
    assert explain.method_words("tree_new") == "tree new"


def test_groups_hold_blocks_then_clusters_with_members_by_name(view) -> None:
    rows = words(explain.group_sheet(view))
    assert [r[0] for r in rows] == ["Blood", "DNA", "Clinical", "PD-L1", "Cluster"]
    assert rows[-1][1] == "Albumin (g/dL), NLR"


def test_stability_has_a_column_a_source_and_says_what_is_indistinct(view) -> None:
    sheet = explain.stability_sheet(view)
    assert sheet.heads[3:] == ["Ranks over 50 refits", "Ranks over 3 cohorts", "Verdict"]
    assert [r[-1].value for r in sheet.rows] == ["stable"] * 5 + ["not distinguishable"]
    assert sheet.rows[0][3].span == "same direction 98 %"
    assert sheet.rows[-1][3].span == ""  # a category has no direction
    assert sheet.notes == ["patients of each cohort (cohorts)"]


def test_folds_that_are_the_cohorts_are_not_told_twice(make_run) -> None:
    def more(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame, frame[frame["source"] == "cohorts"].assign(source="folds")])

    heads = explain.stability_sheet(change(make_run(), "importance_stability", more)).heads
    assert not any("folds" in h for h in heads)


def test_stability_of_another_model_stands_in_where_the_explained_one_has_none(make_run) -> None:
    view = change(make_run(), "importance_stability", lambda f: f.assign(model="forest"))
    assert set(stability_rows(view)["model"]) == {"forest"}
    assert explain.stability_sheet(view).title == "Random forest"


def test_other_ways_say_where_they_disagree_and_why(view) -> None:
    sheet = explain.ways_sheet(view)
    rows = {r[0].value: r for r in sheet.rows}
    assert rows["Albumin (g/dL)"][-1].value == "disagrees: fitted without it"
    assert rows["TMB (mut/Mb)"][-1].value == "agrees"
    assert rows["Prior systemic therapy"][4].value == "–"
    assert sheet.notes == ["another feature stands in when it is gone (Albumin (g/dL))"]


def test_agreement_names_models_cohorts_and_methods(view) -> None:
    sheet = explain.agreement_sheet(view)
    pairs = [r[1] for r in words(sheet)]
    assert "Random forest and Ridge logistic regression" in pairs
    assert "Alpha & <Beta> and Tiny" in pairs
    assert "SHAP and Permutation" in pairs
    unknown = next(r for r in sheet.rows if r[1].value == "Alpha & <Beta> and Tiny")
    assert [c.value for c in unknown[2:]] == ["–", "–", "–"]
    assert set(agreement_rows(view)["model"]) == {"", "ridge"}


def test_interactions_of_zero_are_left_out(view) -> None:
    assert [r[1] for r in words(explain.interaction_sheet(view))] == [
        "NLR × TMB (mut/Mb)",
        "PD-L1 TPS (%) × Tumour type",
    ]
    assert interacting_model(view) == "forest"


def test_discordant_patients_are_spoken_of_in_words_of_the_endpoint(view) -> None:
    low, high = explain.discordant_sheets(view)
    assert (
        low.title.replace(NBSP, " ")
        == "Responders (n = 21) against non-responders (n = 40), all with PD-L1 TPS below 1 %"
    )
    assert high.title.replace(NBSP, " ").startswith(
        "Non-responders (n = 21) against responders (n = 40), all with PD-L1 TPS of 50 %"
    )
    rows = {r[0]: r for r in words(low)}
    assert rows["TMB (mut/Mb)"][2:] == ["9.12", "5.5"]
    assert rows["Prior systemic therapy"][2:] == ["yes", "no"]
    assert rows["Tumour type"][2:] == ["–", "–"]


def test_an_endpoint_whose_event_is_bad_turns_the_words(make_run) -> None:
    run = make_run()
    run.update_manifest(endpoint="primary_resistance", endpoint_settings=None)
    view = RunView(run)
    said = discordant_words(view, "pdl1_low_responders", 1200, 3).replace(NBSP, " ")
    assert said.lower().startswith(view.words.others.lower() + " (n = 1,200) against " + view.words.events.lower())
    run.update_manifest(endpoint="irae")
    run.table_path("discordant").unlink()
    assert "does not carry over" in why_no_discordant(RunView(run))


def test_strata_that_are_too_small_leave_their_note(make_run) -> None:
    def small(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(difference=np.nan, rank=pd.NA, note="too small: fewer than 10 patients on a side")

    low, _ = explain.discordant_sheets(change(make_run(), "discordant", small))
    assert low.rows == []
    assert low.notes == ["too small: fewer than 10 patients on a side"]


def test_truth_has_a_row_a_measure_and_the_truth_beside_it(view) -> None:
    sheet = explain.truth_sheet(view)
    assert sheet.heads == ["What is compared", "Ridge logistic regression", "Random forest", "If it were the truth"]
    rows = {r[0]: r for r in words(sheet)}
    assert rows["Share of noise"][-1] == "0.00"
    assert rows["Everything attributed"][-1] == "–"
    assert [r[0] for r in words(sheet)][-1] == "An unknown metric"  # what has no words stands last
    assert sheet.notes == ["0.50 by chance. (Causes first, AUROC)"]


def test_truth_that_differs_between_models_is_a_range(make_run) -> None:
    def differ(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[(frame["metric"] == "noise_share") & (frame["model"] == "forest"), "truth"] = 0.2
        return frame

    rows = {r[0]: r for r in words(explain.truth_sheet(change(make_run(), "truth_recovery", differ)))}
    assert rows["Share of noise"][-1] == "0.00 to 0.20"


def test_maps_are_those_of_the_final_models(view) -> None:
    lines = explain.map_lines(view)
    assert lines[0] == "Ridge logistic regression, Platt: logit q = -0.200 +0.800 logit p"
    assert len(lines) == 3


def test_empty_tables_give_empty_sheets(make_run) -> None:
    run = make_run()
    for name in EMPTY:
        run.table_path(name).unlink()
    view = RunView(run)
    for sheet in (explain.stability_sheet, explain.ways_sheet, explain.agreement_sheet, explain.interaction_sheet,
                  explain.truth_sheet):  # fmt: skip
        assert sheet(view).rows == []
    assert explain.discordant_sheets(view) == []
    assert explain.map_lines(view) == []
