"""Similar patients: distances by hand, gaps, persons, shares with intervals, and who is far from everybody."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.explain.neighbours import MIN_NEIGHBOURS, Scales, similar_patients
from immunocast.metrics import wilson_interval


def people(n=200, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(n)]
    return pd.DataFrame(
        {
            "patient_id": ids,
            "cohort_id": "A",
            "person_id": ids,
            "nlr": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(1.5, 0.8, n)),
            "albumin_g_dl": rng.normal(3.9, 0.4, n),
            "tumor_type": rng.choice(["NSCLC", "Renal"], n),
            "liver_metastasis": rng.integers(0, 2, n).astype(float),
        }
    ), rng.integers(0, 2, n)


INPUTS = ("nlr", "albumin_g_dl", "tumor_type", "liver_metastasis")


def new(**values):
    return pd.DataFrame({"patient_id": ["new"], "cohort_id": ["B"], "person_id": ["new"], **values})


def test_distance_by_hand():
    training = pd.DataFrame(
        {
            "patient_id": list("abcd"), "cohort_id": "A", "person_id": list("abcd"),
            "nlr": [1.0, 2.0, 4.0, 100.0], "tumor_type": ["NSCLC", "Renal", None, "NSCLC"],
        }
    )  # fmt: skip
    distance, shared = Scales(training, ["nlr", "tumor_type"]).distances(new(nlr=[2.0], tumor_type=["NSCLC"]))
    # ranks of 1, 2, 4, 100 are 1/8, 3/8, 5/8, 7/8, however heavy the tail
    assert distance[0] == pytest.approx([(2 / 8 + 0) / 2, (0 + 1) / 2, 2 / 8, (4 / 8 + 0) / 2])
    assert shared[0].tolist() == [2, 2, 1, 2]


def test_neighbours_do_not_change_with_a_monotone_transform_of_a_number():
    training, y = people()
    patient = new(nlr=[4.0], albumin_g_dl=[3.7], tumor_type=["Renal"], liver_metastasis=[0.0])
    plain = similar_patients(patient, training, y, INPUTS)
    logged = similar_patients(
        patient.assign(nlr=np.log(patient["nlr"])), training.assign(nlr=np.log(training["nlr"])), y, INPUTS
    )
    pd.testing.assert_frame_equal(plain.table, logged.table)


def test_a_copy_is_the_nearest_and_the_share_has_its_wilson_interval():
    training, y = people()
    patient = training.iloc[[7]].assign(patient_id="new", person_id="new")
    found = similar_patients(patient, training, y, INPUTS)
    assert found.table["patient_id"].iloc[0] == "p007"
    assert found.table["distance"].iloc[0] == 0
    assert found.table["distance"].is_monotonic_increasing
    assert len(found.table) == 20
    expected = dict(zip(training["patient_id"], y, strict=True))
    assert found.table["y_true"].tolist() == [expected[i] for i in found.table["patient_id"]]
    low, high = map(float, wilson_interval(found.n_events, 20))
    assert (found.share, found.ci_low, found.ci_high) == pytest.approx((found.n_events / 20, low, high))


def test_outcomes_play_no_part_in_who_is_similar():
    training, y = people()
    patient = new(nlr=[4.0], albumin_g_dl=[3.7], tumor_type=["Renal"])
    a, b = (similar_patients(patient, training, labels, INPUTS).table for labels in (y, 1 - y))
    assert a["patient_id"].tolist() == b["patient_id"].tolist()
    assert (a["y_true"] == 1 - b["y_true"]).all()


def test_a_person_is_one_neighbour_and_never_the_own():
    training, y = people()
    training.loc[:9, "person_id"] = "twin"
    patient = new(nlr=[3.0], albumin_g_dl=[3.9], tumor_type=["NSCLC"]).assign(person_id="p050")
    found = similar_patients(patient, training, y, INPUTS, k=200)
    assert found.table["patient_id"].isin(training["patient_id"].iloc[:10]).sum() == 1
    assert "p050" not in set(found.table["patient_id"])
    assert found.n_eligible == len(found.table)


def test_only_what_the_patient_has_is_compared_and_half_of_it_must_be_shared():
    training, y = people()
    training.loc[:149, ["albumin_g_dl", "tumor_type"]] = None
    found = similar_patients(new(albumin_g_dl=[3.9], tumor_type=["Renal"], nlr=[np.nan]), training, y, INPUTS, k=100)
    assert found.inputs == ("albumin_g_dl", "tumor_type")
    assert found.n_eligible == 50
    assert found.table["n_shared"].min() >= 1


def test_too_few_neighbours_give_counts_and_a_reason_but_no_share():
    training, y = people(n=MIN_NEIGHBOURS - 1)
    found = similar_patients(new(albumin_g_dl=[3.9]), training, y, INPUTS)
    assert np.isnan([found.share, found.ci_low, found.ci_high]).all()
    assert "too few: 9" in found.note
    nothing = similar_patients(new(nlr=[np.nan]), training, y, INPUTS)
    assert nothing.table.empty
    assert "none of the model's inputs" in nothing.note


def test_a_patient_unlike_all_is_far_and_a_typical_one_is_not():
    training, y = people(n=400)
    # ranks that never go together in training
    training["albumin_g_dl"] = training["nlr"].fillna(4.0) * 0.1 + 3
    typical = new(nlr=[4.0], albumin_g_dl=[3.4])
    odd = new(nlr=[0.6], albumin_g_dl=[5.5])
    found = [similar_patients(p, training, y, ("nlr", "albumin_g_dl")).far for p in (typical, odd)]
    assert found == [False, True]


def test_the_order_of_the_rows_does_not_matter():
    training, y = people()
    patient = new(nlr=[4.0], albumin_g_dl=[3.7], tumor_type=["Renal"])
    order = np.random.default_rng(1).permutation(len(training))
    a = similar_patients(patient, training, y, INPUTS)
    b = similar_patients(patient, training.iloc[order], y[order], INPUTS)
    pd.testing.assert_frame_equal(a.table, b.table)
    assert (a.mean_distance, a.usual_distance) == pytest.approx((b.mean_distance, b.usual_distance))


@settings(max_examples=40, deadline=None)
@given(
    nlr=st.one_of(st.none(), st.floats(0, 300)),
    albumin=st.one_of(st.none(), st.floats(0.5, 7)),
    tumor=st.sampled_from([None, "NSCLC", "Renal", "Mesothelioma"]),
    k=st.integers(1, 300),
)
def test_distances_lie_between_0_and_1_for_any_patient(nlr, albumin, tumor, k):
    training, y = people(n=60)
    found = similar_patients(new(nlr=[nlr], albumin_g_dl=[albumin], tumor_type=[tumor]), training, y, INPUTS, k=k)
    assert found.table["distance"].between(0, 1).all()
    assert len(found.table) <= min(k, 60)
    assert found.n_events == found.table["y_true"].sum()
