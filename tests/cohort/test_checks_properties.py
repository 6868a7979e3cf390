"""Properties of all checks: no crash on any small table, no dependence on the order of rows or on ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immunocast.cohort.checks import CHECKS, apply_waivers, check_cohort, imputed_in, set_missing, to_checks_table
from immunocast.cohort.outcomes import make_labels
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import COHORT_SCHEMA, Provenance, to_cohort_table
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import DataError

REAL = Provenance("x", False, "somewhere", "0")
COLUMNS = [c for c in VOCABULARY.values() if c.role != "key"]


def values_of(column):
    if column.categories:
        return st.sampled_from(column.categories)
    if column.kind == "binary":
        return st.integers(0, 1)
    low = column.low if column.low is not None else -1e3
    high = column.high if column.high is not None else 1e3
    if column.kind == "integer":
        return st.integers(int(low), int(high))
    if column.kind == "number":
        return st.sampled_from([low, high, (low + high) / 2, low + (high - low) / 3]) | st.floats(low, high)
    return st.sampled_from(["a", "A ", "b", "ü"])


@st.composite
def tables(draw):
    """A valid cohort table of up to 30 patients with any columns, often constant or all missing."""
    n = draw(st.integers(1, 30))
    frame = {
        "patient_id": [f"p{i}" for i in draw(st.permutations(range(n)))],
        "cohort_id": draw(st.lists(st.sampled_from(["a", "b"]), min_size=n, max_size=n)),
    }
    for column in draw(st.lists(st.sampled_from(COLUMNS), unique_by=lambda c: c.name, max_size=8)):
        cell = values_of(column)
        some = st.lists(st.none() | cell, min_size=n, max_size=n)
        frame[column.name] = draw(some | cell.map(lambda v: [v] * n) | st.just([None] * n))
    return to_cohort_table(pd.DataFrame(frame))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables(), st.randoms(use_true_random=False))
def test_any_table_is_checked_and_the_order_of_rows_does_not_matter(cohort, random):
    try:
        y = make_labels(cohort).y
    except DataError:
        y = pd.Series(pd.NA, index=cohort.index, dtype="Int64")
    found = check_cohort(cohort, y, REAL, list(cohort.columns), unmapped=cohort.add_prefix("x "))
    assert {f["code"] for f in found} <= set(CHECKS)
    assert all(f["severity"] == CHECKS[f["code"]].severity and f["message"] for f in found)
    assert all(0 <= f["n"] <= len(cohort) * 2 for f in found if f["code"] not in ("IC-LEAK-005", "IC-LEAK-006"))
    assert all(set(filter(None, f["rows"].split(";"))) <= set(cohort["patient_id"]) for f in found)
    order = list(range(len(cohort)))
    random.shuffle(order)
    mixed = cohort.iloc[order]
    again = check_cohort(mixed, y[mixed.index], REAL, list(cohort.columns), unmapped=mixed.add_prefix("x "))
    assert again == found
    repaired, _, n = set_missing(cohort, imputed_in(cohort), apply_waivers(found, None))
    COHORT_SCHEMA.validate(repaired)
    assert n == int((repaired[cohort.columns].isna() & cohort.notna()).sum().sum())


@pytest.fixture(scope="module")
def cohort():
    whole = SyntheticCohort(n_patients=260, n_cohorts=2, seed=4).load().cohort
    rows = np.random.default_rng(0).random(len(whole)) < 0.3
    return whole.assign(
        nlr=whole["nlr"].where(~rows, 6.2),
        albumin_g_dl=whole["albumin_g_dl"].where(whole.index % 9 != 0, 38.0),
        pfs_event=1 - whole["pfs_event"],
    )


def without_rows(found):
    return sorted((f["code"], str(f["cohort_id"]), str(f["column"]), f["n"], f["message"]) for f in found)


def test_findings_do_not_depend_on_ids(cohort):
    y = make_labels(cohort).y
    ids = [f"z{i}" for i in np.random.default_rng(1).permutation(len(cohort))]
    renamed = cohort.assign(patient_id=pd.Series(ids, dtype="str"), person_id=pd.Series(ids, dtype="str"))
    found = check_cohort(cohort, y, REAL, [])
    assert {"IC-CONST-002", "IC-UNIT-004", "IC-FLAG-001"} <= {f["code"] for f in found}
    assert without_rows(check_cohort(renamed, y, REAL, [])) == without_rows(found)


@pytest.mark.parametrize("n", [0, 1])
def test_empty_tables_and_single_patients(cohort, n):
    few = cohort.head(n)
    found = check_cohort(few, make_labels(few).y, REAL, ["nlr"])
    assert {f["code"] for f in found} <= {"IC-EVENTS-001", "IC-UNIT-004", "IC-RANGE-002", "IC-FLAG-004"}
    assert len(to_checks_table(found)) == len(found)


def test_repair_is_told_flagged_and_stops_at_a_waiver(cohort):
    y = make_labels(cohort).y
    cohort = cohort.drop(columns="albumin_g_dl")
    found = check_cohort(cohort, y, REAL, [])
    repaired, told, n = set_missing(cohort, imputed_in(cohort), apply_waivers(found, None))
    gone = (cohort["nlr"] == 6.2).to_numpy()
    assert n == gone.sum() > 50
    assert repaired["nlr"].isna().equals(cohort["nlr"].isna() | gone)
    assert (repaired.loc[gone, "nlr_measured"] == 0).all()
    assert (repaired.loc[repaired["nlr"].notna(), "nlr_measured"] == 1).all()
    assert repaired.loc[cohort["nlr"].isna(), "nlr_measured"].isna().all()
    messages = [f["message"] for f in told if f["code"] == "IC-CONST-002" and f["column"] == "nlr"]
    assert len(messages) == 2
    assert sum(int(m.rsplit("The ", 1)[1].split()[0]) for m in messages) == n
    for waive, by_cohort, left in (
        ({"IC-CONST-002:nlr": "looked up"}, None, 0),
        (None, {"synthetic-A": {"IC-CONST-002": "looked up"}}, (gone & (cohort["cohort_id"] == "synthetic-B")).sum()),
    ):
        _, _, n = set_missing(cohort, imputed_in(cohort), apply_waivers(found, waive, by_cohort))
        assert n == left
    assert set_missing(cohort, imputed_in(cohort), apply_waivers(found, None))[0].equals(repaired), "deterministic"


def test_repair_never_looks_at_an_outcome(cohort):
    outcomes = [c for c in cohort if c in VOCABULARY and VOCABULARY[c].role == "outcome"]
    bare = cohort.drop(columns=outcomes)
    seen = [(c, i.column, i.code, i.mask.tolist()) for c, _, i in imputed_in(cohort)]
    assert seen == [(c, i.column, i.code, i.mask.tolist()) for c, _, i in imputed_in(bare)] != []
