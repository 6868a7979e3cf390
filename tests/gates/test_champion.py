"""Two runs patient by patient: who is compared, who is left out, and what the interval says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from immunocast.gates import FAILED, NOT_ASSESSABLE, PASSED, Champion, Evidence, judge
from immunocast.gates.champion import common_predictions
from immunocast.metrics import delong_difference

_SPEC = importlib.util.spec_from_file_location("rows", Path(__file__).with_name("rows.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
rows = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rows)
predicted = rows.predicted

N = 120
IDS = np.array([f"P{i:03d}" for i in range(N)])
RNG = np.random.default_rng(3)
Y = RNG.integers(0, 2, N)
GOOD = 1 / (1 + np.exp(-(1.6 * Y + RNG.normal(size=N))))
POOR = RNG.uniform(size=N)


@pytest.fixture
def two(folder, settings):
    """The verdict on a candidate against a champion, by their predictions: two(ours, theirs, margin=...)."""

    def asked(ours, theirs, about=None, **change):
        run = folder("ours", {"predictions": ours})
        other = folder("theirs", {"predictions": theirs}, **(about or {}))
        evidence = Evidence(run, "ridge", Champion("immunocast-ridge version 1", "ridge", other))
        return judge(evidence, settings(auroc_vs_champion=change), "champion")[3]

    return asked


def test_a_better_candidate_passes_and_a_worse_one_does_not(two, folder):
    verdict = two(predicted(IDS, Y, GOOD), predicted(IDS, Y, POOR))
    assert verdict.status == PASSED
    found = delong_difference(Y, GOOD, POOR)
    assert f"{found.difference:+.3f} ({found.ci_low:+.3f} to {found.ci_high:+.3f}) on 120 common" in verdict.words


def test_a_worse_candidate_is_kept_back(two):
    verdict = two(predicted(IDS, Y, POOR), predicted(IDS, Y, GOOD))
    assert (verdict.status, verdict.blocks) == (FAILED, True)


def test_the_margin_decides_on_the_lower_end(two):
    low = -delong_difference(Y, POOR, GOOD).ci_low
    assert two(predicted(IDS, Y, POOR), predicted(IDS, Y, GOOD), margin=low + 0.001).status == PASSED


def test_only_patients_whom_both_predict_fairly_are_compared(two):
    trained = np.arange(N) < 30
    unanswered = np.where(np.arange(N) >= 100, np.nan, POOR)
    verdict = two(predicted(IDS, Y, GOOD, in_training=trained), predicted(IDS[10:], Y[10:], unanswered[10:]))
    assert "on 70 common patients" in verdict.words


def test_too_few_in_common_are_not_assessable_and_block_unless_configured(two):
    ours = predicted(IDS[:60], Y[:60], GOOD[:60])
    theirs = predicted(IDS[50:], Y[50:], POOR[50:])
    verdict = two(ours, theirs)
    assert (verdict.status, verdict.blocks) == (NOT_ASSESSABLE, True)
    assert "10 fair patients in common with immunocast-ridge version 1" in verdict.words


def test_where_nobody_is_in_common_configuration_may_let_it_pass(two):
    verdict = two(predicted(IDS, Y, GOOD), predicted(IDS, Y, POOR, cohort="b"), not_assessable="pass")
    assert (verdict.status, verdict.blocks) == (NOT_ASSESSABLE, False)


def test_the_same_id_in_another_cohort_is_another_patient(folder):
    run = folder("ours", {"predictions": predicted(IDS, Y, GOOD)})
    other = folder("theirs", {"predictions": predicted(IDS, Y, POOR, cohort="b")})
    assert common_predictions(run, "ridge", other, "ridge").n_common == 0


def test_other_outcomes_are_left_out_and_many_of_them_are_other_data(two):
    once, often = Y.copy(), Y.copy()
    once[0], often[:12] = 1 - once[0], 1 - often[:12]
    verdict = two(predicted(IDS, Y, GOOD), predicted(IDS, once, POOR))
    assert "on 119 common patients" in verdict.words
    assert "left out: 1 with another outcome" in verdict.words


def test_many_other_outcomes_are_other_data(two):
    changed = np.where(np.arange(N) < 12, 1 - Y, Y)
    verdict = two(predicted(IDS, Y, GOOD), predicted(IDS, changed, POOR))
    assert verdict.status == NOT_ASSESSABLE
    assert "12 of 120 patients" in verdict.words


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"scheme": "repeated_kfold"}, "validated by repeated_kfold"),
        ({"endpoint": "dcb"}, "has another endpoint: dcb"),
        ({"endpoint_settings": {"name": "response", "ne": "exclude"}}, "settings of the endpoint"),
    ],
)
def test_another_question_is_not_compared(two, about, words):
    verdict = two(predicted(IDS, Y, GOOD), predicted(IDS, Y, POOR), about)
    assert verdict.status == NOT_ASSESSABLE
    assert words in verdict.words


def test_what_is_not_at_hand_is_told(folder, settings):
    run = folder("ours", {"predictions": predicted(IDS, Y, GOOD)})
    away = Evidence(run, "ridge", Champion("immunocast-ridge version 1", "ridge", None, "no folder has it"))
    assert "no folder has it" in judge(away, settings(), "champion")[3].words
    bare = Evidence(run, "ridge", Champion("immunocast-ridge version 1", "ridge", folder("bare", {})))
    verdict = judge(bare, settings(), "champion")[3]
    assert verdict.status == NOT_ASSESSABLE
    assert "tables of patients were not published" in verdict.words


def test_persons_are_the_unit_whichever_run_knows_them(folder, two):
    """Each patient is there twice, as the champion's run knows: errors must be as for the persons, not for the rows."""
    twice = np.concatenate([IDS, np.char.add(IDS, "x")])
    y, good, poor = np.tile(Y, 2), np.tile(GOOD, 2), np.tile(POOR, 2)
    persons = np.concatenate([IDS, IDS])
    verdict = two(predicted(twice, y, good), predicted(twice, y, poor, persons=persons))
    found = delong_difference(y, good, poor, persons)
    assert f"({found.ci_low:+.3f} to {found.ci_high:+.3f}) on 240" in verdict.words
    assert f"{found.ci_low:+.3f}" != f"{delong_difference(y, good, poor).ci_low:+.3f}"


def test_a_patient_whom_the_other_run_links_to_one_trained_on_is_left_out(folder):
    """P000 of fold a is P119 of fold b, and only the champion's run knows: the candidate's fit of fold a saw P119."""
    folds = np.where(np.arange(N) < 60, "a", "b")
    linked = IDS.copy()
    linked[119] = "P000"
    run = folder("ours", {"predictions": predicted(IDS, Y, GOOD, folds=folds)})
    other = folder("theirs", {"predictions": predicted(IDS, Y, POOR, folds=folds, persons=linked)})
    common = common_predictions(run, "ridge", other, "ridge")
    assert common.n_linked == 2
    assert not {"P000", "P119"} & set(common.predictions["patient_id"])
    # in one fold neither has helped to predict the other
    together = folder("together", {"predictions": predicted(IDS, Y, GOOD, folds="a")})
    assert common_predictions(together, "ridge", other, "ridge").n_linked == 0


def test_a_linked_patient_who_was_only_trained_on_counts_too(folder):
    """Q is in the candidate's cohort table without a prediction, and the champion's run links it to P000."""
    import pandas as pd

    from immunocast.cohort.table import to_cohort_table

    cohort = to_cohort_table(
        pd.DataFrame({"patient_id": [*IDS, "Q"], "cohort_id": "a", "tumor_type": "NSCLC", "responder": [*Y, 1]})
    )
    run = folder("ours", {"predictions": predicted(IDS, Y, GOOD), "cohort": cohort})
    theirs = predicted([*IDS, "Q"], [*Y, 1], [*POOR, 0.5], persons=[*IDS, "P000"])
    common = common_predictions(run, "ridge", folder("theirs", {"predictions": theirs}), "ridge")
    assert common.n_linked == 1
    assert "P000" not in set(common.predictions["patient_id"])
