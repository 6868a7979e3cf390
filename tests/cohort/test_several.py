"""Several cohorts in one table: what is kept apart, what is combined, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.checks import finding
from immunocast.cohort.loading import prepare_cohort
from immunocast.cohort.several import SeveralCohorts
from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.table import COHORT_SCHEMA, CohortTables, Provenance, to_cohort_table
from immunocast.cohort.tabular import TabularCohort
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.config import build, conf_dir, frozen, load_config, params_yaml
from immunocast.errors import ConfigError
from immunocast.overrides import expand_cohorts

COLUMNS = {"patient_id": {"source": "ID"}, "responder": {"source": "R"}}


class Ready:
    """A reader of a table that is there already."""

    def __init__(self, ids, cohort_id, synthetic=False, view="analysis", persons=None, unmapped=None, **columns):
        frame = pd.DataFrame({"patient_id": ids, "cohort_id": cohort_id, **columns})
        if persons is not None:
            frame["person_id"] = persons
        notes = (f"{cohort_id}: a note",)
        self.tables = CohortTables(
            to_cohort_table(frame.astype({"patient_id": "str", "cohort_id": "str"})),
            Provenance(cohort_id, synthetic, f"paper on {cohort_id}", cohort_id * 8, view, "CC0", notes),
            truth=pd.DataFrame({"patient_id": ids, "p_response": 0.5}) if synthetic else None,
            checks=[finding("IC-FILE-003", "info", "absent", cohort_id=cohort_id)],
            waive={cohort_id: {"IC-SURV-001": "known"}},
            unmapped=unmapped,
        )

    def load(self):
        return self.tables


def test_rows_stand_in_the_order_of_the_members_and_columns_in_that_of_the_vocabulary():
    b = Ready(["x", "y"], "b", nlr=[1.0, 2.0])
    a = Ready(["p"], "a", age_years=[60.0], responder=[1])
    tables = SeveralCohorts({"b": b, "a": a}).load()
    cohort = COHORT_SCHEMA.validate(tables.cohort)
    assert cohort["patient_id"].tolist() == ["x", "y", "p"]
    assert cohort["person_id"].tolist() == ["x", "y", "p"]
    assert cohort.columns.tolist() == [c for c in VOCABULARY if c in cohort]
    assert cohort["nlr"].tolist()[:2] == [1.0, 2.0]
    assert np.isnan(cohort["nlr"].iloc[2])
    assert cohort["responder"].isna().tolist() == [True, True, False]
    assert [c["cohort_id"] for c in tables.checks] == ["b", "a"]
    assert tables.waive == {"b": {"IC-SURV-001": "known"}, "a": {"IC-SURV-001": "known"}}


def test_equal_patient_ids_of_two_files_stay_two_people():
    first, second, third = Ready(["Pt1", "Pt2"], "a"), Ready(["Pt1", "Pt9"], "b"), Ready(["Q"], "c")
    tables = SeveralCohorts({"riaz": first, "other": second, "third": third}).load()
    # every id of both, so that a member's ids are either all the source's or none
    assert tables.cohort["patient_id"].tolist() == ["riaz-Pt1", "riaz-Pt2", "other-Pt1", "other-Pt9", "Q"]
    assert tables.cohort["person_id"].nunique() == 5
    assert any("'riaz'" in note for note in tables.provenance.notes)


def test_person_ids_of_one_register_are_one_person_and_others_stay_apart():
    a, b = Ready(["1", "2"], "a", persons=["K1", "K2"]), Ready(["3"], "b", persons=["K1"])
    c = Ready(["4"], "c", persons=["K1"])
    assert SeveralCohorts({"a": a, "b": b}).load().cohort["person_id"].tolist() == ["a-K1", "a-K2", "b-K1"]
    for shared in (True, [["a", "b", "elsewhere"]]):
        together = SeveralCohorts({"a": a, "b": b}, shared_person_ids=shared).load().cohort
        assert together["person_id"].tolist() == ["K1", "K2", "K1"]
    # a third file with the same id has its own people, and the register stays one
    three = SeveralCohorts({"a": a, "c": c, "b": b}, shared_person_ids=[["a", "b"]]).load().cohort
    assert three["person_id"].tolist() == ["a-K1", "a-K2", "c-K1", "a-K1"]


def test_registers_with_a_slip_are_refused():
    members = {name: Ready([name], name) for name in "abc"}
    with pytest.raises(ConfigError, match="'b' in two lists"):
        SeveralCohorts(members, shared_person_ids=[["a", "b"], ["c", "b"]])
    with pytest.raises(ConfigError, match="list of lists"):
        SeveralCohorts(members, shared_person_ids=["a", "b"])


def test_a_value_without_a_flag_was_measured():
    flagged = Ready(["1", "2"], "a", nlr=[6.2, 3.0], nlr_measured=pd.array([0, 1], dtype="Int64"))
    plain = Ready(["3", "4"], "b", nlr=[2.0, None])
    cohort = SeveralCohorts({"a": flagged, "b": plain}).load().cohort
    assert cohort["nlr_measured"].tolist()[:3] == [0, 1, 1]
    assert pd.isna(cohort["nlr_measured"].iloc[3])


def test_unmapped_columns_stay_with_their_rows():
    a = Ready(["1", "2"], "a", unmapped=pd.DataFrame({"Cycles": [4, 5], "Site": ["n", "s"]}))
    b = Ready(["3"], "b", unmapped=pd.DataFrame({"Cycles": ["many"]}))
    unmapped = SeveralCohorts({"a": a, "none": Ready(["9"], "n"), "b": b}).load().unmapped
    assert unmapped["Cycles"].tolist()[:2] == [4, 5]
    assert unmapped["Cycles"].isna().tolist() == [False, False, True, False]
    assert unmapped["Cycles"].iloc[3] == "many"
    assert unmapped["Site"].tolist()[:2] == ["n", "s"]
    assert SeveralCohorts({"n": Ready(["9"], "n")}).load().unmapped is None


def test_provenance_names_all_and_the_digest_tells_members_and_their_content():
    def digest(**members):
        return SeveralCohorts(members).load().provenance.digest

    a, b = Ready(["1"], "a"), Ready(["2"], "b")
    provenance = SeveralCohorts({"a": a, "b": b}).load().provenance
    assert provenance.name == "a+b"
    assert provenance.source == "a: paper on a; b: paper on b"
    assert provenance.licence == "a: CC0; b: CC0"
    assert not provenance.synthetic
    assert provenance.view == "analysis"
    assert digest(a=a, b=b) == provenance.digest
    assert len({digest(a=a, b=b), digest(b=b, a=a), digest(a=a, c=b), digest(a=a, b=Ready(["2"], "c"))}) == 4


def test_published_values_in_one_member_are_published_values_in_the_whole():
    members = {"a": Ready(["1"], "a"), "b": Ready(["2"], "b", view="as_published")}
    assert SeveralCohorts(members).load().provenance.view == "as_published"


def test_a_cohort_id_in_two_members_is_refused():
    with pytest.raises(ConfigError, match=r"'a' is in one and in two.*cohort\.members\.two\.cohorts"):
        SeveralCohorts({"one": Ready(["1"], "a"), "two": Ready(["2"], "a")}).load()


def test_simulated_and_real_patients_are_not_mixed():
    with pytest.raises(ConfigError, match=r"sim is simulated and real is not"):
        SeveralCohorts({"sim": Ready(["1"], "a", synthetic=True), "real": Ready(["2"], "b")}).load()
    members = {"x": Ready(["1"], "a", synthetic=True), "y": Ready(["1"], "b", synthetic=True)}
    both = SeveralCohorts(members).load()
    assert both.provenance.synthetic
    assert both.truth is not None
    assert both.truth["patient_id"].tolist() == both.cohort["patient_id"].tolist() == ["x-1", "y-1"]


def test_no_member_and_no_reader_are_refused():
    with pytest.raises(ConfigError, match=r"cohort=\[loris,oak\]"):
        SeveralCohorts({}).load()
    with pytest.raises(ConfigError, match=r"cohort\.members\.a is no cohort"):
        SeveralCohorts({"a": {"file": "x.csv"}})


ids = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


@given(st.lists(ids, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_row_is_lost_and_no_two_people_become_one(members):
    readers = {f"m{i}": Ready(m, f"c{i}") for i, m in enumerate(members)}
    cohort = SeveralCohorts(readers).load().cohort
    assert len(cohort) == sum(map(len, members))
    assert cohort["patient_id"].is_unique
    assert cohort["person_id"].is_unique
    originals = [i for m in members for i in m]
    assert [p.split("-")[-1] for p in cohort["patient_id"]] == originals


def test_persons_are_linked_across_members():
    ids = [f"P{i}" for i in range(40)]
    rng = np.random.default_rng(3)
    shared = {
        "tumor_type": "NSCLC",
        "sex": "female",
        "fcna": rng.uniform(0.05, 0.9, 40),
        "tmb_mut_mb": rng.uniform(1, 30, 40),
        "age_years": rng.uniform(30, 80, 40),
        "responder": rng.integers(0, 2, 40),
    }
    again = {k: v[:10] if isinstance(v, np.ndarray) else v for k, v in shared.items()}
    tables = SeveralCohorts({"one": Ready(ids, "one", **shared), "two": Ready(ids[:10], "two", **again)}).load()
    prepared = prepare_cohort(
        tables, endpoint="response", features=[], linkage=frozen(load_config())["linkage"], waive=None
    )
    assert prepared.n_linked == 20


# -- the command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["cohort=[loris,csv]", "cohort=[ loris , csv ]", "cohort='[loris,csv]'", "cohort=['loris','csv']"]
)
def test_a_list_of_cohorts_composes_in_every_spelling(word):
    cfg = load_config([word, "cohort.members.csv.file=x.csv", "cohort.members.loris.view=as_published"])
    assert list(cfg.cohort.members) == ["loris", "csv"]
    assert cfg.cohort.name == "loris+csv"
    several = build(cfg.cohort, "cohort")
    assert isinstance(several, SeveralCohorts)
    assert isinstance(several.members["loris"], TabularCohort)
    assert several.members["loris"].view == "as_published"


def test_a_list_of_one_is_that_cohort_and_other_words_stay():
    assert expand_cohorts(["cohort=[loris]"], conf_dir()) == ["cohort=loris"]
    words = ["-m", "cohort=loris,synthetic", "cohort.name=[a]", "+cohort.x=1", "models=default"]
    assert expand_cohorts(words, conf_dir()) == words


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("cohort=[lorsi,csv]", "Did you mean 'loris'"),
        ("cohort=[]", "names no cohort"),
        ("cohort=[loris,loris]", "'loris' twice"),
        ("cohort=[loris,several]", "'several'"),
        ("cohort=[loris,csv],[loris,synthetic]", "A sweep makes a run of each"),
        ("cohort=[loris,", "Write it in quotes"),
    ],
)
def test_a_slip_in_the_list_is_named(word, said):
    with pytest.raises(ConfigError) as caught:
        load_config([word])
    assert said in str(caught.value)


def test_no_place_of_a_member_enters_the_frozen_configuration(monkeypatch):
    monkeypatch.setenv("IMMUNOCAST_DATA", "/secret/place")
    cfg = load_config(["cohort=[loris,synthetic]"])
    for text in (params_yaml(cfg), yaml.safe_dump(frozen(cfg))):
        assert "/secret" not in text
    written = yaml.safe_load(params_yaml(cfg))["cohort"]["members"]
    assert written["loris"]["data_dir"] == "${paths.data}"
    assert "data_dir" not in written["synthetic"]


def test_the_pipeline_loads_a_list_of_cohorts_with_members_of_a_folder_of_ones_own(start, tmp_path):
    (tmp_path / "cohort").mkdir()
    for name, offset in (("clinic-a", 0), ("clinic-b", 1)):
        cohort = SyntheticCohort(n_patients=80, n_cohorts=1, seed=offset).load().cohort
        cohort.drop(columns=["cohort_id", "person_id"]).to_csv(tmp_path / f"{name}.csv", index=False)
        mapping = {
            "_target_": "immunocast.cohort.tabular.TabularCohort",
            "name": name,
            "file": str(tmp_path / f"{name}.csv"),
            "vocabulary_names": True,
        }
        (tmp_path / "cohort" / f"{name}.yaml").write_text(yaml.safe_dump(mapping))
    where = ("--config-dir", tmp_path)
    done = start("load", tmp_path, *where, "cohort=[clinic-a,clinic-b]", f"paths.work={tmp_path / 'work'}")
    assert done.returncode in (0, 3), done.stderr
    cohort = pd.read_parquet(tmp_path / "work" / "tables" / "cohort.parquet")
    assert cohort["cohort_id"].value_counts().to_dict() == {"clinic-a": 80, "clinic-b": 80}
    assert cohort["patient_id"].str.startswith("clinic-").all()
    wrong = start("load", tmp_path, *where, "cohort=[clinic-a,clinic-c]")
    assert wrong.returncode == 2
    assert "clinic-c" in wrong.stderr
