"""What differs between two runs, told by table, row and column."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.store.compare import compare_bundles, compare_frames, compare_tables, key_of, verdict_of
from immunocast.store.runfolder import RunFolder
from immunocast.store.schemas import TABLES


def metrics(**changes):
    """Three estimates; `changes` gives columns."""
    frame = pd.DataFrame(
        {
            "metric": ["auroc", "brier", "net_benefit"],
            "model": "ridge",
            "recalibration": "none",
            "scheme": "kfold",
            "endpoint": "response",
            "cohort_id": "combined",
            "subgroup": "all",
            "level": "all",
            "threshold_or_horizon": [np.nan, np.nan, 0.3],
            "n": 100,
            "n_events": 40,
            "n_abstained": 0,
            "estimate": [0.7, 0.2, 0.1],
            "ci_low": [0.6, np.nan, 0.0],
            "ci_high": [0.8, np.nan, 0.2],
            "ci_method": "delong",
            "note": "",
        }
    )
    return frame.assign(**changes)


def test_the_worst_row_is_named_with_both_numbers():
    now = metrics(estimate=[0.7, 0.2002, 0.13])
    found = compare_frames("metrics", metrics(), now)
    assert found.verdict == "different"
    (column,) = found.columns
    assert (column.column, column.n_different, column.n_null) == ("estimate", 2, 0)
    assert column.max_abs == pytest.approx(0.03)
    assert column.max_rel == pytest.approx(0.03 / 0.13)
    assert column.worst["metric"] == "net_benefit"
    assert (column.worst["then"], column.worst["now"]) == (0.1, 0.13)
    assert "estimate differs in 2 rows by at most 0.03" in found.how
    assert "net_benefit, ridge, none, kfold" in found.how
    assert "0.1 then, 0.13 now" in found.how


def test_close_is_only_what_the_tolerance_allows():
    now = metrics(estimate=[0.7 + 1e-12, 0.2, 0.1])
    assert compare_frames("metrics", metrics(), now).verdict == "different"
    assert compare_frames("metrics", metrics(), now, 1e-9).verdict == "close"
    assert compare_frames("metrics", metrics(), now, 1e-13).verdict == "different"
    # text, a null, a row: no number's tolerance covers them
    assert compare_frames("metrics", metrics(), metrics(note="other"), 1.0).verdict == "different"
    assert compare_frames("metrics", metrics(), metrics(ci_low=[0.6, 0.1, 0.0]), 1.0).verdict == "different"
    assert compare_frames("metrics", metrics(), metrics().iloc[:2], 1.0).verdict == "different"
    assert compare_frames("metrics", metrics(), metrics(estimate=[np.inf, 0.2, 0.1]), 1.0).verdict == "different"
    # a large number's tolerance grows with it
    large, larger = metrics(estimate=[1e6, 0.2, 0.1]), metrics(estimate=[1e6 + 0.5, 0.2, 0.1])
    assert compare_frames("metrics", large, larger, 1e-6).verdict == "close"


def test_rows_meet_by_what_they_are_about():
    gone = compare_frames("metrics", metrics(), metrics(metric=["auroc", "brier", "ici"]))
    assert (gone.n_missing, gone.n_extra, gone.columns) == (1, 1, [])
    assert "1 rows gone, 1 new" in gone.how
    turned = compare_frames("metrics", metrics(), metrics().iloc[::-1])
    assert turned.verdict == "identical"
    # several thresholds of one metric: told apart by their order, and a moved threshold is a number that moved
    many = pd.concat([metrics(threshold_or_horizon=t, estimate=t).iloc[2:] for t in (0.2, 0.3)], ignore_index=True)
    moved = many.assign(threshold_or_horizon=[0.2, 0.31])
    found = compare_frames("metrics", many, moved)
    assert [c.column for c in found.columns] == ["threshold_or_horizon"]
    assert found.columns[0].worst["occurrence"] == 1


def test_columns_that_came_or_went_are_told():
    found = compare_frames("metrics", metrics(), metrics().drop(columns="note").assign(extra=1))
    assert found.verdict == "different"
    assert "gone: column note" in found.how
    assert "new: column extra" in found.how


def test_measured_numbers_are_no_keys():
    assert "rank" not in key_of("importance")
    assert "threshold" not in key_of("decisions")
    assert {"x", "y"}.isdisjoint(key_of("curves"))
    assert "patient_id" in key_of("predictions")
    assert all(key_of(name) for name in TABLES if name != "checks")


values = st.lists(st.one_of(st.none(), st.floats(allow_nan=False), st.just(0.25)), min_size=3, max_size=3)


@given(values, values)
@settings(max_examples=30, deadline=None)
def test_identical_exactly_where_every_value_is(first, second):
    then, now = (metrics(estimate=pd.Series(v, dtype="float64")) for v in (first, second))
    assert compare_frames("metrics", then, then).verdict == "identical"
    found = compare_frames("metrics", then, now)
    same = [a == b or (a is None and b is None) for a, b in zip(first, second, strict=True)]
    assert (found.verdict == "identical") == all(same)
    assert sum(c.n_different for c in found.columns) == same.count(False)
    json.dumps(found.to_dict(), allow_nan=False)  # fit for a file whatever the values
    back = compare_frames("metrics", now, then)
    assert [(c.n_different, c.max_abs) for c in back.columns] == [(c.n_different, c.max_abs) for c in found.columns]


def make(folder, frame=None, bundle=None):
    run = RunFolder(folder / ".work")
    run.write_table("metrics", metrics() if frame is None else frame)
    path = run.bundle_path("ridge", "final") / "bundle.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(bundle or {"coef": [1.0], "versions": {"scikit-learn": "1.9.1"}}))
    return run.seal(folder / "run")


def test_two_folders_that_are_the_same(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2")
    tables, bundles = compare_tables(one, two), compare_bundles(one, two)
    assert [(t.table, t.verdict, t.how, t.n_then) for t in tables] == [("metrics", "identical", "bytes", 3)]
    assert bundles == {"n": 1, "identical": 1, "different": [], "missing": [], "extra": []}
    assert verdict_of(tables, bundles) == "identical"


def test_another_writer_of_parquet_changes_no_verdict(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2")
    pd.read_parquet(two.table_path("metrics")).to_parquet(two.table_path("metrics"), index=False, compression="gzip")
    two.update_manifest(digests=two.digests())
    (table,) = compare_tables(one, two)
    assert (table.verdict, table.how) == ("identical", "values")


def test_bundles_differ_by_content_and_not_by_versions(tmp_path):
    one = make(tmp_path / "1")
    newer = make(tmp_path / "2", bundle={"coef": [1.0], "versions": {"scikit-learn": "1.9.2"}})
    assert compare_bundles(one, newer)["different"] == []
    other = make(tmp_path / "3", bundle={"coef": [1.5], "versions": {"scikit-learn": "1.9.1"}})
    found = compare_bundles(one, other)
    assert found["different"] == ["bundles/ridge/final/bundle.json"]
    assert verdict_of(compare_tables(one, other), found) == "close"
    # a fetched folder has no bundles: its manifest still says what they were
    shutil.rmtree(one.path / "bundles")
    assert compare_bundles(one, other)["different"] == ["bundles/ridge/final/bundle.json"]


def test_a_table_that_is_not_at_hand_is_compared_by_its_digest(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2")
    other = make(tmp_path / "3", frame=metrics(n=101))
    one.table_path("metrics").unlink()
    assert compare_tables(one, two)[0].verdict == "identical"
    (table,) = compare_tables(one, other)
    assert table.verdict == "different"
    assert "was not published" in table.how


def test_a_table_of_one_run_only_is_told(tmp_path):
    one, two = make(tmp_path / "1"), make(tmp_path / "2")
    two.write_table("checks", pd.DataFrame())
    two.update_manifest(digests=two.digests())
    found = {t.table: (t.verdict, t.how) for t in compare_tables(one, two)}
    assert found["checks"] == ("different", "new")
    assert {t.table: t.how for t in compare_tables(two, one)}["checks"] == "gone"
