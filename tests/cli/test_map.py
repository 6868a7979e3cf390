"""`immunocast map`: what it writes, what it never overwrites, and that the YAML is taken by the other commands."""

import pandas as pd
import pytest

from immunocast.cli import main
from immunocast.cli._cohort import compose, load
from immunocast.config import build, load_config


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr("sys.argv", ["immunocast", *map(str, words)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()

    return call


@pytest.fixture
def clinic(tmp_path):
    frame = pd.DataFrame(
        {
            "MRN": [f"P{i}" for i in range(40)],
            "ALB (g/L)": [30 + i % 15 for i in range(40)],
            "OS (months)": [200 + 31 * i for i in range(40)],
            "BOR": ["PR", "SD", "POD", "CR"] * 10,
            "cycles": range(40),
        }
    )
    frame.to_csv(tmp_path / "clinic 2024.csv", index=False)
    return tmp_path / "clinic 2024.csv"


def test_the_yaml_is_printed_or_written_and_loads(run, clinic, tmp_path):
    code, out, _ = run("map", clinic)
    assert code == 0
    assert out.startswith("# A proposal for clinic 2024.csv (40 rows)")
    assert "# CHECK: the header says months" in out
    assert "'cycles': left out: how long treatment went on" in out
    target = tmp_path / "own.yaml"
    code, table, said = run("map", clinic, "--out", target, "--name", "clinic")
    assert code == 0
    assert "albumin_g_dl" in table
    assert "# CHECK" in said
    cfg = compose([str(clinic), "cohort.view=as_published"], str(target))
    assert cfg.cohort.view == "as_published"
    assert load(cfg).cohort["albumin_g_dl"].iloc[0] == 3.0
    # and by --config-dir, as the pipeline takes it
    (tmp_path / "conf" / "cohort").mkdir(parents=True)
    (tmp_path / "conf" / "cohort" / "clinic.yaml").write_text(target.read_text())
    cfg = load_config([f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "cohort=clinic"])
    assert len(build(cfg.cohort, "cohort").load().cohort) == 40


def test_a_corrected_file_is_not_overwritten(run, clinic, tmp_path):
    target = tmp_path / "own.yaml"
    target.write_text("mine")
    code, _, said = run("map", clinic, "--out", target)
    assert code == 2
    assert "already there" in said
    assert target.read_text() == "mine"
    assert run("map", clinic, "--out", target, "--force")[0] == 0
    assert target.read_text() != "mine"
    code, _, said = run("map", clinic, "--out", clinic, "--force")
    assert code == 2
    assert "would be overwritten" in said
    assert run("map", clinic, "--out", tmp_path)[0] == 2
    assert run("map", clinic, "--out", tmp_path / "no" / "x.yaml")[0] == 2
    assert run("map", tmp_path / "absent.csv")[0] == 2
