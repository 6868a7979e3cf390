"""Sentences of stability: what the tables hold is said, and so is what was not done."""

import re

import pandas as pd
import pytest

from immunocast.explain.stability_run import stability_tables
from immunocast.explain.stability_words import stability_sentences
from immunocast.store.schemas import conform

TABLES = ("importance_stability", "importance_methods", "agreement")


@pytest.fixture(scope="module")
def tables(copied, make_planted):
    found = stability_tables(copied.run, copied.shap, copied.importance, make_planted.settings, seed=0)
    return [conform(name, found[name]) for name in TABLES]


def test_a_run_is_told(tables):
    said = stability_sentences(*tables, label=str.title)
    (refits,) = [s for s in said if "bootstrap refits" in s]
    assert refits.startswith("Ridge over 20 bootstrap refits: stable: ")
    assert "not distinguishable, ranks over more than half of the 11 features: " in refits
    assert re.search(r"\(rank 1(?: to [23])?\)", refits)
    assert not re.search(r"rank (\d+) to \1\)", refits)
    (cohorts,) = [s for s in said if s.startswith("Ridge over 3 cohorts")]
    assert "fewer than 20 draws, so no verdict" in cohorts
    (drop,) = [s for s in said if s.startswith("Drop-column importance of Ridge")]
    assert "apart from SHAP" in drop
    assert "tells the same when it is left out" in drop
    assert any(s.startswith("Ridge between cohorts: Spearman correlation") and "(3 pairs)" in s for s in said)
    assert all(s.endswith(".") for s in said)
    assert not any("nan" in s or "<NA>" in s for s in said)


def test_what_is_stored_says_the_same(tables, tmp_path):
    back = []
    for k, frame in enumerate(tables):
        frame.to_parquet(tmp_path / f"{k}.parquet")
        back.append(pd.read_parquet(tmp_path / f"{k}.parquet"))
    assert stability_sentences(*back) == stability_sentences(*tables)


def test_what_was_not_done_is_said():
    said = stability_sentences(*(conform(name, pd.DataFrame()) for name in TABLES))
    assert len(said) == 3
    assert said[0].startswith("No model was refitted")
    assert said[1] == "Importance was measured by SHAP alone."


def test_two_models(tables):
    agreement = tables[2].iloc[[0]].assign(between="models", model="", a="ridge", b="xgboost")
    agreement = agreement.assign(same_direction=0.9999, rank_correlation=0.5, ci_low=0.4, ci_high=0.6, top_shared=3)
    said = stability_sentences(*(t.iloc[:0] for t in tables[:2]), agreement, label=str.upper)
    assert (
        "RIDGE and XGBOOST rank 11 features with a Spearman correlation of 0.50 (0.40 to 0.60); 3 of the first five "
        "are the same; 99 % of the importance has the same direction." in said
    )


def test_no_estimate_is_no_agreement(tables):
    methods = tables[1].assign(estimate=float("nan"), rank=pd.NA, disagrees=False, note="too small")
    said = stability_sentences(tables[0], methods, tables[2])
    assert "Permutation importance of ridge: no estimate (too small)." in said
