"""The made-up patients, and the values that other programs give for them: see README.md."""

import json
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent

#: It imports what is not among this project's packages.
collect_ignore = ["make_reference.py"]


@pytest.fixture(scope="session")
def patients() -> pd.DataFrame:
    """All 240."""
    return pd.read_csv(HERE / "patients.csv")


@pytest.fixture(scope="session")
def places(patients) -> dict[str, pd.DataFrame]:
    """The patients of "all", and of each cohort."""
    return {"all": patients} | {str(name): part for name, part in patients.groupby("cohort_id")}


@pytest.fixture(scope="session")
def reference():
    """Reads a file of reference values by name."""
    return lambda name: json.loads((HERE / f"{name}.json").read_text())
