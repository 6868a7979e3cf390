"""The command `flow`: what a reader of a paper's figure 1 would see."""

import io
import json
import re

import pandas as pd
import pytest
from typer.testing import CliRunner

from immunocast.cli import app
from immunocast.cli.flow import flow_text
from immunocast.cohort.outcomes import flow_table, make_endpoint, participant_flow

SMALL = ["cohort.n_patients=300"]


def run(*words, code=0):
    done = CliRunner().invoke(app, ["flow", *words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def patients(tmp_path):
    path = tmp_path / "patients.csv"
    pd.DataFrame(
        {
            "patient_id": list("abcdef"),
            "bor": ["CR", "PD", "SD", "SD", "NE", None],
            "pfs_months": [9.0, 2.0, 7.0, 3.0, 1.0, None],
            "pfs_event": [0, 1, 1, 0, 1, None],
            "arm": ["ici", "ici", "ici", "ici", "ici", "control"],
        }
    ).to_csv(path, index=False)
    return str(path)


def test_diagram_of_a_file(patients):
    shown = run(patients, "endpoint=dcb")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert "SYNTHETIC" not in shown
    for words in (
        "patients, endpoint dcb: durable clinical benefit",
        "Patients read                      6",
        "Left out: 3",
        "1  SD, censored before 6 months",
        "1  control arm: no checkpoint inhibitor",
        "1  response not evaluable (NE)",
        "Analysed                           3",
        "patients with durable benefit: 2, 66.7 %",
        "patients without durable benefit: 1, 33.3 %",
    ):
        assert words in shown, words
    assert shown.index("Patients read") < shown.index("Left out") < shown.index("Analysed")


def test_numbers_are_those_of_the_run(small_run):
    """One seed, one flow: the command, the manifest and the report agree."""
    shown = run("--format", "csv", *SMALL)
    table = pd.read_csv(io.StringIO(shown), keep_default_na=False, dtype={"median_months": str})
    recorded = flow_table(small_run.manifest()["flow"])
    assert table["n"].tolist() == recorded["n"].tolist()
    assert table["step"].tolist() == recorded["step"].tolist()
    analysed = table[(table["cohort_id"] == "all") & (table["step"] == "analysed")]["n"].iloc[0]
    report = (small_run.path / "report.html").read_text()
    assert f'<span class="what">Analysed</span><b>{analysed:,}</b>' in report
    assert "Median follow-up for OS, by reverse Kaplan-Meier" in report


def test_json_and_synthetic_mark():
    rows = json.loads(run("--format", "json", "endpoint=os", "endpoint.horizon_months=24", *SMALL))
    assert {r["step"] for r in rows} >= {"source", "read", "left_out", "analysed", "events", "follow_up"}
    assert any("censored before 24 months" in r["reason"] for r in rows)
    assert run(*SMALL).startswith("SYNTHETIC  synthetic, endpoint response")


def test_an_endpoint_without_data_is_told_and_not_an_error(patients):
    shown = run(patients, "endpoint=irae")
    assert "5  the source has no column irae_grade or irae" in shown
    assert "patients with an irAE of any grade: 0" in shown


def test_dropped_rows_linked_persons_and_long_names_fit_80_columns(table_of):
    cohort, labels = table_of
    cohort = cohort.assign(person_id=["p0", "p0", *cohort["patient_id"][2:]])
    why = "99,999 rows are not read, by Treatment arm as it was randomised: patients of the chemotherapy arm"
    found = [{"code": "IC-FILE-005", "severity": "info", "cohort_id": None, "n": 99_999, "message": why}]
    shown = flow_text(participant_flow(cohort, labels, found), make_endpoint("pfs").words, "x" * 30)
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"Rows in the source +100,003 │", shown)
    assert "Not read: 99,999" in shown
    assert "99,999  by Treatment arm as it was randomised" in shown
    assert "2 of them are in two cohorts" in shown


@pytest.fixture
def table_of():
    from immunocast.cohort.table import to_cohort_table

    cohort = to_cohort_table(
        pd.DataFrame(
            {
                "patient_id": list("abcd"),
                "cohort_id": ["A cohort with a very long name, longer than its column", "B", "B", "B"],
                "pfs_months": [9.0, 2.0, 7.0, 1.0],
                "pfs_event": pd.array([0, 1, 1, 0], dtype="Int64"),
            }
        )
    )
    return cohort, make_endpoint("pfs").label(cohort)


def test_a_terminal_without_line_drawing_gets_plain_signs(patients, monkeypatch):
    import sys

    from immunocast.cli import flow as module

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    module.flow([patients, "endpoint=dcb"], None)
    out.flush()
    shown = out.buffer.getvalue().decode("ascii")
    assert "+-> Left out: 3" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["endpoint=orr"], "endpoint/orr"),
        (["endpoint=dcb", "endpoint.horizon_months=3"], "dcb: arms, durable_months, ne"),
        (["nothing.csv"], "no file nothing.csv"),
    ],
)
def test_mistakes_are_named(words, said):
    from immunocast.errors import ImmunocastError

    done = CliRunner().invoke(app, ["flow", *words])
    assert isinstance(done.exception, ImmunocastError)
    assert said in str(done.exception)
