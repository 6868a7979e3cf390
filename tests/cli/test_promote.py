"""The commands promote, rollback, history and score by an alias, as they are typed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from immunocast.tracking.mlflow import Tracker
from immunocast.tracking.publish import publish

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny synthetic run, published into a store beside it."""
    conftest = Path(__file__).parents[1] / "tracking" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tracking_conftest", conftest)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("desk")
    run = module.make_run(folder / "runs" / "20261101T100000-demo")
    run.update_manifest(headline_model="ridge")
    publish(run, Tracker(f"sqlite:///{folder / 'mlflow.db'}", artifact_root=str(folder / "artifacts")))
    return folder


@pytest.fixture
def typed(published, tmp_path, monkeypatch, typed_command):
    """Type a command in a copy of the folder: words -> (exit code, stdout, stderr)."""
    shutil.copytree(published / "runs", tmp_path / "runs")
    shutil.copyfile(published / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")

    return typed_command


def test_a_newcomer_promotes_looks_and_rolls_back(typed, tmp_path):
    code, out, err = typed("history")
    assert (code, out) == (0, "Nothing was promoted yet.\n")
    code, out, err = typed("promote", "latest", "--to", "champion")
    assert code == 6
    assert out.startswith("synthetic-immunocast-ridge version 1: ridge of run 2026")
    assert "failed (blocks)" in out
    assert "champion stays nobody. Blocked by: " in err
    assert "real_data" in err
    code, out, err = typed("promote", "latest", "--to", "champion", "--override")
    assert code == 2
    assert "--override needs a reason" in err
    code, out, err = typed(
        "promote", "latest", "--to", "champion", "promotion.gates.real_data=null", "--override", "--reason", "a demo"
    )
    assert code == 0
    assert "champion: nobody -> version 1, entry 2 (" in out
    assert "real_data              off" in out
    code, out, err = typed("promote", "latest", "--to", "champion")
    assert (code, out.splitlines()[-1]) == (0, "It is the champion already; nothing changed.")
    code, out, err = typed("rollback", "synthetic-immunocast-ridge", "--reason", "x")
    assert code == 2
    assert "no champion before version 1: there is nothing to roll back to" in err
    code, out, err = typed("history", "synthetic-immunocast-ridge")
    assert code == 0
    assert "The chain of 2 entries is whole; its head is " in out
    assert "a demo" in out
    code, out, err = typed("history", "--entry", "1")
    assert "clean_tree" in out
    code, out, err = typed("history", "--json")
    content = json.loads(out)
    assert content["chain"] == {"whole": True, "entries": 2, "problems": []}
    assert content["entries"][1]["changed"] == ["promotion.gates.real_data=null"]
    assert content["entries"][1]["override"]

    (tmp_path / "new.csv").write_text("patient_id,tumor_type,tmb_mut_mb,nlr,albumin_g_dl\na,NSCLC,12,3,4\n")
    alias = "synthetic-immunocast-ridge@champion"
    for runs in ("runs", "nowhere"):  # from this disk, and out of MLflow
        code, out, err = typed("score", "new.csv", "--model-alias", alias, "--runs-dir", runs)
        assert code == 0
        assert out.startswith(f"{alias} is synthetic-immunocast-ridge version 1\n")
    code, out, err = typed("score", "new.csv", "--model-alias", alias, "--model", "ridge")
    assert (code, "give it without --run and --model" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote", "latest", "--to", "winner"), "'winner' is not one of"),
        (("promote", "latest", "--to", "champion", "promotion.gates.luck.value=1"), "Could not override"),
        (("promote", "latest", "--to", "champion", "promotion=strict"), "Could not find 'promotion/strict'"),
        (("promote", "2099", "--to", "champion"), "has no run '2099'"),
        (("promote", "latest", "--to", "champion", "--model", "loris_routed"), "not registered"),
        (("rollback", "ridge", "--reason", "x"), "There is no registered model 'ridge'"),
        (("history", "nothing"), "There is no registered model 'nothing'"),
        (("history", "--entry", "5"), "has no entry 5"),
        (("history", "--tracking-uri", "sqlite:///nowhere.db"), "There is no MLflow store"),
        (("history", "--tracking-uri", "http://127.0.0.1:9"), "no server answers there"),
        (("score", "x.csv", "--model-alias", "ridge"), "Write NAME@ALIAS"),
    ],
)
def test_mistakes_are_told(typed, words, message):
    code, _, err = typed(*words)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_broken_chain_has_an_exit_code_of_its_own(typed, tmp_path):
    assert typed("promote", "latest", "--to", "challenger", "--override", "--reason", "demo")[0] == 0
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("update params set value = replace(value, 'demo', 'best') where key = 'entry.000001'")
    connection.close()
    code, out, err = typed("history")
    assert code == 3
    assert "entry 1 was changed" in err
    code, out, err = typed("history", "--json")
    assert code == 3
    assert not json.loads(out)["chain"]["whole"]


def test_gates_of_ones_own_file(typed, tmp_path):
    from immunocast.config import conf_dir

    (tmp_path / "conf" / "promotion").mkdir(parents=True)
    shipped = (conf_dir() / "promotion" / "default.yaml").read_text()
    (tmp_path / "conf" / "promotion" / "mine.yaml").write_text(shipped.replace("{value: 200", "{value: 7"))
    code, out, _ = typed("promote", "latest", "--to", "challenger", "promotion=mine", "--config-dir", "conf")
    assert code == 6
    assert "at least 7" in out
