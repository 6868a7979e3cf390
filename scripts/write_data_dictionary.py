"""Write docs/data-dictionary.md from the schemas; --check only says whether it is current (exit code 1 if not)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pandera.pandas as pa

from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.store.schemas import TABLES

PAGE = Path(__file__).parents[1] / "docs/data-dictionary.md"
HEAD = """# Data dictionary

Written by `make dictionary` from the pandera schemas (`src/immunocast/cohort/vocabulary.py` and `meanings.py`,
`src/immunocast/store/schemas.py`); edit those, not this page.

## The cohort table

A row is a patient. Only the three keys are required; all else may be missing, as a column or as a value. A reader maps
a source's columns to these names, converts units, and reports values outside the range as errors. Ranges are limits
of the possible, not of the normal. "binary" is 0 or 1, a whole number that may be missing.
"""
SECTIONS = {
    "Keys": ("key", ""),
    "Design": ("design", ""),
    "PD-L1 (features)": ("feature", "pdl1"),
    "DNA (features)": ("feature", "dna"),
    "RNA (features)": ("feature", "rna"),
    "Blood and host inflammation (features)": ("feature", "blood"),
    "Clinical (features)": ("feature", "clinical"),
    "Outcomes (never a model's input)": ("outcome", ""),
}


def cell(text: object) -> str:
    """Text that does not break a table's row."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines)


def allowed(about: dict) -> str:
    """Range or categories of a cohort column."""
    if about["categories"]:
        return ", ".join(about["categories"])
    if about["kind"] == "binary":
        return "0, 1"
    if about["low"] is None:
        return ""
    return f"{about['low']:.10g} " + (f"to {about['high']:.10g}" if about["high"] is not None else "or more")


def cohort_sections(schema: pa.DataFrameSchema) -> Iterable[str]:
    """The vocabulary by block, and the columns that the schema knows by pattern."""
    listed = 0
    for title, place in SECTIONS.items():
        rows = []
        for name, column in schema.columns.items():
            about = column.metadata
            if about and (about["role"], about["block"]) == place:
                source = about["source"]
                rows.append(
                    [
                        f"`{name}`",
                        about["label"],
                        about["kind"],
                        about["unit"],
                        allowed(about),
                        column.description,
                        source,
                    ]
                )
        listed += len(rows)
        head = ("name", "label", "kind", "unit", "range or categories", "description", "source")
        yield f"### {title}\n\n{table(head, rows)}\n"
    patterns = [c for c in schema.columns.values() if not c.metadata]
    if listed + len(patterns) != len(schema.columns):
        raise SystemExit("A column of the vocabulary has a role or block that this page has no section for.")
    for column in patterns:
        yield f"Besides, for any of them, `{column.name}` ({column.title}): {column.description}\n"


def run_sections() -> Iterable[str]:
    """The other tables of a run folder."""
    yield "## The other tables of a run\n"
    yield (
        "`immunocast tables NAME` shows the columns of a finished run's table, `immunocast sql` reads them. A column "
        "named by a pattern stands for all columns whose names match it.\n"
    )
    for one in TABLES.values():
        if one.name == "cohort":
            continue
        rows = []
        for name, column in one.schema.columns.items():
            if one.name == "shap" and name in COHORT_SCHEMA.columns and name not in one.columns:
                continue  # a column a feature: told in a sentence
            kind = str(column.dtype).removesuffix("[python]")
            rows.append([f"`{name}`", kind, "yes" if column.nullable else "", column.description or ""])
        head = ("name", "type", "may be missing", "description")
        yield f"### {one.name}\n\nA row is {one.row_is}.\n\n{table(head, rows)}\n"
        if one.name == "shap":
            yield "And a float column for each feature that a model reads, by its name above: its SHAP value.\n"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *cohort_sections(COHORT_SCHEMA), *run_sections()]).rstrip() + "\n"


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: write_data_dictionary.py [--check]")
    if sys.argv[1:]:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        sys.exit(None if current else f"{PAGE} is not current: run `make dictionary`.")
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE}")
