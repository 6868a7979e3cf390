"""Every column says what it is, and the page in the docs is made from what the schemas say."""

import subprocess
import sys

import pytest

from immunocast.cohort.meanings import MEANINGS
from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.store.schemas import TABLES


@pytest.mark.parametrize("name", sorted(VOCABULARY))
def test_the_schema_carries_the_vocabulary(name):
    column, field = VOCABULARY[name], COHORT_SCHEMA.columns[name]
    assert len(column.description) > 10
    assert column.source
    assert field.description == column.description
    assert field.title == column.label
    for key in ("unit", "low", "high", "categories", "source", "role", "block", "label", "kind"):
        assert field.metadata[key] == getattr(column, key)
    if column.kind in ("number", "integer") and not name.endswith("_score"):
        assert column.low is not None, "a number has a range"
        assert column.high is not None


def test_no_meaning_is_for_a_column_that_is_gone():
    assert set(MEANINGS) <= set(VOCABULARY)


def test_every_column_of_every_table_is_described():
    silent = [
        f"{table.name}.{name}"
        for table in TABLES.values()
        for name, column in table.schema.columns.items()
        if not column.description and not column.regex
    ]
    assert silent == []


def test_the_page_is_current(root):
    """`make dictionary` writes it."""
    done = subprocess.run(
        [sys.executable, "scripts/write_data_dictionary.py", "--check"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    page = (root / "docs/data-dictionary.md").read_text(encoding="utf-8")
    for name in VOCABULARY:
        assert f"| `{name}` |" in page
    for name in TABLES:
        assert name == "cohort" or f"### {name}\n" in page
