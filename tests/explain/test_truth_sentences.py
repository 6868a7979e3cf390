"""What the table of truth says in words: the figures are its own, and nothing is said where nothing is known."""

import numpy as np
import pandas as pd
import pytest

from immunocast.explain.truth_sentences import truth_sentences

METRICS = {
    "importance_rank_correlation": (0.81, 1.0),
    "parent_auroc": (0.72, 1.0),
    "proxy_share": (0.13, 0.0),
    "noise_share": (0.04, 0.0),
    "patient_correlation_measured": (0.64, 1.0),
    "first_reason": (0.39, 1.0),
    "first_reason_measured": (0.52, 1.0),
    "cause_unmeasured": (0.23, np.nan),
    "total_attribution": (1.61, 2.8),
}


def table(metrics=METRICS, model="ridge", scheme="k", width=0.02):
    rows = [
        {"model": model, "scheme": scheme, "endpoint": "response", "metric": metric, "feature": "all", "n": 300,
         "n_train": 200, "estimate": estimate, "ci_low": estimate - width, "ci_high": estimate + width, "truth": truth,
         "note": ""}
        for metric, (estimate, truth) in metrics.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_every_figure_is_that_of_the_table():
    said = truth_sentences(table())
    assert len(said) == 3
    assert said[0].startswith("ridge: ")
    for figure in (
        *("0.81 (0.79 to 0.83)", "72 % (70 to 74)", "13 % (11 to 15)", "4 % (2 to 6)", "0.64 (0.62 to 0.66)"),
        *("39 % (37 to 41)", "52 % (50 to 54)"),
    ):
        assert figure in said[0], figure
    assert said[1].startswith("23 % of what truly moves")
    assert "Synthetic" in said[2]


def test_of_single_features_nothing_is_said():
    more = table({"attribution_share": (0.77, 0.5)}).assign(feature="nlr")
    assert truth_sentences(pd.concat([table(), more])) == truth_sentences(table())


def test_models_and_schemes_have_a_paragraph_each():
    frame = pd.concat([table(), table(scheme="loco"), table({**METRICS, "cause_unmeasured": (0.4, np.nan)}, "forest")])
    said = truth_sentences(frame)
    assert [s.split(":")[0] for s in said[:3]] == ["ridge (k)", "ridge (loco)", "forest"]
    assert said[3].startswith("23 to 40 %")


def test_without_causes_every_reason_is_chance():
    said = truth_sentences(table({"total_attribution": (0.83, 0.0), "noise_share": (1.0, np.nan)}))
    assert "nothing causes the outcome" in said[0]
    assert "0.83" in said[0]
    assert "chance" in said[0]
    assert len(said) == 2


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"total_attribution": (np.nan, 2.8)}, "too few patients"),
        ({"total_attribution": (0.0, 2.8), "parent_auroc": (0.5, 1.0)}, "the same to everybody"),
        ({"total_attribution": (1.0, 2.8)}, "nothing to compare"),
        ({"total_attribution": (1.0, np.nan), "parent_auroc": (0.6, 1.0)}, "ridge: a cause ranks above"),
    ],
)
def test_what_is_not_known_is_not_told(metrics, words):
    assert words in truth_sentences(table(metrics))[0]
    assert "nan" not in " ".join(truth_sentences(table(metrics)))


def test_an_interval_that_is_not_known_is_left_out():
    said = truth_sentences(table(width=np.nan))[0]
    assert "0.81 (1 would be" in said
    assert "nan" not in said


def test_an_empty_table_says_nothing():
    assert truth_sentences(pd.DataFrame(columns=list(table()))) == []
