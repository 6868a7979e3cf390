"""`immunocast check`: a file or cohort in, findings with mends out, and an exit code that a script can use."""

import json
import os

import pandas as pd
import pytest

from immunocast import cli
from immunocast.cohort.synthetic import SyntheticCohort


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*words, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.argv", ["immunocast", "check", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out = capsys.readouterr()
        return end.value.code or 0, out.out, out.err

    return call


@pytest.fixture(scope="module")
def clean():
    return SyntheticCohort(n_patients=200, n_cohorts=1, seed=6).load().cohort.drop(columns=["cohort_id"])


def test_a_clean_file(run, clean, tmp_path):
    clean.to_csv(tmp_path / "clean.csv", index=False)
    code, out, _ = run(tmp_path / "clean.csv")
    assert code == 0
    assert out.startswith("clean: 200 patients\n")
    assert "0 errors" in out


@pytest.mark.parametrize("columns", [80, 120])
def test_all_findings_of_a_file_that_a_run_would_refuse(run, clean, tmp_path, columns):
    """Days are beyond the range of months, and a cell is no number: both are told, beside all other findings."""
    bad = clean.assign(
        pfs_months=(clean["pfs_months"] * 30.4375).round(),
        os_months=(clean["os_months"] * 30.4375).round(),
        nlr=6.2,
        platelets_10e9_l=clean["platelets_10e9_l"].astype(object).where(clean.index != 4, "many"),
    )
    bad.to_csv(tmp_path / "bad.csv", index=False)
    code, out, _ = run(tmp_path / "bad.csv", columns=columns)
    assert code == 3
    whole = "IC-UNIT-002  bad  pfs_months"
    for told in ("ERRORS (", whole, "IC-CONST-001  bad  nlr", "IC-FILE-009", "'many'", "Mend: "):
        assert told in out
    assert out.index("ERRORS") < out.index("WARNINGS")
    assert max(map(len, out.splitlines())) <= columns


def test_output_for_programs_and_waivers(run, clean, tmp_path):
    clean.assign(pfs_event=1 - clean["pfs_event"]).to_csv(tmp_path / "p.csv", index=False)
    code, out, _ = run(tmp_path / "p.csv", "--format", "json")
    rows = {r["code"]: r for r in json.loads(out)}
    assert code == 3
    assert rows["IC-FLAG-001"]["severity"] == "error"
    assert rows["IC-FLAG-001"]["mend"].startswith("State the coding")
    code, out, _ = run(tmp_path / "p.csv", "+checks.waive.IC-FLAG-001=known", "--format", "csv")
    assert code == 0
    assert "known" in out
    code, out, _ = run(tmp_path / "p.csv", "+checks.waive.IC-FLAG-001=known")
    assert "WAIVED (1)" in out
    assert "Waived because: known" in out


def test_an_unknown_file_is_checked_by_an_inferred_mapping(run, clean, tmp_path):
    names = {
        "patient_id": "Patient ID", "nlr": "NLR", "albumin_g_dl": "Albumin (g/dL)", "age_years": "Age", "sex": "Sex",
        "tumor_type": "Cancer type", "bor": "Best overall response", "tmb_mut_mb": "TMB (mut/Mb)",
    }  # fmt: skip
    clean[list(names)].assign(nlr=6.2).rename(columns=names).to_csv(tmp_path / "export.csv", index=False)
    code, out, _ = run(tmp_path / "export.csv")
    assert "No mapping was given: it was inferred." in out
    assert "IC-CONST-001  export  nlr" in out
    assert code in (0, 3)


def test_a_file_without_outcomes(run, clean, tmp_path):
    clean[["patient_id", "nlr", "albumin_g_dl", "age_years"]].to_csv(tmp_path / "x.csv", index=False)
    code, out, _ = run(tmp_path / "x.csv")
    assert code == 0
    assert "The endpoint is known for nobody." in out


def test_unreadable_input_and_unknown_codes(run, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert run(tmp_path / "empty.csv")[0] == 2
    assert run(tmp_path / "none.csv")[0] == 2
    assert run("--explain", "IC-NONE-001")[0] == 2
    code, out, _ = run("--explain", "ic-leak-001", columns=80)
    assert code == 0
    assert "IC-LEAK-001 (error)" in out
    assert "Mend: " in out
    assert max(map(len, out.splitlines())) <= 80
    assert run()[0] == 2


def test_nothing_is_written(run, clean, tmp_path):
    clean.to_csv(tmp_path / "c.csv", index=False)
    before = pd.read_csv(tmp_path / "c.csv")
    run(tmp_path / "c.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["c.csv"]
    assert pd.read_csv(tmp_path / "c.csv").equals(before)


@pytest.mark.parametrize("name", ["q'uote.csv", "dollar${x}.csv", "back\\slash's.csv", "a, [b]=c {d} (1).csv"])
def test_a_path_is_taken_as_it_stands(run, clean, tmp_path, name):
    clean.to_csv(tmp_path / name, index=False)
    code, out, err = run(tmp_path / name)
    assert (code, err) == (0, "")
    assert "200 patients" in out


def test_a_header_with_a_dollar_brace_through_a_mapping_file(run, clean, tmp_path):
    clean[["patient_id", "nlr"]].rename(columns={"nlr": "NLR ${x}"}).to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "m.yaml").write_text("columns: {patient_id: patient_id, nlr: 'NLR ${x}'}\n")
    code, _, err = run(tmp_path / "p.csv", "--mapping", tmp_path / "m.yaml")
    assert (code, err) in ((0, ""), (3, ""))


def test_a_study_folder(run, data_dir):
    code, out, _ = run(data_dir / "cbioportal" / "mel_dfci_2019")
    assert code in (0, 3)
    assert "144 patients" in out


def test_nested_cells_of_parquet_are_no_traceback(run, clean, tmp_path):
    clean.rename(columns={"nlr": "NLR"}).assign(listed=[[1, 2]] * 200).to_parquet(tmp_path / "p.parquet")
    assert run(tmp_path / "p.parquet")[0] == 0
    clean.rename(columns={"patient_id": "MRN"}).assign(d=[{"a": 1}] * 200).to_parquet(tmp_path / "q.parquet")
    assert run(tmp_path / "q.parquet")[0] == 0


def test_a_pipe_is_refused_and_not_waited_for(run, tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    code, _, err = run(tmp_path / "p.csv")
    assert code == 2
    assert "a pipe or a device, not a file" in err


def test_two_files_are_refused(run, clean, tmp_path):
    clean.to_csv(tmp_path / "p.csv", index=False)
    code, _, err = run(tmp_path / "p.csv", "cohort.file=other.csv")
    assert code == 2
    assert "Two files" in err


def test_thousands_of_unread_columns_are_one_finding(run, clean, tmp_path):
    genes = pd.DataFrame(0.5, index=clean.index, columns=[f"gene{i}" for i in range(40)])
    pd.concat([clean, genes], axis=1).to_csv(tmp_path / "p.csv", index=False)
    _, out, _ = run(tmp_path / "p.csv", "--format", "json")
    unread = [f for f in json.loads(out) if f["code"] == "IC-FILE-002"]
    assert ["40 columns are not in the vocabulary" in f["message"] for f in unread] == [True]
