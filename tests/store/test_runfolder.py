"""The run folder: found by its id, sealed once, invisible while unfinished."""

import pandas as pd
import pytest

from immunocast.errors import NotFoundError
from immunocast.store.runfolder import RunFolder, file_digest, find_run, list_runs


def finished(runs, name, **fields):
    work = RunFolder(runs / f".{name}.unfinished")
    work.write_meta("load", **({"endpoint": "response"} | fields))
    work.write_table("checks", pd.DataFrame())
    return work.seal(runs / name)


@pytest.fixture
def runs(tmp_path):
    for name in ("20260102T0000Z-loris-bb", "20260101T0000Z-loris-aa", "20260103T0000Z-synthetic-cc"):
        finished(tmp_path / "runs", name)
    return tmp_path / "runs"


def test_runs_are_listed_by_time_and_found(runs):
    names = [r.path.name for r in list_runs(runs)]
    assert names == sorted(names)
    assert find_run(runs).path.name == "20260103T0000Z-synthetic-cc"
    assert find_run(runs, "20260101").path.name == "20260101T0000Z-loris-aa"
    assert find_run(runs, "20260102T0000Z-loris-bb").run_id == "20260102T0000Z-loris-bb"


def test_an_id_that_begins_another_id_is_itself(runs):
    finished(runs, "20260101T0000Z-loris-aa-2")
    assert find_run(runs, "20260101T0000Z-loris-aa").path.name == "20260101T0000Z-loris-aa"


@pytest.mark.parametrize("run", ["2026", "2026010", ""])
def test_ambiguous_beginnings(runs, run):
    with pytest.raises(NotFoundError, match=r"3 runs start with .*They are: 20260101T0000Z-loris-aa"):
        find_run(runs, run)


@pytest.mark.parametrize("run", ["x", "../runs", ".", "/etc", "20260101T0000Z-loris-aa/tables"])
def test_no_such_run(runs, run):
    with pytest.raises(NotFoundError, match=r"There is no run .*The latest are: .*cc"):
        find_run(runs, run)


def test_no_runs_at_all(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotFoundError, match="There is no finished run"):
            find_run(folder)


def test_half_written_folders_are_invisible(runs):
    work = RunFolder(runs / ".20270101T0000Z-loris-dd.unfinished")
    work.write_table("checks", pd.DataFrame())
    work.update_manifest(run_id="x")
    (runs / "20270102T0000Z-no-manifest").mkdir()
    (runs / "a-file").write_text("x")
    assert len(list_runs(runs)) == 3
    assert find_run(runs).path.name == "20260103T0000Z-synthetic-cc"


def test_a_sealed_run_is_never_overwritten(runs, tmp_path):
    target = runs / "20260101T0000Z-loris-aa"
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}
    other = RunFolder(tmp_path / "work")
    other.write_meta("load", endpoint="other")
    for seal in (other.seal, other.seal_copy):
        with pytest.raises(FileExistsError, match="never overwritten"):
            seal(target)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before


def test_seal_copy_leaves_the_work_folder_and_no_rest(tmp_path):
    work = RunFolder(tmp_path / "work")
    work.write_table("checks", pd.DataFrame())
    work.write_meta("load", endpoint="response")
    (tmp_path / "runs" / ".r1.unfinished").mkdir(parents=True)
    (tmp_path / "runs" / ".r1.unfinished" / "rest-of-a-crash").write_text("x")
    sealed = work.seal_copy(tmp_path / "runs" / "r1")
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["r1"]
    assert not (sealed.path / "rest-of-a-crash").exists()
    assert work.has_table("checks")
    assert "digests" not in work.manifest()


def test_digests_tell_a_change(runs):
    run = find_run(runs)
    digests = run.manifest()["digests"]
    assert digests == run.digests() == {"tables/checks.parquet": file_digest(run.table_path("checks"))}
    run.table_path("checks").write_bytes(b"x")
    assert run.digests() != digests


def test_manifest_is_all_that_the_stages_said(tmp_path):
    work = RunFolder(tmp_path / ".r1.unfinished")
    assert work.manifest() == {}
    assert work.run_id == "r1.unfinished"
    work.write_meta("load", endpoint="response", seed=1)
    work.write_meta("train", scheme="loco")
    work.write_meta("train", scheme="kfold")
    assert work.manifest() == {"endpoint": "response", "seed": 1, "scheme": "kfold"}


def test_tables_that_are_not_there(runs):
    with pytest.raises(NotFoundError, match=r"no table 'metric'\. Tables: cohort"):
        find_run(runs).table("metric")
    with pytest.raises(NotFoundError, match="has no table 'metrics'"):
        find_run(runs).table("metrics")
