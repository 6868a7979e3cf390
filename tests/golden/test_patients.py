"""The golden files are what their scripts say, and hold what makes them worth comparing with."""

import json
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent


def test_the_patients_are_those_of_the_script(patients):
    made = runpy.run_path(str(HERE / "make_patients.py"))["patients"]()
    pd.testing.assert_frame_equal(made, patients, check_dtype=False)


def test_patients_have_what_formulas_stumble_over(patients):
    assert patients["p_first"].duplicated().sum() > 100
    assert patients["time_months"].duplicated().sum() > 100
    assert 0.1 < 1 - patients["event"].mean() < 0.5
    assert patients["cohort_id"].nunique() == 3
    twice = patients[patients["person_id"].duplicated(keep=False)]
    assert len(twice) == 20
    assert (twice.groupby("person_id")["cohort_id"].nunique() == 2).all()


@pytest.mark.parametrize("path", sorted(HERE.glob("*.json")), ids=lambda path: path.stem)
def test_every_file_has_its_script_and_names_the_programs_versions(path):
    made = json.loads(path.read_text())
    assert re.search(r"\d+\.\d+", json.dumps([made["made_by"], made.get("programs")]))
    scripts = [script.read_text() for script in HERE.glob("make_*")]
    assert any(path.name in text for text in scripts)
