"""The configuration that a run froze is the one that runs again, and the process that runs it is heard."""

from __future__ import annotations

import textwrap

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from immunocast.config import check, conf_dir, frozen, frozen_yaml, load_config
from immunocast.reproduce.data import _placed
from immunocast.reproduce.rerun import RerunFailedError, rerun, with_engine, write_config
from immunocast.reproduce.run_again import frozen_config
from immunocast.store.runfolder import RunFolder

CSV = ("cohort=csv", "cohort.file=a.csv")


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=quick"],
        ["cohort=loris", "models=full", "tuning=optuna", "endpoint=dcb", "validation=leave_one_site_out"],
        ["cohort=[loris,oak]"],
        # texts that YAML or OmegaConf could take for something else
        [*CSV, "+cohort.columns.nlr.source='1e3'", "+cohort.columns.age_years.source='\\${x}'"],
        [*CSV, "+cohort.columns.sex.source=yes", "+cohort.columns.sex.coding={1: male, 2: female}", "cohort.name=null"],
    ],
)
def test_what_runs_again_is_what_was_frozen(overrides, tmp_path):
    cfg = load_config(overrides)
    run = RunFolder(tmp_path / "a run, with $ {odd} 'name'")
    run.path.mkdir()
    (run.path / "config.yaml").write_text(frozen_yaml(cfg), encoding="utf-8")
    then = frozen_config(run)
    cohort, _ = next(_placed(then["cohort"], tmp_path))
    places = {"runs": run.path, "work": tmp_path / "w", "data": tmp_path}
    write_config(tmp_path / "conf", then, cohort, places)
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        now = compose("frozen")
    check(now)
    assert frozen(now) == frozen(cfg)
    assert frozen_yaml(now) == frozen_yaml(cfg)  # run ids of the same settings end alike
    assert now.paths.runs == str(run.path)
    assert not now.tracking
    assert OmegaConf.missing_keys(now) == set()


def test_another_engine_changes_nothing_else():
    plain = frozen(load_config())
    other = with_engine(plain, conf_dir(), "processes", 3)
    assert other["engine"] == {"_target_": "immunocast.engines.JoblibEngine", "n_jobs": 3, "backend": "loky"}
    assert {k: v for k, v in other.items() if k != "engine"} == {k: v for k, v in plain.items() if k != "engine"}
    assert with_engine(plain, conf_dir(), None, None) == plain


@pytest.fixture
def tree(tmp_path):
    """A source tree whose pipeline is a few lines: text of the script -> the tree."""

    def make(script):
        folder = tmp_path / "tree"
        (folder / "pipelines").mkdir(parents=True)
        (folder / "pipelines" / "run.py").write_text(textwrap.dedent(script))
        return folder

    return make


def test_a_new_run_is_found_and_progress_is_passed_on(tree, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    script = f"""
        import os, pathlib, sys
        print("load 1.0 s", file=sys.stderr)
        new = pathlib.Path({str(runs)!r}, "20250101-new")
        (new.parent / ".20250102-old.unfinished").mkdir()
        new.mkdir()
        (new / "manifest.json").write_text("{{}}")
        (new / "said").write_text(" ".join(sys.argv[1:]) + os.environ["PYTHONPATH"].split(os.pathsep)[0])
    """
    heard = []
    folder = tree(script)
    new = rerun(folder, tmp_path / "conf" / "frozen.yaml", runs, heard.append)
    assert new.path.name == "20250101-new"
    assert heard == ["load 1.0 s"]
    said = (new.path / "said").read_text()
    assert said == f"--config-dir={tmp_path / 'conf'} --config-name=frozen{folder / 'src'}"


@pytest.mark.parametrize(
    ("script", "said", "unsaid"),
    [
        (
            "print('load 1.0 s', file=sys.stderr); sys.exit('ConfigError: no model')",
            "code 1.*ConfigError: no model",
            "1.0",
        ),
        ("print('load 1.0 s', file=sys.stderr)", "left no run in", "load"),
        ("def f():\n    return 1 / 0\nf()", "ZeroDivisionError: division by zero", "File"),
    ],
)
def test_a_failing_pipeline_is_quoted(tree, tmp_path, script, said, unsaid):
    folder = tree("import sys\n" + script)
    with pytest.raises(RerunFailedError, match=f"(?s){said}") as caught:
        rerun(folder, tmp_path / "frozen.yaml", tmp_path, lambda line: None)
    assert unsaid not in str(caught.value)
