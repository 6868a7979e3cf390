"""The commands over all runs: sql, runs, importance over several runs, and the comparison of two."""

import json
import signal

import pandas as pd
import pytest

from immunocast.query import watch
from immunocast.store.runfolder import RunFolder


@pytest.fixture(scope="module")
def runs(small_run, tmp_path_factory):
    """The small run, and one like it of a later day, with a model that ranks otherwise."""
    folder = tmp_path_factory.mktemp("two_runs")
    small_run_copy = folder / small_run.path.name
    small_run_copy.symlink_to(small_run.path)
    later = RunFolder(folder / "20260201T000000000Z-synthetic-000001")
    for name in ("metrics", "cohort"):
        frame = small_run.table(name)
        later.write_table(name, frame)
    frame = small_run.table("importance")
    frame = frame[frame["model"] == "ridge"]
    worst = frame.groupby(["subgroup", "level", "kind"])["rank"].transform("max")
    later.write_table("importance", frame.assign(rank=worst + 1 - frame["rank"]))
    later.update_manifest(**(small_run.manifest() | {"run_id": later.path.name, "endpoint": "dcb"}))
    return folder


@pytest.fixture
def command(runs, call):
    """Call a command on the two runs, or on others."""

    def run(*words, runs=runs):
        return call(runs, *words)

    return run


COUNT = "select run_id, count(*) as n from metrics group by 1 order by 1"


def test_sql_is_over_all_runs(command, small_run):
    done = command("sql", COUNT, "--format", "json")
    n = len(small_run.table("metrics"))
    assert [(r["run_id"][:8], r["n"]) for r in json.loads(done.stdout)] == [("20260101", n), ("20260201", n)]


@pytest.mark.parametrize(
    "choice", [["--run", "latest"], ["--run", "20260201"], ["--since", "2026-01-02"], ["--since", "2026-02-01T00:00"]]
)
def test_sql_over_some_runs(command, choice):
    found = json.loads(command("sql", COUNT, "--format", "json", *choice).stdout)
    assert [r["run_id"][:8] for r in found] == ["20260201"]


def test_sql_over_several_and_by_cohort(command):
    both = command("sql", COUNT, "--run", "20260101", "--run", "20260201", "--format", "csv").stdout
    assert both.count("\n") == 3
    assert command("sql", COUNT, "--cohort", "synthetic-A", "--format", "csv").stdout == both
    assert "No run holds a cohort 'x'" in command("sql", COUNT, "--cohort", "x").stderr


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.parquet"])
def test_an_answer_as_a_file(command, tmp_path, name):
    done = command("sql", "select * from metrics order by all", "--run", "latest", "--out", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "rows, 18 columns" in done.stderr
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[name.split(".")[1]]
    found = read(tmp_path / name)
    shown = command("sql", "select * from metrics order by all", "--run", "latest", "--format", "json").stdout
    assert len(found) == len(json.loads(shown))
    assert found["estimate"].sum() == pytest.approx(sum(r["estimate"] or 0 for r in json.loads(shown)))
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_a_file_is_overwritten_only_by_force(command, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    done = command("sql", "select 1 as a", "--out", "a.csv")
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert command("sql", "select 1 as a", "--out", "a.csv", "--force").returncode == 0
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "a.xlsx"], ".csv, .json or .parquet"),
        (["--out", "a.csv", "--format", "parquet"], "contradict"),
        (["--out", "nowhere/a.csv"], "there is no folder"),
        (["--out", "."], "is a folder"),
        (["--format", "parquet"], "--out FILE"),
        (["--timeout", "0"], "time limit of 0 s"),
        (["--memory", "1"], "memory limit of 1 MiB"),
        (["--since", "soon"], "'soon' is no date"),
        (["--run", "1999"], "There is no run '1999'"),
    ],
)
def test_a_mistake_is_a_message(command, words, says, tmp_path):
    done = command("sql", "select 1 as a", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_is_not_written_into(command, runs):
    folder = runs / "20260201T000000000Z-synthetic-000001"
    done = command("sql", "select 1 as a", "--out", folder / "tables/curves.parquet")
    assert done.returncode == 2
    assert "runs are never changed" in done.stderr
    assert not (folder / "tables/curves.parquet").exists()


def test_a_failing_statement_leaves_no_file(command, tmp_path):
    done = command("sql", "select nothing from metrics", "--out", "a.csv")
    assert done.returncode == 2
    assert "Views: runs, cohort" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_limits_are_told(command):
    bomb = "select count(*) from range(100000000000) a, range(100000) b where a.range < b.range"
    done = command("sql", bomb, "--timeout", "0.2")
    assert done.returncode == 2
    assert "longer than 0.2 s (--timeout)" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_with_130(command, monkeypatch):
    calls = iter([lambda: 0.0])
    monkeypatch.setattr(watch, "_resident_mb", lambda: next(calls, lambda: signal.raise_signal(signal.SIGINT))())
    bomb = "select count(*) from range(100000000000) a, range(100000) b where a.range < b.range"
    done = command("sql", bomb)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_what_does_not_stop_does_not_keep_the_command(command, monkeypatch):
    """Where a function does not look up from its work the process leaves it, with a message."""
    left = []
    monkeypatch.setattr("os._exit", lambda code: left.append(code))
    monkeypatch.setattr(watch, "_GRACE_S", 0.0)
    monkeypatch.setattr("immunocast.query.ask.run_watched", lambda c, work, limits: _stuck())
    done = command("sql", "select 1")
    assert left == [2]
    assert "too long" in done.stderr


def _stuck():
    raise watch.QueryLimitError("too long", running=True)


def test_runs_has_date_and_headline(command, small_run):
    done = command("runs")
    auroc = small_run.table("metrics").query(
        "metric == 'auroc' and model == 'ridge' and recalibration == 'none' and subgroup == 'all' "
        "and cohort_id == 'combined'"
    )["estimate"]
    assert f"{auroc.iloc[0]:.3f} (" in done.stdout
    assert "2026-02-01 00:00" in done.stdout
    assert done.stdout.index("20260101") < done.stdout.index("20260201")
    found = json.loads(command("runs", "--since", "2026-01-15", "--format", "json").stdout)
    assert [r["endpoint"] for r in found] == ["dcb"]


def test_importance_of_several_runs(command):
    done = command("importance", "--since", "2026-01-01", "--top", "2")
    assert done.stdout.count("SYNTHETIC COHORT") == 2
    rows = json.loads(command("importance", "--run", "20260101", "--run", "latest", "--format", "json").stdout)
    assert len({r["run_id"] for r in rows}) == 2


def test_importance_by_groups(command, small_run):
    blocks = small_run.table("importance").query("model == 'ridge' and kind == 'block' and subgroup == 'all'")
    rows = json.loads(command("importance", "--group", "block", "--run", "20260101", "--format", "json").stdout)
    assert {r["feature"] for r in rows} == set(blocks["feature"])
    blood = json.loads(command("importance", "--group", "blood", "--by", "tumor_type", "--format", "json").stdout)
    assert {r["group"] for r in blood} == {"blood"}
    assert "There is:" in command("importance", "--group", "bones").stderr


def test_two_runs_side_by_side(command):
    done = command("importance", "--compare", "20260101", "latest", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "Endpoints differ: response in A, dcb in B." in done.stdout
    assert "no proof that nothing changed" in done.stdout
    assert "not its cause" in done.stdout
    assert done.stdout.count("SYNTHETIC") == 2
    rows = json.loads(command("importance", "--compare", "20260101", "latest", "--format", "json").stdout)
    assert all(r["rank_change"] == r["rank_b"] - r["rank_a"] for r in rows)
    assert "leave out --run" in command("importance", "--compare", "a", "b", "--run", "latest").stderr
    assert "There is no run 'x'" in command("importance", "--compare", "x", "latest").stderr
