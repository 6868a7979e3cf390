from __future__ import annotations

import pandas as pd

from immunocast.cohort.table import to_cohort_table
from immunocast.report.table_one import TOTAL, table_one


def _cohort() -> pd.DataFrame:
    return to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": list("abcdef"),
                "cohort_id": ["A"] * 4 + ["B"] * 2,
                "tmb_mut_mb": [1.0, 2.0, 3.0, None, 8.0, 10.0],
                "sex": ["female", "male", "male", None, "male", "male"],
                "responder": [1, 0, 0, 0, 1, None],
                "nlr": [6.2, 6.2, 6.2, 6.2, 1.0, 2.0],
                "nlr_measured": [0, 0, 0, 0, 1, 1],
                "os_months": [1.0] * 6,
                "pdl1_tps": [None] * 6,
            }
        )
    )


def _cell(table: pd.DataFrame, characteristic: str, level: str, column: str) -> str:
    block = table["characteristic"].replace("", pd.NA).ffill()
    row = table[(block == characteristic) & (table["level"] == level)]
    assert len(row) == 1, (characteristic, level)
    return str(row[column].iloc[0])


def test_counts_shares_and_quartiles() -> None:
    table = table_one(_cohort())
    assert list(table.columns) == ["characteristic", "level", TOTAL, "A", "B"]
    assert _cell(table, "Patients", "", TOTAL) == "6"
    assert _cell(table, "TMB (mut/Mb)", "median [quartiles]", "A") == "2.0 [1.5 to 2.5]"
    assert _cell(table, "TMB (mut/Mb)", "Missing", "A") == "1 (25.0 %)"
    assert _cell(table, "TMB (mut/Mb)", "Missing", "B") == "0"
    # shares are of those known: 4 of 5
    assert _cell(table, "Sex", "male", TOTAL) == "4 (80.0 %)"
    assert _cell(table, "Objective response (CR/PR)", "yes", TOTAL) == "2 (40.0 %)"


def test_imputed_values_are_counted_and_empty_columns_left_out() -> None:
    table = table_one(_cohort())
    assert _cell(table, "NLR", "Imputed at source", "A") == "4 (100.0 %)"
    assert _cell(table, "NLR", "Imputed at source", "B") == "0"
    names = set(table["characteristic"])
    assert "PD-L1 TPS (%)" not in names
    assert "OS (months)" not in names  # a plain median would ignore censoring


def test_cohort_without_any_known_value_shows_a_dash() -> None:
    cohort = _cohort()
    cohort.loc[cohort["cohort_id"] == "B", "tmb_mut_mb"] = None
    assert _cell(table_one(cohort), "TMB (mut/Mb)", "median [quartiles]", "B") == "–"
