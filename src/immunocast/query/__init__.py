"""Questions over all runs of a folder, answered as pandas frames: `import immunocast.query as q`.

    q.runs()                                        what runs there are
    q.sql("select run_id, ... from metrics")        any read over their tables (DuckDB)
    q.importance(by="tumor_type")                   which features drive the predictions, and for whom
    q.compare("20260101T", "latest")                what changed between two runs

Runs lie in `runs_dir`; by default in the folder that IMMUNOCAST_RUNS names, else in `runs`. Nothing here writes.
"""

from __future__ import annotations

from immunocast.query.ask import sql
from immunocast.query.changes import compare
from immunocast.query.features import importance
from immunocast.query.overview import runs
from immunocast.query.watch import QueryLimitError

__all__ = ["QueryLimitError", "compare", "importance", "runs", "sql"]
