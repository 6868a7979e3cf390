"""Links of descriptions: written relative to a run's artifacts, made addresses of a page when they are published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from immunocast.tracking.record_types import (
    Artifact,
    Description,
    EvaluationTable,
    Model,
    ReadableTable,
    Record,
    TextFile,
)

#: Before a link of a model's description to the artifacts of its run; alone, to the page of that run.
PARENT = "parent:"
#: Before how the models of a run are shown: CHART (charts) or ARTIFACT (tables side by side).
MODELS = "models:"
#: Before how the inner searches of a model are shown: TABLE, CHART, or COMPARE (side by side).
FOLDS = "folds:"
_RELATIVE = re.compile(rf"\]\(((?:{PARENT}|{MODELS}|{FOLDS})?(?![a-z][a-z0-9+.-]*:|[#/)])[^()\s]*|{PARENT})\)")
_NBSP = "\N{NO-BREAK SPACE}"
#: Longest cell, in letters, that is kept in one line.
_UNBROKEN = 28
_QUERY = "?workflowType=machine_learning"
#: Most runs that an address names one by one.
_MOST_COMPARED = 60
#: What a reviewer opens, in this order, and how it is called.
_REVIEWED = {
    "report.html": "report",
    "readable/metrics.csv": "metrics",
    "readable/comparisons.csv": "comparisons",
    "readable/subgroups.csv": "subgroups",
    "readable/checks.csv": "checks",
    "readable/controls.csv": "controls",
    "readable/importance.csv": "importance",
    "evaluation/tuning.json": "inner search",
    "figures/roc.png": "ROC",
    "figures/calibration.png": "calibration",
    "figures/decision_curve.png": "decision curve",
    "figures/subgroups.png": "subgroups, figure",
    "config.yaml": "configuration",
}


def reviewed(paths: Iterable[str]) -> str:
    r"""Links to those artifacts that a reviewer opens, and to the run's models side by side.

    >>> print(reviewed(["report.html", "tables/cohort.parquet"]).replace("  \n", "\n"))
    Open: [report](report.html)
    Models of this run: [charts](models:CHART) · [tables side by side](models:ARTIFACT)
    """
    there = set(paths)
    found = [f"[{name}]({path})" for path, name in _REVIEWED.items() if path in there]
    modes = {"charts": "CHART", "tables side by side": "ARTIFACT"}
    models = "Models of this run: " + " · ".join(f"[{name}]({MODELS}{mode})" for name, mode in modes.items())
    return "  \n".join([*(["Open: " + " · ".join(found)] if found else []), models])


def spaced(text: str) -> str:
    """Markdown whose table cells keep their distance and do not break, for trackers that draw tables without borders.

    >>> spaced("| AUROC | 0.7 (0.6 to 0.8) |").replace(_NBSP, "~")
    '| AUROC&emsp; | 0.7~(0.6~to~0.8)&emsp; |'
    """

    def cell(words: str) -> str:
        words = words.strip()
        return (words.replace(" ", _NBSP) if len(words) <= _UNBROKEN else words) + "&emsp;"

    lines = []
    for line in text.split("\n"):
        if line.startswith("| "):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            line = "| " + " | ".join(map(cell, cells)) + " |"
        lines.append(line)
    return "\n".join(lines)


def artifact_paths(records: Iterable[Record]) -> list[str]:
    """Where the files of these records lie among the artifacts."""
    return [r.path for r in records if isinstance(r, Artifact | TextFile | ReadableTable | EvaluationTable)]


def after_the_headline(text: str, line: str) -> str:
    """A description with a line put after its first list, or at its end: the page of a run shows the beginning."""
    blocks = text.split("\n\n")
    place = next((i + 1 for i, block in enumerate(blocks) if block.startswith("- ")), len(blocks))
    return "\n\n".join([*blocks[:place], line, *blocks[place:]])


@dataclass(frozen=True)
class Addresses:
    """Where a run is in MLflow's UI, as seen from inside the UI, whatever the server's own address is.

    Attributes
    ----------
    experiment_id : MLflow's id of the experiment.
    folder_id : id of the run folder.
    own : MLflow's id of the run that texts are written for.
    parent : that of the run of the pipeline, where `own` is a model's.
    folds : those of the inner searches below `own`.
    """

    experiment_id: str
    folder_id: str
    own: str
    parent: str = ""
    folds: tuple[str, ...] = ()

    def of(self, target: str) -> str:
        """Address of a target: an artifact's path, `parent:` with or without one, `models:` or `folds:` and a mode."""
        runs = f"#/experiments/{self.experiment_id}/runs"
        if target.startswith(MODELS):
            wanted = f"tags.`immunocast.run_id` = '{self.folder_id}' and tags.kind != 'pipeline'"
            return listed(self.experiment_id, wanted, "auroc", target.removeprefix(MODELS))
        if target.startswith(FOLDS):
            mode = target.removeprefix(FOLDS)
            if mode == "COMPARE" and 1 < len(self.folds) <= _MOST_COMPARED:
                return compared(self.folds, self.experiment_id)
            wanted = f"tags.`mlflow.parentRunId` = '{self.own}'"
            return listed(self.experiment_id, wanted, "n_events", "TABLE" if mode == "COMPARE" else mode)
        run_id = self.own
        if target.startswith(PARENT):
            run_id, target = self.parent or self.own, target.removeprefix(PARENT)
        return f"{runs}/{run_id}{'/artifacts/' if target else ''}{quote(target)}{_QUERY}"


def listed(experiment_id: str, wanted: str, by: str, mode: str) -> str:
    """Address of the runs that a search finds, by a metric, from inside the UI; mode: TABLE, CHART or ARTIFACT."""
    # ordered by time the list would fold runs into the one above them
    order = f"orderByKey={quote(f'metrics.`{by}`', safe='')}&orderByAsc=false"
    runs = f"#/experiments/{experiment_id}/runs{_QUERY}"
    return f"{runs}&searchFilter={quote(wanted, safe='')}&{order}&compareRunsMode={mode}"


def compared(runs: Sequence[str], experiment_id: str) -> str:
    """Address of the page that compares runs, from inside the UI."""
    listed = (quote(json.dumps(part, separators=(",", ":"))) for part in (list(runs), [experiment_id]))
    return "#/compare-runs?runs={}&experiments={}&{}".format(*listed, _QUERY.removeprefix("?"))


def addressed(records: Iterable[Record], addresses: Addresses) -> Iterator[Record]:
    """Records whose descriptions have addresses in place of relative links."""
    for record in records:
        match record:
            case Description(text):
                yield Description(with_addresses(text, addresses))
            case Model():
                own, version = record.description, record.version_description
                yield replace(
                    record,
                    description=with_addresses(own, addresses),
                    version_description=with_addresses(version, addresses),
                )
            case _:
                yield record


def with_addresses(text: str, addresses: Addresses) -> str:
    """Markdown whose relative links lead to pages of MLflow; other links stay.

    >>> here = Addresses("1", "20261101T100000-demo", own="ab", parent="cd")
    >>> with_addresses("[report](report.html), [MLflow](https://mlflow.org)", here)
    '[report](#/experiments/1/runs/ab/artifacts/report.html?workflowType=machine_learning), [MLflow](https://mlflow.org)'
    >>> with_addresses("[the run](parent:)", here)
    '[the run](#/experiments/1/runs/cd?workflowType=machine_learning)'
    """
    return _RELATIVE.sub(lambda match: f"]({addresses.of(match[1])})", text)
