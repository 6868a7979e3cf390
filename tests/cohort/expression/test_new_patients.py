"""New patients bring their own matrix; a score in another form than the model learned is refused."""

import pandas as pd
import pytest

from immunocast.cohort.table import to_cohort_table
from immunocast.cohort.tabular import read_patients
from immunocast.errors import ConfigError
from immunocast.serve.files import _check_forms
from immunocast.store.runfolder import RunFolder

MAPPING = {
    "columns": {"patient_id": "Patient", "nlr": "NLR"},
    "expression": {"file": "of the old patients.csv", "sample_id": "Biopsy", "unit": "TPM", "log": "none"},
}


@pytest.fixture
def new(tmp_path):
    path = tmp_path / "new.csv"
    pd.DataFrame({"Patient": ["n1", "n2", "n3"], "Biopsy": ["S1", "", "S0"], "NLR": ["2", "bad", "3"]}).to_csv(
        path, index=False
    )
    return path


def test_scores_of_new_patients_do_not_depend_on_refused_rows_or_each_other(new, matrix, write, tmp_path):
    frame = matrix()
    got = read_patients(new, MAPPING, expression=write(frame))
    assert got.table["patient_id"].tolist() == ["n1", "n3"]
    assert [r.patient_id for r in got.refused] == ["n2"]
    assert "1 of 3 patients have no sample" in " ".join(got.unread)
    pd.DataFrame({"Patient": ["n1"], "Biopsy": ["S1"], "NLR": [2]}).to_csv(new, index=False)
    alone = read_patients(new, MAPPING, expression=write(frame.loc[["S1"]]))
    assert alone.table["gep_score"].iloc[0] == got.table["gep_score"].iloc[0]


def test_without_a_matrix_scores_are_missing_and_it_is_told(new):
    got = read_patients(new, MAPPING)
    assert "gep_score" not in got.table
    assert got.unread == ["no matrix of expression was given: scores that the mapping computes from one are missing"]


def test_a_matrix_that_no_mapping_explains_is_refused(new, matrix, write):
    with pytest.raises(ConfigError, match="no `expression:` block"):
        read_patients(new, {"columns": MAPPING["columns"]}, expression=write(matrix()))


def patients(form):
    return to_cohort_table(
        pd.DataFrame(
            {"patient_id": ["a"], "cohort_id": ["A"], "gep_score": [0.5], "expression_forms": [f"gep_score={form}"]}
        )
    )


def test_another_form_than_the_model_learned_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.write_table("cohort", patients("rank_panel"))
    _check_forms(patients("rank_panel"), run, ["gep_score"])
    _check_forms(patients("weighted"), run, ["nlr"])
    with pytest.raises(ConfigError, match="in the form weighted, and the model learned from rank_panel"):
        _check_forms(patients("weighted"), run, ["gep_score"])


def test_a_model_of_published_scores_has_no_form_to_compare(tmp_path):
    run = RunFolder(tmp_path)
    run.write_table("cohort", patients("x").drop(columns="expression_forms"))
    _check_forms(patients("weighted"), run, ["gep_score"])
