"""The verdict over a run: same, close, other, or not possible; the pipeline itself is stood in for.

Whole pipelines are reproduced in test_whole_runs.py.
"""

from __future__ import annotations

import json
import shutil

import pytest

from immunocast.cli import main
from immunocast.reproduce import run_again as module
from immunocast.reproduce.rerun import RerunFailedError
from immunocast.store.runfolder import RunFolder


@pytest.fixture
def again(run, tmp_path, monkeypatch):
    """Let the second run be a copy of the first, changed by the functions that are appended."""
    changes = []

    def fake(tree, config, runs, say):
        say("load         0.1 s")
        copy = RunFolder(tmp_path / "again")
        shutil.rmtree(copy.path, ignore_errors=True)
        shutil.copytree(run.path, copy.path)
        for change in changes:
            change(copy)
        copy.update_manifest(digests=copy.digests())
        return copy

    monkeypatch.setattr(module, "rerun", fake)
    return changes


@pytest.fixture
def call(run, tmp_path, monkeypatch, capsys):
    """The command on that run: words -> exit code, output, errors, reproduction.json."""
    monkeypatch.chdir(tmp_path)

    def command(*words):
        monkeypatch.setattr("sys.argv", ["immunocast", "reproduce", "latest", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        return code, *capsys.readouterr(), run.read_json("reproduction.json")

    return command


def thresholds(plus):
    def change(copy):
        table = copy.table("thresholds")
        copy.write_table("thresholds", table.assign(threshold=table["threshold"] + plus))

    return change


def test_the_same_run_is_identical(run, again, call):
    before = run.digests()
    code, out, err, record = call()
    assert code == 0
    assert "IDENTICAL" in out
    assert "SYNTHETIC COHORT" in out
    assert "3 of 3 tables are identical, 3 of them byte for byte." in out
    assert "Code: the same" in err
    assert "Environment: the same interpreter" in err
    assert "Data: the same, digest" in err
    assert record["verdict"] == "identical"
    assert record["run_id"] == run.run_id
    assert record["when"].endswith("+00:00")
    assert record["code"]["same_as_run"] is True
    assert record["code"]["source_digest"] == run.manifest()["code"]["source_digest"]
    assert record["environment"] == {"same": True, "differences": []}
    assert record["tables"]["thresholds"]["verdict"] == "identical"
    assert record["config"] == []
    assert run.digests() == before == run.manifest()["digests"]


def test_a_number_that_moved_is_named_and_counted(again, call):
    again.append(thresholds(2e-7))
    code, out, _, record = call()
    assert code == 4
    assert "DIFFERENT" in out
    assert "threshold differs in 2 rows by at most 2e-07" in out
    assert record["tables"]["thresholds"]["columns"][0]["worst"]["model"] == "ridge"
    code, out, _, record = call("--tolerance", "1e-6")
    assert (code, record["verdict"], record["tolerance"]) == (0, "close", 1e-6)
    assert "within the tolerance" in out
    code, *_, record = call("--tolerance", "1e-8")
    assert (code, record["verdict"]) == (4, "different")


def test_a_model_that_differs_under_equal_tables_is_close(again, call):
    again.append(lambda copy: (copy.bundle_path("ridge", "final") / "bundle.json").write_text("{}"))
    code, out, _, record = call()
    assert (code, record["verdict"]) == (0, "close")
    assert "different: bundles/ridge/final/bundle.json" in out


def test_settings_that_did_not_arrive_are_told(again, call):
    again.append(
        lambda copy: (copy.path / "config.yaml").write_text(
            (copy.path / "config.yaml").read_text().replace("n_resamples: 200", "n_resamples: 300")
        )
    )
    _, out, _, record = call()
    assert record["config"] == ["evaluation.n_resamples", "explain.n_resamples"]
    assert "other settings than it was given: evaluation.n_resamples" in out


def test_json_is_the_record_and_nothing_else(again, call):
    code, out, _, record = call("--json")
    assert code == 0
    assert json.loads(out) == record


def with_code(run, **changes):
    report = run.read_json("meta/report.json")
    report["code"] |= changes
    run.write_json("meta/report.json", report)


def test_other_code_is_a_warning_with_the_way_to_get_it(run, again, call):
    with_code(run, source_digest="0" * 64, git_commit="c" * 40, dirty=True, dirty_files=["src/x.py"])
    code, _, err, record = call()
    assert (code, record["verdict"], record["code"]["same_as_run"]) == (0, "identical", False)
    assert "Code: other code: " in err
    assert f"git worktree add ../immunocast-cccccccc {'c' * 40}" in err
    assert "changes that no commit holds (src/x.py)" in err
    (run.path / "reproduction.json").unlink()
    code, _, err, record = call("--strict")
    assert (code, record) == (2, {})
    assert "ConfigError: --strict: code is other code" in err


def test_other_packages_are_named_and_strict_refuses(run, again, call):
    report = run.read_json("meta/report.json")
    report["environment"]["packages"]["numpy"] = "1.0"
    run.write_json("meta/report.json", report)
    code, _, err, record = call()
    assert code == 0
    assert "numpy: 1.0 then, " in err
    assert record["environment"]["differences"][0]["what"] == "numpy"
    code, _, err, _ = call("--strict")
    assert code == 2
    assert "the environment is not that of the run (numpy)" in err


def test_a_run_from_before_code_was_recorded_says_unknown(run, again, call):
    run.write_json("meta/report.json", {})
    code, _, err, record = call()
    assert code == 0
    assert "Code: unknown" in err
    assert "Environment: unknown" in err
    assert record["code"]["same_as_run"] is None
    assert record["environment"]["same"] is None
    code, _, err, _ = call("--strict")
    assert code == 2
    assert "--strict: code is unknown" in err


def test_a_pipeline_that_fails_is_impossible_and_recorded(call, monkeypatch, run):
    def fails(*_):
        raise RerunFailedError("The pipeline ended with exit code 2. Its last words:\n  ConfigError: no")

    monkeypatch.setattr(module, "rerun", fails)
    code, out, _, record = call()
    assert (code, record["verdict"], record["run_id"]) == (2, "impossible", run.run_id)
    assert "IMPOSSIBLE: The pipeline ended with exit code 2" in out
    assert "ConfigError: no" in record["why"]


def test_code_that_cannot_run_it_says_how_to_get_the_runs_own(run, call, monkeypatch):
    with_code(run, source_digest="0" * 64, git_commit="c" * 40)
    monkeypatch.setattr(module, "rerun", lambda *_: (_ for _ in ()).throw(RerunFailedError("no")))
    assert "git worktree add" in call()[3]["why"]
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("synthetic.SyntheticCohort", "synthetic.Gone"))
    code, out, _, _ = call()
    assert code == 2
    assert "IMPOSSIBLE: cohort._target_: this immunocast has no immunocast.cohort.synthetic.Gone" in out


def test_an_interrupt_records_nothing(call, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "rerun", stopped)
    code, _, err, record = call()
    assert (code, record) == (130, {})
    assert "Interrupted" in err


def test_a_kept_run_lies_in_its_folder(run, again, call, tmp_path):
    code, _, _, record = call("--keep", tmp_path / "new" / "kept")
    assert code == 0
    assert [p.name for p in (tmp_path / "new/kept").iterdir()] == ["again"]
    assert record["kept"] == str(tmp_path / "new/kept/again")


def test_a_damaged_or_absent_configuration_is_a_message(run, call):
    (run.path / "config.yaml").write_text("seed: 7\n")
    assert "is no configuration of a run" in call()[2]
    (run.path / "config.yaml").write_text("a: [")
    assert "can't be read" in call()[2]
    (run.path / "config.yaml").unlink()
    code, _, err, record = call()
    assert (code, record) == (2, {})
    assert "has no config.yaml" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tolerance", "-1"), "give 0 or more"),
        (("--engine", "dask"), "There is no engine 'dask'. Engines: processes, serial, threads"),
        (("--engine", "serial", "--workers", "2"), "a serial engine has one"),
        (("--workers", "0"), "give 1 or more"),
        (("--checkout", "/nowhere"), "is no checkout of immunocast"),
        (("--keep", "/etc/hostname"), "is a file"),
    ],
)
def test_wrong_options_are_told_before_anything_runs(call, words, said):
    code, _, err, record = call(*words)
    assert (code, record) == (2, {})
    assert said in err


def test_an_installed_package_says_what_it_lacks(call, monkeypatch, tmp_path):
    monkeypatch.setattr("immunocast.reproduce.source_tree._OWN", tmp_path)
    code, _, err, record = call()
    assert (code, record) == (2, {})
    assert "An installed immunocast holds no pipelines" in err
    assert "--checkout DIR" in err
