"""What holds for every endpoint and any outcomes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from immunocast.cohort.outcomes import ENDPOINTS, flow_table, make_labels, participant_flow
from immunocast.cohort.outcomes.clock import DAYS_PER_MONTH
from immunocast.cohort.table import DTYPES, to_cohort_table
from immunocast.cohort.vocabulary import VOCABULARY

VARIANTS = [
    *ENDPOINTS,
    {"name": "response", "ne": "non_response"},
    {"name": "dcb", "ne": "non_response", "durable_months": 3},
    {"name": "primary_resistance", "exposure_weeks": 0, "arms": ["ici", "control"]},
    {"name": "acquired_resistance", "horizon_months": 24, "exposure_months": 0},
    {"name": "irae", "landmark_days": 90},
    {"name": "irae_grade3", "landmark_days": 180},
    {"name": "os", "horizon_months": 6, "arms": ["control"]},
]
#: Tables are slow to shrink, and short enough to be read as they are.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
BENEFIT = {"CR": 1, "PR": 1, "SD": 0, "PD": 0}


def maybe(values):
    return st.none() | values


months = st.one_of(
    st.integers(0, 2000).map(lambda d: round(d / DAYS_PER_MONTH, 2)),
    st.sampled_from([5.98, 5.99, 5.995, 6.0, 6.01, 12]),
)
patients = st.lists(
    st.fixed_dictionaries(
        {
            "cohort_id": st.sampled_from("AB"),
            "arm": maybe(st.sampled_from(["ici", "control"])),
            "bor": maybe(st.sampled_from(["CR", "PR", "SD", "PD", "NE"])),
            "responder": maybe(st.integers(0, 1)),
            "dcb": maybe(st.integers(0, 1)),
            "pfs_months": maybe(months),
            "pfs_event": maybe(st.integers(0, 1)),
            "os_months": maybe(months),
            "os_event": maybe(st.integers(0, 1)),
            "exposure_weeks": maybe(st.floats(0, 200)),
            "irae": maybe(st.integers(0, 1)),
            "irae_grade": maybe(st.integers(0, 5)),
            "irae_onset_days": maybe(st.floats(0, 400)),
        }
    ),
    min_size=1,
    max_size=8,
)
lacking = st.sets(st.sampled_from(["bor", "responder", "dcb", "pfs_months", "pfs_event", "os_event", "irae", "arm"]))


def cohort_of(rows, lacking=()):
    """A cohort table without contradictions and without the lacking columns."""
    rows = [dict(row) for row in rows]
    for row in rows:
        if BENEFIT.get(row["bor"], row["responder"]) != row["responder"]:
            row["responder"] = None
        if None not in (row["irae"], row["irae_grade"]) and row["irae"] != (row["irae_grade"] >= 1):
            row["irae"] = None
    kept = [name for name in rows[0] if name not in lacking]
    frame = pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=DTYPES[VOCABULARY[name].kind]) for name in kept}
    )
    frame.insert(0, "patient_id", [f"p{i}" for i in range(len(frame))])
    return to_cohort_table(frame)


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(rows=patients, lacking=lacking, variant=st.sampled_from(VARIANTS))
def test_everybody_has_a_label_or_one_reason_and_the_flow_adds_up(rows, lacking, variant):
    cohort = cohort_of(rows, lacking)
    labels = make_labels(cohort, variant)
    assert str(labels.y.dtype) == "Int64"
    assert (labels.y.isna() == labels.excluded_because.notna()).all()
    assert sum(labels.reasons.values()) + labels.y.notna().sum() == len(cohort)
    assert set(labels.y.dropna()) <= {0, 1}
    if labels.time_months is not None:
        assert (labels.time_months.isna() == labels.event.isna()).all()
    dropped = [
        {"code": "IC-FILE-005", "severity": "info", "cohort_id": "A", "n": 3, "message": "3 rows are not read, x"}
    ]
    flow = participant_flow(cohort, labels, dropped)
    assert flow["source"] == len(rows) + 3
    assert flow["read"] == len(rows) == flow["analysed"] + sum(flow["no_endpoint"].values())
    assert flow["events"] == int((labels.y == 1).sum())
    for key in ("source", "read", "linked", "analysed", "events"):
        assert sum(c[key] for c in flow["cohorts"]) == flow[key]
    for parts, whole in (("excluded", "no_endpoint"), ("dropped", "dropped"), ("flags", "flags")):
        for reason, n in flow[whole].items():
            assert sum(c[parts].get(reason, 0) for c in flow["cohorts"]) == n
    sheet = flow_table(flow)
    whole = sheet[sheet["cohort_id"] == "all"].groupby("step")["n"].sum()
    assert whole["source"] == whole["not_read"] + whole["read"]
    assert whole["read"] == whole.get("left_out", 0) + whole["analysed"]


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(rows=patients, variant=st.sampled_from(VARIANTS), seed=st.integers(0, 99))
def test_the_order_of_rows_and_the_other_patients_do_not_matter(rows, variant, seed):
    cohort = cohort_of(rows)
    order = np.random.default_rng(seed).permutation(len(cohort))
    before, after = make_labels(cohort, variant), make_labels(cohort.iloc[order], variant)
    assert before.y.iloc[order].tolist() == after.y.tolist()
    assert after.y.index.tolist() == cohort.iloc[order].index.tolist()
    assert before.excluded_because.iloc[order].equals(after.excluded_because)


def followed_until(truth, days):
    """Outcomes of patients whose times are known in days, when each was followed for so long."""
    pfs, os = truth["pfs"], truth["os"]
    return to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": [f"p{i}" for i in range(len(pfs))],
                "cohort_id": "A",
                "bor": pd.Series(truth["bor"], dtype="str"),
                "pfs_months": np.minimum(pfs, days) / DAYS_PER_MONTH,
                "pfs_event": (pfs <= days).astype(int),
                "os_months": np.minimum(os, days) / DAYS_PER_MONTH,
                "os_event": (os <= days).astype(int),
                "irae": (truth["onset"] <= days).astype(int),
                "irae_onset_days": np.where(truth["onset"] <= days, truth["onset"], np.nan),
            }
        )
    )


@pytest.mark.parametrize("variant", [*ENDPOINTS, {"name": "irae", "landmark_days": 90}], ids=str)
def test_longer_follow_up_never_takes_a_label_away_or_changes_it(variant):
    """But for irAE without a landmark, whose answer may turn from no to yes: that is why there is a landmark."""
    rng = np.random.default_rng(7)
    n = 3000
    pfs = rng.integers(10, 900, n).astype(float)
    # irAE begin while the patient lives
    os = pfs + rng.integers(0, 600, n)
    truth = {
        "bor": rng.choice(["CR", "PR", "SD", "PD"], n),
        "pfs": pfs,
        "os": os,
        "onset": np.where(rng.random(n) < 0.5, np.minimum(rng.integers(1, 400, n), os), np.inf),
    }
    early = rng.integers(1, 1000, n)
    late = early + rng.integers(0, 500, n)
    before, after = (
        make_labels(followed_until(truth, early), variant),
        make_labels(followed_until(truth, late), variant),
    )
    known = before.y.notna()
    if variant == "irae_grade3":
        assert not known.any()
        return
    assert known.sum() > 0
    assert after.y[known].notna().all()
    if variant == "irae":
        assert (after.y[known] >= before.y[known]).all()
    else:
        assert (after.y[known] == before.y[known]).all()
