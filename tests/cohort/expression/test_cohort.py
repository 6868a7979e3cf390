"""Scores reach the patients of a cohort, and forms that don't go together are told."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.expression import check_forms, forms_of
from immunocast.cohort.loading import prepare_cohort
from immunocast.cohort.table import CohortTables, Provenance, to_cohort_table
from immunocast.cohort.tabular import TabularCohort
from immunocast.errors import ConfigError, DataError

SCORES = ["gep_score", "cyt_score", "ifng_score", "tgfb_score", "teff_score", "exhaustion_score"]


@pytest.fixture
def cohort(tmp_path, matrix, write):
    """A function that loads a cohort of four patients and a matrix of three of them and one more."""
    frame = matrix()
    write(frame.rename(index={"S3": "stranger"}))
    pd.DataFrame(
        {
            "Patient": ["p1", "p2", "p3", "p4"],
            "Biopsy": ["S2", "S0", "", "S1"],
            "NLR": [1.0, 2, 3, 4],
            "RECIST": ["CR", "PD", "SD", "PR"],
        }
    ).to_csv(tmp_path / "clinic.csv", index=False)

    def load(columns=None, **expression):
        return TabularCohort(
            name="clinic",
            file="clinic.csv",
            data_dir=tmp_path,
            columns={"patient_id": "Patient", "nlr": "NLR", "bor": "RECIST", **(columns or {})},
            expression={"file": "expression.csv", "sample_id": "Biopsy", "unit": "TPM", "log": "none", **expression},
        ).load()

    return load


def test_scores_are_joined_by_the_samples_name(cohort, matrix, tmp_path):
    from immunocast.cohort.expression import parse_expression, score_file

    tables = cohort()
    scores = score_file(
        tmp_path / "expression.csv", parse_expression({"file": "x", "unit": "TPM", "log": "none"})
    ).frame
    got = tables.cohort.set_index("patient_id")
    for patient, sample in {"p1": "S2", "p2": "S0", "p4": "S1"}.items():
        assert got.loc[patient, SCORES].tolist() == scores.loc[sample, SCORES].tolist()
    assert got.loc["p3", SCORES].isna().all()
    assert pd.isna(got.loc["p3", "expression_forms"])
    assert got.loc["p1", "expression_forms"].startswith("gep_score=weighted; cyt_score=geometric_mean")
    assert len(got) == 4


def test_what_is_told_of_the_join(cohort):
    tables = cohort()
    told = [c["message"] for c in tables.checks if c["code"] == "IC-EXPR-006"]
    assert told == [
        "1 of 4 patients have no sample in expression.csv: their expression scores are missing",
        "1 samples of expression.csv belong to no patient",
    ]
    assert {c["cohort_id"] for c in tables.checks if c["code"] == "IC-EXPR-002"} == {"clinic"}
    assert any(
        note.startswith("expression scores are from expression.csv (SHA-256 ") for note in tables.provenance.notes
    )
    assert "Biopsy" in tables.unmapped, "a column that only joins stays a column of the source"


def test_a_column_of_the_vocabulary_joins_too(cohort):
    by_name = cohort({"site_id": {"source": "Biopsy"}}, sample_id="site_id").cohort
    assert by_name["gep_score"].tolist()[:2] == cohort().cohort["gep_score"].tolist()[:2]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sample_id": "Biopsie"}, DataError, "Did you mean 'Biopsy'"),
        ({"sample_id": "Patient"}, DataError, r"no sample of the matrix is in the column 'Patient'.*p1, p2"),
        ({"sample_id": "RECIST"}, DataError, "no sample of the matrix"),
        ({"file": "expresion.csv"}, DataError, "There are: expression.csv"),
        ({"file": "there/is/none.csv"}, DataError, "Check `expression.file`"),
        ({"columns": {"gep_score": "NLR"}}, ConfigError, "gep_score is mapped as a column and computed"),
        ({"unit": "tpm"}, ConfigError, "unit: 'tpm' is unknown"),
    ],
)
def test_mistakes(cohort, change, error, message):
    with pytest.raises(error, match=message):
        cohort(**change)


def test_one_sample_for_two_patients_is_refused(cohort, tmp_path):
    table = pd.read_csv(tmp_path / "clinic.csv").assign(Biopsy="S1")
    table.to_csv(tmp_path / "clinic.csv", index=False)
    with pytest.raises(DataError, match=r"1 samples belong to more than one patient \(value 'S1'\)"):
        cohort()


def two_cohorts(a, b, ids=("A", "B")):
    return to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": list("abcdef"),
                "cohort_id": [ids[0]] * 3 + [ids[1]] * 3,
                "gep_score": np.arange(6.0),
                "bor": ["CR", "PD", "SD"] * 2,
                "expression_forms": [f"gep_score={a}"] * 3 + [f"gep_score={b}"] * 2 + [None],
            }
        )
    )


def test_forms_that_are_mixed_over_cohorts_are_a_warning():
    mixed = two_cohorts("weighted", "rank_panel")
    assert forms_of(mixed) == {"gep_score": {"weighted": ["A"], "rank_panel": ["B"]}}
    (found,) = check_forms(mixed)
    assert (found["code"], found["severity"], found["column"]) == ("IC-EXPR-007", "warning", "gep_score")
    assert "weighted in A; rank_panel in B" in found["message"]
    assert check_forms(two_cohorts("weighted", "weighted")) == []
    assert check_forms(mixed.drop(columns="expression_forms")) == []


def test_forms_that_are_mixed_inside_a_cohort_are_an_error():
    (found,) = check_forms(two_cohorts("weighted", "rank_panel", ids=("A", "A")))
    assert (found["code"], found["severity"], found["cohort_id"]) == ("IC-EXPR-008", "error", "A")


def test_the_pipeline_tells_mixed_forms():
    tables = CohortTables(two_cohorts("weighted", "rank_transcriptome"), Provenance("two", False, "test", "0"))
    prepared = prepare_cohort(tables, endpoint="response", features=["gep_score"], linkage=None, waive={})
    assert "IC-EXPR-007" in set(prepared.checks["code"])
