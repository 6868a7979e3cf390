"""Blocks and clusters: who belongs together, and that a group's value is the sum of its members'."""

import numpy as np
import pandas as pd
import pytest

from immunocast.errors import ConfigError
from immunocast.explain.groups import blocks, clusters, rank_correlation
from immunocast.explain.importance import importance_table
from immunocast.store.schemas import conform

FEATURES = ["albumin_g_dl", "nlr", "dnlr", "pdl1_tps", "tmb_mut_mb", "tumor_type"]


def world(n=120, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(n)]
    nlr = rng.lognormal(1.5, 0.7, n)
    cohort = pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": "A",
            "person_id": ids,
            "nlr": nlr,
            "dnlr": nlr * 0.6 * rng.lognormal(0, 0.1, n),
            "albumin_g_dl": rng.normal(3.9, 0.4, n),
            "pdl1_tps": np.where(rng.random(n) < 0.5, np.nan, rng.uniform(0, 100, n)),
            "tmb_mut_mb": rng.lognormal(2, 1, n),
            "tumor_type": np.repeat(["NSCLC", "Renal"], n // 2),
        }
    )
    head = {"cohort_id": "A", "model": "ridge", "scheme": "s", "fold": "f", "endpoint": "response",
            "output_scale": "log-odds", "base_value": 0.0, "output": 0.0}  # fmt: skip
    values = {f: rng.normal(size=n) for f in FEATURES}
    shap = [pd.DataFrame({"patient_id": ids, **head, "repeat": r, **values}) for r in (0, 1)]
    shap[1]["nlr"] = -shap[1]["nlr"]
    return pd.concat(shap, ignore_index=True), cohort


def test_importance_of_a_group_is_the_mean_of_its_absolute_sums():
    shap, cohort = world()
    found = importance_table(shap, cohort, clusters=0.5, n_resamples=200)
    assert len(conform("importance", found)) == len(found)
    groups = found[(found["kind"] != "feature") & (found["subgroup"] == "all")]
    assert set(groups["kind"]) == {"block", "cluster"}
    for row in groups.to_dict("records"):
        sums = shap[row["members"].split("+")].sum(axis=1).abs()
        assert row["mean_abs_shap"] == pytest.approx(sums.groupby(shap["patient_id"]).mean().mean())
        assert row["ci_low"] <= row["mean_abs_shap"] <= row["ci_high"]
    cluster = groups[groups["kind"] == "cluster"].iloc[0]
    assert set(cluster["members"].split("+")) == {"nlr", "dnlr"}
    assert cluster["group"] == "blood"
    alone = found[(found["kind"] == "feature") & (found["subgroup"] == "all")].set_index("feature")
    assert cluster["mean_abs_shap"] < alone.loc[["nlr", "dnlr"], "mean_abs_shap"].sum()
    measured = groups.set_index("feature")["n_measured"]
    assert measured["pdl1"] == cohort["pdl1_tps"].notna().sum()
    assert measured["blood"] == len(cohort)
    ranked = groups[groups["kind"] == "block"].sort_values("mean_abs_shap", ascending=False)
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1)), "ranked among their kind"


def test_groups_leave_the_rows_of_features_as_they_are():
    shap, cohort = world()
    with_groups = importance_table(shap, cohort, clusters=0.5, n_resamples=200)
    without = importance_table(shap, cohort, clusters=None, n_resamples=200)
    assert "cluster" not in set(without["kind"])
    one, other = (t[t["kind"] == "feature"].reset_index(drop=True) for t in (with_groups, without))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_blocks_have_subgroups_and_clusters_have_none():
    found = importance_table(*world(), clusters=0.5, n_resamples=50)
    kinds = found.groupby("subgroup")["kind"].agg(set)
    assert kinds["tumor_type"] == {"feature", "block"}


def test_few_pairs_constants_and_categories_join_nobody():
    _, cohort = world()
    cohort.loc[40:, "dnlr"] = np.nan  # 40 pairs
    cohort["tmb_mut_mb"] = 5.0
    correlation = rank_correlation(cohort, FEATURES)
    assert "tumor_type" not in correlation
    joined = {m for g in clusters(FEATURES, correlation, 0.05) for m in g.members}
    assert not joined & {"dnlr", "tmb_mut_mb", "tumor_type"}
    assert correlation.loc["nlr", "albumin_g_dl"] == pytest.approx(
        cohort["nlr"].corr(cohort["albumin_g_dl"], "spearman")
    )


def test_the_cut_is_an_average_correlation_and_names_do_not_depend_on_order():
    names = ["albumin_g_dl", "nlr", "dnlr"]
    corr = pd.DataFrame([[1, -0.6, 0.3], [-0.6, 1, 0.9], [0.3, 0.9, 1]], names, names, dtype=float)
    assert [set(g.members) for g in clusters(names, corr, 0.5)] == [{"nlr", "dnlr"}]  # albumin: (.6 + .3) / 2
    assert [set(g.members) for g in clusters(names, corr, 0.45)] == [set(names)]
    assert clusters(names[::-1], corr, 0.45) == clusters(names, corr, 0.45)
    assert clusters(names, corr, 0.95) == []


@pytest.mark.parametrize("least", [0, -0.5, 1.5, "half", True])
def test_a_threshold_is_a_correlation(least):
    with pytest.raises(ConfigError, match=r"explain\.clusters"):
        clusters(["nlr", "dnlr"], pd.DataFrame(), least)


def test_every_feature_is_in_one_block():
    members = [m for g in blocks(FEATURES) for m in g.members]
    assert sorted(members) == sorted(FEATURES)
