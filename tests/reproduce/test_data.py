"""The data of a run: found again wherever they lie, and refused where they are others."""

from __future__ import annotations

import shutil

import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.config import build, frozen, load_config
from immunocast.errors import ImmunocastError
from immunocast.reproduce.data import DataChangedError, find_data


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A table of forty patients."""
    path = tmp_path_factory.mktemp("patients") / "patients.csv"
    SyntheticCohort(n_patients=40, n_cohorts=1, seed=3).load().cohort.to_csv(path, index=False)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recorded(*overrides):
    """What a run froze and recorded of its data."""
    cfg = load_config(list(overrides))
    provenance = build(cfg.cohort, "cohort").load().provenance
    return frozen(cfg), {"digest": provenance.digest, "notes": list(provenance.notes)}


def test_a_relative_file_is_found_where_the_run_was_started(here, patients):
    shutil.copy(patients, here / "p.csv")
    found = find_data(*recorded("cohort=csv", "cohort.file=p.csv"), here / "data")
    assert found.same
    assert found.files == [here / "p.csv"]
    assert found.digest_then == found.digest_now


def test_a_file_of_the_data_is_found_after_the_data_moved(here, patients):
    for folder in ("old", "new"):
        (here / folder).mkdir()
        shutil.copy(patients, here / folder / "p.csv")
    add = ("cohort=csv", "cohort.file=p.csv", "+cohort.data_dir=${paths.data}", f"paths.data={here / 'old'}")
    frozen_then, provenance = recorded(*add)
    shutil.rmtree(here / "old")
    found = find_data(frozen_then, provenance, here / "new")
    assert found.files == [here / "new/p.csv"]
    assert found.cohort["data_dir"] == str(here / "new")
    # another file of that name where the command is run: the digest tells which one it was
    (here / "p.csv").write_text(patients.read_text().replace("NSCLC", "Melanoma"))
    assert find_data(frozen_then, provenance, here / "new").files == [here / "new/p.csv"]
    (here / "p.csv").rename(here / "q.csv")
    (here / "new/p.csv").rename(here / "p.csv")
    (here / "q.csv").rename(here / "new/p.csv")
    assert find_data(frozen_then, provenance, here / "new").files == [here / "p.csv"]


def test_a_missing_file_is_named_with_its_digest(here, patients):
    shutil.copy(patients, here / "p.csv")
    frozen_then, provenance = recorded("cohort=csv", "cohort.file=p.csv")
    (here / "p.csv").unlink()
    with pytest.raises(DataChangedError, match=rf"{here}/data/p.csv is not there.*{provenance['digest']}.*--data DIR"):
        find_data(frozen_then, provenance, here / "data")


def test_a_changed_file_is_named_with_both_digests(here, patients):
    shutil.copy(patients, here / "p.csv")
    frozen_then, provenance = recorded("cohort=csv", f"cohort.file={here / 'p.csv'}")
    (here / "p.csv").write_text(patients.read_text() + "\n")
    with pytest.raises(
        DataChangedError, match=r"p.csv changed since the run: SHA-256 then \w{64}, now \w{64}"
    ) as error:
        find_data(frozen_then, provenance, here)
    assert provenance["digest"] in str(error.value)
    (here / "p.csv").write_text("nothing\n1\n")
    with pytest.raises(DataChangedError, match=r"p.csv, SHA-256 then .* can't be read now"):
        find_data(frozen_then, provenance, here)
    assert DataChangedError.exit_code == ImmunocastError.exit_code == 2


def test_every_member_of_several_cohorts_is_looked_for(here, patients):
    for name in ("a", "b"):
        text = patients.read_text()
        (here / f"{name}.csv").write_text(text)
    members = [
        "cohort=several",
        "+cohort@cohort.members.a=csv",
        "+cohort@cohort.members.b=csv",
        "cohort.members.a.file=a.csv",
        "cohort.members.b.file=b.csv",
        *(f"+cohort.members.{m}.columns.cohort_id.value={m}" for m in "ab"),
    ]
    frozen_then, provenance = recorded(*members)
    (here / "data").mkdir()
    (here / "b.csv").rename(here / "data/b.csv")
    found = find_data(frozen_then, provenance, here / "data")
    assert found.files == [here / "a.csv", here / "data/b.csv"]
    assert found.cohort["members"]["b"]["data_dir"] == str(here / "data")
    (here / "a.csv").unlink()
    with pytest.raises(DataChangedError, match=r"a.csv is not there"):
        find_data(frozen_then, provenance, here / "data")


def test_a_file_that_is_joined_must_be_the_same(here, patients):
    shutil.copy(patients, here / "p.csv")
    frozen_then, provenance = recorded("cohort=csv", "cohort.file=p.csv")
    provenance["notes"] = [f"expression scores are from m.csv (SHA-256 {'a' * 64})"]
    with pytest.raises(DataChangedError, match="joined"):
        find_data(frozen_then, provenance, here)


def test_another_generator_is_told_and_no_error(here):
    frozen_then, provenance = recorded("cohort=synthetic_tiny")
    assert find_data(frozen_then, provenance, here).same
    found = find_data(frozen_then, {**provenance, "digest": "0" * 64}, here)
    assert not found.same
    assert found.files == []
