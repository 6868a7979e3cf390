"""What of a run folder shows single patients, so that a publication can leave it out."""

from __future__ import annotations

from immunocast.store.schemas import TABLES

#: Tables with a row a patient, and those that name patients in a cell.
PATIENT_TABLES = tuple(name for name, table in TABLES.items() if {"patient_id", "rows"} & set(table.columns))
#: How the names of pictures of one patient begin.
PATIENT_FIGURES = "shap_waterfall_"
#: Marks around what the report says of single patients.
BEGIN, END = "<!-- single patients -->", "<!-- end of single patients -->"
_INSTEAD = "<p>Single patients were left out when the run was published; its own run folder has them.</p>"


def without_single_patients(report: str) -> str | None:
    """A report without what it says of single patients; None where it does not mark them.

    >>> without_single_patients(f"<h2>One</h2>{BEGIN}<p>P17</p>{END}<p>All</p>")[:26]
    '<h2>One</h2><p>Single pati'
    >>> without_single_patients("<p>P17</p>") is None
    True
    """
    before, begin, rest = report.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + _INSTEAD + after if begin and end else None
