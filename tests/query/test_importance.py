"""Which features matter, for whom, and what changed between two runs."""

import pandas as pd
import pytest
from tests.query.conftest import MID, NEW, OLD, importance, make_run, metrics

import immunocast.query as q
from immunocast.errors import NotFoundError


def test_the_latest_run_by_default(made):
    found = q.importance(runs_dir=made)
    assert found["run_id"].unique().tolist() == [NEW]
    assert found["feature"].tolist() == ["tmb_mut_mb", "sex", "age_years"]
    assert found["kind"].unique().tolist() == ["feature"]


def test_several_runs_also_older_ones(made):
    found = q.importance(since="2026-01-01", runs_dir=made)
    assert found.groupby("run_id")["feature"].first().to_dict() == {OLD: "nlr", MID: "tmb_mut_mb", NEW: "tmb_mut_mb"}
    assert q.importance(runs=["20260101", "latest"], runs_dir=made)["run_id"].unique().tolist() == [OLD, NEW]
    assert q.importance(cohort="old", runs_dir=made)["run_id"].unique().tolist() == [OLD]


def test_by_subgroup_and_group(made):
    found = q.importance(by="tumor_type", runs_dir=made)
    assert found["level"].unique().tolist() == ["melanoma", "nsclc"]
    assert q.importance(group="block", runs_dir=made)["kind"].unique().tolist() == ["block"]
    assert q.importance(group="dna", runs_dir=made)["feature"].tolist() == ["tmb_mut_mb"]
    assert q.importance(group="dna", runs=OLD, runs_dir=made)["rank"].tolist() == [2]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"model": "xgbost"}, "Explained models: ridge"),
        ({"by": "sex"}, "It has: tumor_type"),
        ({"group": "cluster"}, "There is: block"),
        ({"group": "pdl1"}, "There is: block, cluster, clinical, dna"),
        ({"group": "block", "runs": OLD}, "There is: none"),
        ({"runs": "1999"}, "There is no run '1999'"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(made, asked, says):
    with pytest.raises(NotFoundError, match=says):
        q.importance(**asked, runs_dir=made)


def test_two_runs_side_by_side(made):
    found = q.compare(MID, NEW, runs_dir=made).set_index("feature")
    assert found["rank_a"].tolist()[:3] == [1, 2, 3]
    assert found.loc["sex", "rank_change"] == -1
    assert found.loc["sex", "ranks_overlap"]  # 2-3 and 2-2
    assert found.loc["tmb_mut_mb", "difference"] == pytest.approx(1.0)
    assert found.loc["tmb_mut_mb", "share_a"] == pytest.approx(1 / (1 + 1 / 2 + 1 / 3))
    assert found.loc["sex", "direction_changed"] == False  # noqa: E712 (a nullable boolean)
    assert found.loc["nlr", "note"] == "only in A"
    assert found.loc["age_years", "note"] == "only in B"
    assert pd.isna(found.loc["age_years", "ranks_overlap"])
    assert q.compare(MID, NEW, runs_dir=made).attrs["runs"] == [MID, NEW]


def test_ranks_that_do_not_meet(made):
    found = q.compare(OLD, MID, runs_dir=made).set_index("feature")
    assert found.loc["nlr", ["rank_a", "rank_b", "rank_change"]].tolist() == [1, 2, 1]
    assert found.loc["nlr", "ranks_overlap"]  # 1-1 and 1-2
    exact = q.compare(OLD, NEW, runs_dir=made).set_index("feature")
    assert not exact.loc["tmb_mut_mb", "ranks_overlap"]  # 2-2 and 1-1


def test_a_comparison_is_its_own_mirror(made):
    there, back = (
        q.compare(*runs, runs_dir=made).set_index("feature").sort_index() for runs in ((MID, NEW), (NEW, MID))
    )
    assert there["rank_change"].equals(-back["rank_change"])
    assert there["ranks_overlap"].equals(back["ranks_overlap"])
    assert there["difference"].equals(-back["difference"])
    assert there["direction_changed"].equals(back["direction_changed"])


def test_a_run_with_itself_is_the_same(made):
    found = q.compare(NEW, "latest", runs_dir=made)
    assert (found["rank_change"] == 0).all()
    assert (found["difference"] == 0).all()
    assert found["ranks_overlap"].all()
    assert found.attrs["notes"] == []


def test_what_else_differs_is_told(made):
    notes = " ".join(q.compare(OLD, MID, runs_dir=made).attrs["notes"])
    assert "Cohorts differ: old-0 in A, site-0 in B." in notes
    assert "Parameters of ridge differ: penalty 1.0 -> 2.0." in notes
    assert "other patients or values" in " ".join(q.compare(MID, NEW, runs_dir=made).attrs["notes"])


def test_sizes_on_two_scales_are_not_subtracted(tmp_path):
    make_run(tmp_path, OLD, {"importance": importance(["nlr"]), "metrics": metrics(0.5)})
    about = {"endpoint": "dcb", "immunocast_version": "9", "provenance": {"name": "site", "synthetic": False}}
    tables = {"importance": importance(["nlr"], scale="probability"), "metrics": metrics(0.5)}
    make_run(tmp_path, NEW, tables, **about)
    found = q.compare(OLD, NEW, runs_dir=tmp_path)
    assert found["difference"].isna().all()
    assert found["share_change"].tolist() == [0]
    notes = " ".join(found.attrs["notes"])
    assert "Scales differ: log-odds in A, probability in B; compare ranks and shares" in notes
    assert "Synthetic patients in A, Real ones in B." in notes
    assert "Endpoints differ: response in A, dcb in B." in notes
    assert "Versions of immunocast differ: 0.1.0 in A, 9 in B." in notes


def test_the_share_is_of_all_features_also_where_a_block_is_shown(made):
    block = q.compare(MID, NEW, group="dna", runs_dir=made)
    assert block["share_a"].tolist() == [pytest.approx(1 / (1 + 1 / 2 + 1 / 3))]
