"""The same person under two ids: found where planted, not made up elsewhere, whatever the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.linkage import FIELDS, find_links, link_persons, near_duplicates
from immunocast.cohort.linkage.blocking import candidates
from immunocast.cohort.linkage.evidence import AGREE, DISAGREE, NEAR, UNKNOWN, comparable, levels, score, weights
from immunocast.cohort.linkage.findings import check_links
from immunocast.cohort.linkage.persons import Persons
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import to_cohort_table
from immunocast.cohort.tabular import TabularCohort
from immunocast.config import build, frozen, load_config
from immunocast.errors import ConfigError

PUBLISHED = {"fcna": 4, "tmb_mut_mb": 1, "age_years": 0, "albumin_g_dl": 1, "pfs_months": 1, "os_months": 1}


def partition(cohort):
    return {frozenset(part) for part in cohort.groupby("person_id")["patient_id"].agg(set)}


def shared(cohort):
    return {p for p in partition(cohort) if len(p) > 1}


def synthetic(n=1500, seed=11):
    """Three cohorts of strangers, as they would be printed."""
    cohort = SyntheticCohort(n_patients=n, seed=seed).load().cohort
    return cohort.assign(**{c: cohort[c].round(d) for c, d in PUBLISHED.items()})


def copies(cohort, rows, to, prefix="copy-", **changes):
    picked = cohort.iloc[rows]
    ids = {c: prefix + picked[c] for c in ("patient_id", "person_id")}
    return picked.assign(**ids, cohort_id=to, **changes)


def with_copies(cohort, *more):
    return pd.concat([cohort, *more], ignore_index=True).astype(cohort.dtypes.to_dict())


def pairs_of(links):
    return {frozenset(p) for p in links[["patient_id", "linked_patient_id"]].to_numpy()}


@pytest.fixture(scope="module")
def strangers():
    return synthetic()


@pytest.fixture(scope="module")
def in_a(strangers):
    """Positions of 40 patients of the first cohort."""
    return np.flatnonzero(strangers["cohort_id"] == "synthetic-A")[:40]


# --- evidence


def small(**columns):
    n = max(len(v) for v in columns.values())
    ids = [f"p{i}" for i in range(n)]
    return to_cohort_table(pd.DataFrame({"patient_id": ids, "cohort_id": "A", **columns}))


def weight(cohort, name, i, j):
    (part,) = comparable(cohort, {name: FIELDS[name]})
    left, right = np.array([i]), np.array([j])
    level = levels(part, left, right)
    return int(level[0]), float(weights(part, level, left, right)[0])


def test_a_rare_value_weighs_more_than_a_frequent_one_and_a_constant_nothing():
    rng = np.random.default_rng(0)
    fcna = np.where(np.arange(400) < 100, 0.0, rng.uniform(0.01, 0.9, 400).round(4))
    fcna[[200, 201]] = 0.1234
    cohort = small(fcna=fcna, albumin_g_dl=np.full(400, 3.8))
    assert weight(cohort, "fcna", 0, 1) == (AGREE, pytest.approx(np.log2(0.75 / 0.25), abs=0.1))
    level, rare = weight(cohort, "fcna", 200, 201)
    assert level == AGREE
    assert rare > 10
    assert weight(cohort, "albumin_g_dl", 0, 1) == (AGREE, 0.0)


def test_what_is_frequent_in_one_cohort_is_frequent():
    """Everybody of B has NSCLC: that a patient of A has it, too, says nothing."""
    types = ["NSCLC"] * 20 + ["Melanoma"] * 80 + ["NSCLC"] * 100
    cohort = small(tumor_type=types).assign(cohort_id=["A"] * 100 + ["B"] * 100)
    assert weight(cohort, "tumor_type", 0, 150)[1] == 0
    assert weight(cohort.assign(cohort_id="A"), "tumor_type", 20, 21)[1] > 1


def test_levels():
    cohort = small(
        age_years=[60.0, 60.9, 62.5, 64.0, None],
        stage=["I-III", "II", "IV", "II", None],
        tumor_type=["Other", "NSCLC", "Other", "NSCLC", None],
        drug_class=["pd1", "pd1_or_pdl1", "ctla4", "pdl1", None],
    )

    def row(name):
        return [weight(cohort, name, 0, j)[0] for j in range(1, 5)]

    assert row("age_years") == [AGREE, NEAR, DISAGREE, UNKNOWN]
    assert row("stage") == [NEAR, DISAGREE, NEAR, UNKNOWN]
    assert row("tumor_type") == [UNKNOWN] * 4
    assert row("drug_class") == [NEAR, DISAGREE, NEAR, UNKNOWN]
    assert weight(cohort, "age_years", 0, 4)[1] == 0


def test_nlr_is_twice_dnlr_and_cr_a_responder():
    cohort = small(nlr=[6.6, None, 6.6], dnlr=[None, 3.3, 1.0], bor=["CR", None, "NE"], responder=[None, 1, None])
    assert weight(cohort, "nlr", 0, 1)[0] == AGREE
    assert weight(cohort, "nlr", 0, 2)[0] == AGREE, "a measured NLR counts, not its stand-in"
    assert weight(cohort, "responder", 0, 1)[0] == AGREE
    assert weight(cohort, "responder", 1, 2)[0] == UNKNOWN


def test_fields_of_a_group_count_once(strangers):
    """PFS and OS tell much the same: both agreeing weighs no more than the stronger of them."""
    i, j = np.array([0]), np.array([0])
    one = score(comparable(strangers, {"os_months": FIELDS["os_months"]}), i, j)
    other = score(comparable(strangers, {"pfs_months": FIELDS["pfs_months"]}), i, j)
    both = score(comparable(strangers, {n: FIELDS[n] for n in ("os_months", "pfs_months")}), i, j)
    assert both == pytest.approx(max(one, other))


def test_no_single_field_links(strangers):
    alike = strangers.assign(hed=np.arange(len(strangers)) / 7.0)
    twin = copies(alike, [0], "synthetic-C", sex="male")
    keep = ["patient_id", "cohort_id", "person_id", "hed"]
    assert find_links(with_copies(alike[keep], twin[keep])).links.empty


# --- what is found


def test_no_false_links_among_strangers(strangers):
    found = find_links(strangers)
    assert found.links.empty
    assert found.duplicates.empty
    assert partition(found.cohort) == partition(strangers)
    assert found.blocks["n_pairs"].sum() == 1500 * 1499 // 2
    assert found.blocks["n_scored"].sum() < 0.1 * found.blocks["n_pairs"].sum()


def test_planted_duplicates_are_found_through_noise(strangers, in_a):
    rng = np.random.default_rng(0)
    picked = strangers.iloc[in_a]
    noisy = copies(
        strangers, in_a, "synthetic-C",
        age_years=picked["age_years"] + rng.integers(-1, 2, 40),
        nlr=picked["nlr"] * np.exp(0.3 * rng.standard_normal(40)),
        tmb_mut_mb=picked["tmb_mut_mb"].mask(rng.random(40) < 0.3),
        fcna=picked["fcna"].round(3),
    )  # fmt: skip
    cohort = with_copies(strangers, noisy)
    found = find_links(cohort)
    planted = {frozenset({p, "copy-" + p}) for p in picked["patient_id"]}
    assert pairs_of(found.links) <= planted
    assert len(found.links) >= 36
    assert shared(found.cohort) == pairs_of(found.links)
    assert found.cohort.drop(columns="person_id").equals(cohort.drop(columns="person_id"))
    first = found.links.iloc[0]
    assert "sex" in first["agreed"].split(";")
    assert first["posterior"] >= 0.99
    told = found.blocks.set_index(["cohort_id", "linked_cohort_id"]).loc[("synthetic-A", "synthetic-C")]
    assert told["n_linked"] == len(found.links)
    assert told["n_expected"] == pytest.approx(40, abs=4)
    assert told["false_links"] < 0.5
    caller, links = link_persons(cohort)
    pd.testing.assert_frame_equal(caller, found.cohort)
    pd.testing.assert_frame_equal(links, found.links)


@pytest.mark.parametrize("wrong", ["tmb_mut_mb", "fcna", "age_years", "tumor_type", "os_months"])
def test_one_wrong_field_loses_no_pair(strangers, in_a, wrong):
    """Whichever it is, other blocking keys and other evidence hold the pair."""
    shuffled = strangers[wrong].sample(frac=1, random_state=1).to_numpy()[:40]
    found = find_links(with_copies(strangers, copies(strangers, in_a, "synthetic-C", **{wrong: shuffled})))
    assert len(found.links) >= 39


def test_a_conflict_in_sex_forbids_the_link_and_is_reported(strangers, in_a):
    flipped = strangers["sex"].iloc[in_a].map({"male": "female", "female": "male"})
    cohort = with_copies(strangers, copies(strangers, in_a, "synthetic-C", sex=flipped))
    found = find_links(cohort)
    assert found.links.empty
    assert set(found.uncertain["why"]) == {"conflict in sex"}
    assert len(found.uncertain) >= 38
    (row,) = check_links(found)
    assert (row["code"], row["severity"], row["n"]) == ("IC-LINK-003", "warning", len(found.uncertain))
    assert len(find_links(cohort, decisive=[]).links) >= 36, "then it is evidence like any other"


def test_a_better_partner_and_a_chain(strangers, in_a):
    """One patient of A has two copies in C: one is linked. A copy in B and one in C are one person with it."""
    first, second = in_a[:1], in_a[1:2]
    worse = copies(strangers, first, "synthetic-C", "worse-", os_months=0.7, os_event=1)
    cohort = with_copies(
        strangers,
        copies(strangers, first, "synthetic-C"),
        worse,
        copies(strangers, second, "synthetic-B", "b-"),
        copies(strangers, second, "synthetic-C", "c-"),
    )
    found = find_links(cohort, inside=None)
    a1, a2 = strangers["patient_id"].iloc[in_a[:2]]
    assert shared(found.cohort) == {frozenset({a1, "copy-" + a1}), frozenset({a2, "b-" + a2, "c-" + a2})}
    assert found.uncertain[["linked_patient_id", "why"]].to_numpy().tolist() in (
        [["worse-" + a1, "taken"]],
        [["copy-" + a1, "taken"]],
    )
    assert {f["code"] for f in check_links(found)} == {"IC-LINK-001", "IC-LINK-004"}
    # unless the two are one person of cohort C as well
    both = find_links(cohort)
    assert frozenset({a1, "copy-" + a1, "worse-" + a1}) in shared(both.cohort)
    assert pairs_of(both.duplicates) == {frozenset({"copy-" + a1, "worse-" + a1})}


def test_a_chain_that_contradicts_itself_is_cut_at_its_weakest_link():
    persons = Persons(["a1", "a2", "b1", "c1"], ["A", "A", "B", "C"])
    assert persons.add(0, 2) == "linked"
    assert persons.add(2, 3) == "linked"
    assert persons.add(3, 1) == "taken", "c1 is a1 by now: of cohort A it has a partner"
    assert persons.ids() == ["a1", "a2", "a1", "a1"]
    four = Persons(["a1", "a2", "b1", "c1"], ["A", "A", "B", "C"])
    four.add(0, 2)
    four.add(1, 3)
    assert four.add(2, 3) == "contradiction", "a1 and a2 would be one person over b1 and c1"
    known = Persons(["h9", "h9", "h2"], ["A", "A", "B"])
    assert known.add(1, 2) == "linked"
    assert known.ids() == ["h2"] * 3, "what the reader knows is no contradiction"


def test_persons_that_a_reader_knows_stay_and_are_no_duplicates(strangers, in_a):
    again = strangers.iloc[in_a[:5]].assign(patient_id="again-" + strangers["patient_id"].iloc[in_a[:5]])
    cohort = with_copies(strangers, again)
    assert near_duplicates(cohort).empty
    assert len(shared(find_links(cohort).cohort)) == 5


def test_near_duplicates_inside_a_cohort(strangers, in_a):
    rng = np.random.default_rng(3)
    blood = strangers["platelets_10e9_l"].iloc[in_a] * np.exp(0.1 * rng.standard_normal(40))
    cohort = with_copies(strangers, copies(strangers, in_a, "synthetic-A", platelets_10e9_l=blood))
    found = near_duplicates(cohort)
    assert pairs_of(found) <= {frozenset({p, "copy-" + p}) for p in strangers["patient_id"].iloc[in_a]}
    assert len(found) >= 38
    assert (found["cohort_id"] == found["linked_cohort_id"]).all()
    assert near_duplicates(cohort, inside=None).empty


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_row_order_changes_nothing(strangers, in_a, seed):
    cohort = with_copies(strangers.iloc[:700], copies(strangers, in_a, "synthetic-C", nlr=3.0, fcna=0.1))
    order = np.random.default_rng(seed).permutation(len(cohort))
    one, other = find_links(cohort), find_links(cohort.iloc[order].reset_index(drop=True))
    assert len(one.links) > 5
    assert partition(one.cohort) == partition(other.cohort)
    for name in ("links", "duplicates", "uncertain", "blocks"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def _some(kind):
    return st.none() | kind


PATIENT = st.fixed_dictionaries(
    {
        "cohort_id": st.sampled_from("ABC"),
        "sex": _some(st.sampled_from(["male", "female"])),
        "tumor_type": _some(st.sampled_from(["NSCLC", "Other", "Melanoma"])),
        "age_years": _some(st.floats(0, 110)),
        "tmb_mut_mb": _some(st.floats(0, 2000)),
        "fcna": _some(st.sampled_from([0.0, 0.1234, 1.0])),
        "gep_score": _some(st.floats(-1e12, 1e12)),
        "responder": _some(st.sampled_from([0, 1])),
        "bor": _some(st.sampled_from(["CR", "NE", "PD"])),
        "os_months": _some(st.floats(0, 400)),
    }
)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(PATIENT, min_size=1, max_size=30))
def test_any_table_gives_a_consistent_answer(rows):
    frame = pd.DataFrame(rows).assign(patient_id=[f"p{i}" for i in range(len(rows))])
    cohort = to_cohort_table(frame)
    found = find_links(cohort)
    assert found.cohort.drop(columns="person_id").equals(cohort.drop(columns="person_id"))
    person = found.cohort.set_index("patient_id")["person_id"]
    for frame in (found.links, found.duplicates):
        assert (person[frame["patient_id"]].to_numpy() == person[frame["linked_patient_id"]].to_numpy()).all()
    n_links = len(found.links) + len(found.duplicates)
    assert len(cohort) - person.nunique() <= n_links
    assert (found.uncertain["posterior"] >= 0.5).all()
    check_links(found)


def test_candidates_hold_whoever_is_near_in_a_key(strangers):
    """Against all pairs: whoever would be linked, compared with everybody, is a candidate."""
    cohort = with_copies(strangers, copies(strangers, range(0, 400, 4), "synthetic-C", albumin_g_dl=3.9, nlr=4.0))
    parts = comparable(cohort, FIELDS)
    ids = cohort["cohort_id"].to_numpy()
    left, right = np.flatnonzero(ids == "synthetic-A"), np.flatnonzero(ids == "synthetic-C")
    i, j = (k.ravel() for k in np.indices((len(left), len(right))))
    bits = score(parts, left[i], right[j])
    wanted = set(zip(left[i][bits > 18], right[j][bits > 18], strict=True))
    assert len(wanted) > 50
    assert wanted <= set(zip(*candidates(parts, left, right), strict=True))


def test_nothing_to_compare(strangers):
    keys = ["patient_id", "cohort_id", "person_id"]
    for cohort in (
        strangers[keys],
        strangers.head(1),
        strangers.head(0),
        strangers.assign(fcna=np.nan)[[*keys, "fcna"]],
    ):
        found = find_links(cohort)
        assert (len(found.links), len(found.duplicates), len(found.uncertain)) == (0, 0, 0)
        assert found.cohort.equals(cohort)
        assert check_links(found) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tolerance": {}}, r"linkage\.tolerance: unknown; known are posterior"),
        ({"posterior": 1}, "posterior is 1; it must lie between 0 and 1"),
        ({"posterior": "high"}, "posterior is 'high'"),
        ({"review": None}, "review is None"),
        ({"matches": 0}, "matches is 0"),
        ({"decisive": "sex"}, r"write a list: \[sex\]"),
        ({"decisive": ["gender"]}, "'gender' is none of the fields"),
        ({"fields": {"fnca": {"near": 1}}}, "linkage.fields.fnca: no column to compare"),
        ({"fields": {"patient_id": {"error": 0.1}}}, "or it is an id"),
        ({"fields": {"fcna": {"nere": 1}}}, "linkage.fields.fcna.nere: unknown; known are error, exact"),
        ({"fields": {"fcna": 0.1}}, "linkage.fields.fcna is 0.1"),
        ({"fields": {"fcna": {"near": "wide"}}}, "no number"),
        ({"fields": {"fcna": {"error": 0.99}}}, "together below 1"),
        ({"fields": {"fcna": {"near": -1}}}, "must be 0 or more"),
        ({"fields": {"fcna": {"exact": 0.5}}}, "is below exact"),
        ({"fields": {"bmi_kg_m2": {"exact": 0}}}, "exact must be above 0"),
        ({"fields": {"sex": {"near": 1}}}, "sex is no number"),
        ({"fields": dict.fromkeys(FIELDS), "decisive": []}, "leaves no field"),
    ],
)
def test_settings_that_would_switch_it_off_in_silence(strangers, settings, words):
    with pytest.raises(ConfigError, match=words):
        link_persons(strangers, **settings)


def test_fields_are_settings(strangers, in_a):
    cohort = with_copies(strangers, copies(strangers, in_a, "synthetic-C"))
    without = find_links(cohort, fields=dict.fromkeys(["fcna", "tmb_mut_mb", "os_months", "pfs_months", "gep_score"]))
    assert not without.links["agreed"].str.contains("fcna").any()
    assert without.links["score"].mean() < find_links(cohort).links["score"].mean() - 10


# --- real patients


@pytest.fixture(scope="module")
def loris(data_dir):
    cfg = load_config(["cohort=loris", f"paths.data={data_dir}"])
    return build(cfg.cohort, "cohort").load().cohort, frozen(cfg)["linkage"]


def with_vanguri(found):
    links = found.links
    both = links[["cohort_id", "linked_cohort_id"]].eq("Vanguri_NSCLC").any(axis=1)
    assert both.all(), "no other sheets overlap"
    return links.loc[both, "cohort_id"].value_counts().to_dict()


def test_overlap_of_the_loris_workbook(loris):
    cohort, linkage = loris
    found = find_links(cohort, **linkage)
    assert with_vanguri(found) == {"Chowell_train": 58, "Chowell_test": 32, "MSK1": 30}
    linked = found.cohort
    vanguri = linked[linked["cohort_id"] == "Vanguri_NSCLC"]
    others = set(linked.loc[linked["cohort_id"] != "Vanguri_NSCLC", "person_id"])
    assert vanguri["person_id"].isin(others).sum() == 120
    assert found.duplicates.empty
    assert found.blocks["false_links"].sum() < 0.5
    assert {f["code"] for f in check_links(found)} == {"IC-LINK-001", "IC-LINK-002"}


def test_with_sex_flipped_in_one_sheet_nobody_is_linked(loris):
    cohort, linkage = loris
    here = cohort["cohort_id"] == "Vanguri_NSCLC"
    flipped = cohort["sex"].mask(here, cohort["sex"].map({"male": "female", "female": "male"}))
    found = find_links(cohort.assign(sex=flipped), **linkage)
    assert len(found.links) == 0
    assert {f["code"] for f in check_links(found)} == {"IC-LINK-003"}


def test_with_every_field_permuted_nobody_is_linked(loris):
    """Each value still occurs as often, within sex and tumour type; no row is a person any more."""
    cohort, linkage = loris
    rng = np.random.default_rng(0)
    here = cohort["cohort_id"] == "Vanguri_NSCLC"
    mixed = cohort[here].copy()
    for column in mixed.columns.difference(["patient_id", "person_id", "cohort_id", "sex", "tumor_type"]):
        for _, part in mixed.groupby(["sex", "tumor_type"]):
            mixed.loc[part.index, column] = part[column].to_numpy()[rng.permutation(len(part))]
    assert find_links(pd.concat([cohort[~here], mixed]).loc[cohort.index], **linkage).links.empty


def test_with_copy_number_permuted_few_are_linked_and_none_wrongly(loris):
    cohort, linkage = loris
    right = pairs_of(find_links(cohort, **linkage).links)
    rng = np.random.default_rng(0)
    here = cohort["cohort_id"] == "Vanguri_NSCLC"
    mixed = cohort[here].groupby(["tumor_type", "sex"])["fcna"].transform(lambda v: rng.permutation(v.to_numpy()))
    found = find_links(cohort.assign(fcna=mixed.reindex(cohort.index).where(here, cohort["fcna"])), **linkage)
    assert len(found.links) <= 12
    assert pairs_of(found.links) <= right


def test_msk_mind_is_vanguri(loris, data_dir):
    """243 of the 246 agree in TMB, age and PFS; one publication prints dNLR, the other NLR = 2 x dNLR."""
    cohort, linkage = loris
    recist = {"POD": "PD", "POD/death": "PD", "POD/brain": "PD", "POD/clinical": "PD", "POD/bone": "PD"}
    mind = TabularCohort(
        name="msk_mind",
        data_dir=str(data_dir),
        file="cohorts/msk_mind2022_nsclc/cohort.csv",
        missing_codes=["unk", "Cigars"],
        columns={
            "patient_id": {"source": "Patient ID"},
            "tumor_type": {"value": "NSCLC"},
            "sex": {"source": "Sex", "coding": {"Male": "male", "Female": "female"}},
            "age_years": {"source": "Age"},
            "tmb_mut_mb": {"source": "TMB"},
            "dnlr": {"source": "dNLR"},
            "albumin_g_dl": {"source": "Albumin"},
            "pack_years": {"source": "Pack-year history"},
            "pfs_months": {"source": "PFS Months"},
            "bor": {"source": "BOR", "coding": recist | {x: x for x in ("CR", "PR", "SD")}},
        },
    )
    vanguri = cohort[cohort["cohort_id"] == "Vanguri_NSCLC"]
    vanguri = vanguri.assign(nlr=2 * vanguri["dnlr"], dnlr=np.nan)  # as the workbook prints it
    both = pd.concat([vanguri, mind.load().cohort], ignore_index=True)
    found = find_links(to_cohort_table(both), **linkage)
    assert len(found.links) >= 235
    assert found.links["agreed"].str.contains("nlr").mean() > 0.95
