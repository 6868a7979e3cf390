"""The tables between stages: each keeps what is written, and says no to what does not belong."""

import numpy as np
import pandas as pd
import pandera.errors
import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.store.runfolder import RunFolder, file_digest
from immunocast.store.schemas import TABLES, conform

FILLED = [name for name in TABLES if name not in ("cohort", "truth")]


def example(name, n=6, seed=0):
    """Rows of a table made from its own schema, nullable columns with gaps."""
    if name in ("cohort", "truth"):
        return getattr(SyntheticCohort(n_patients=30, seed=1).load(), name)
    rng = np.random.default_rng(seed)
    columns = {}
    for column, spec in TABLES[name].schema.columns.items():
        kind = str(spec.dtype)
        if kind.startswith("float"):
            values = rng.normal(size=n)
        elif kind.lower().startswith("int"):
            values = pd.array(rng.integers(0, 50, n), dtype=kind)
        elif kind == "bool":
            values = rng.random(n) < 0.5
        else:
            values = pd.Series([f"{column}-{i}, ä" for i in range(n)], dtype="str")
        columns[column] = pd.Series(values)
        if spec.nullable and not kind.startswith("int"):
            columns[column] = columns[column].mask(np.arange(n) % 3 == 0)
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", TABLES)
def test_what_is_written_is_read(name, tmp_path):
    run = RunFolder(tmp_path)
    frame = example(name)
    run.write_table(name, frame)
    back = run.table(name)
    pd.testing.assert_frame_equal(back, conform(name, frame))
    assert sorted(back.columns) == sorted(frame.columns)
    assert len(back) == len(frame)
    twice = RunFolder(tmp_path / "again")
    twice.write_table(name, back)
    assert file_digest(run.table_path(name)) == file_digest(twice.table_path(name))


@pytest.mark.parametrize("name", TABLES)
def test_equal_content_gives_equal_bytes(name, tmp_path):
    frame = example(name)
    order = np.random.default_rng(3)
    mixed = frame.iloc[order.permutation(len(frame))][list(order.permutation(frame.columns))]
    a, b = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    a.write_table(name, frame)
    b.write_table(name, mixed)
    assert file_digest(a.table_path(name)) == file_digest(b.table_path(name))


@pytest.mark.parametrize("name", [n for n in TABLES if n != "cohort"])
def test_an_empty_table_keeps_its_columns(name, tmp_path):
    run = RunFolder(tmp_path)
    run.write_table(name, pd.DataFrame())
    back = run.table(name)
    assert len(back) == 0
    assert set(TABLES[name].columns) <= set(back.columns)


@pytest.mark.parametrize("name", FILLED)
def test_schemas_refuse_what_does_not_belong(name):
    frame = example(name)
    text = next(c for c, s in TABLES[name].schema.columns.items() if not s.nullable)
    for wrong in (frame.assign(surprise=1), frame.drop(columns=text), frame.assign(**{text: None})):
        with pytest.raises((pandera.errors.SchemaErrors, KeyError)):
            conform(name, wrong)


@pytest.mark.parametrize("name", ["predictions", "shap"])
def test_a_patient_is_predicted_once(name):
    frame = example(name)
    with pytest.raises(pandera.errors.SchemaErrors):
        conform(name, pd.concat([frame, frame], ignore_index=True))


def test_every_column_is_explained():
    for name in FILLED:
        meanings = TABLES[name].columns
        assert all(meanings.values())
        assert set(TABLES[name].sort_by) <= set(meanings)


def test_cohort_columns_stand_in_the_order_of_the_vocabulary():
    frame = example("cohort")
    columns = conform("cohort", frame[sorted(frame.columns)]).columns.tolist()
    assert columns == [c for c in VOCABULARY if c in frame]
