"""Saved views of the experiment: what the list of runs shows, ready to choose under "Views".

MLflow keeps a saved view as a tag of the experiment: a name, and the state of the page as compressed JSON. The form is
that of MLflow 3.17's own UI, which is documented nowhere; a browser test opens each view. A view that somebody changed
or deleted is made anew by the next publication.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from immunocast.tracking.mlflow.tracker import EXPERIMENT_TAGS, NOTE, Tracker

#: Beginning of the tag's name; what follows is the key in a view's address (`viewStateShareKey`).
_TAG = "mlflow.sharedViewState."
#: Time of making and change that is shown; fixed, so that the same view is the same tag.
_MADE_MS = 1793491200000

_CLAIM = ["auroc", "auroc_ci_low", "auroc_ci_high"]
_WHOSE = ["tags.cohort", "tags.endpoint", "tags.validation"]


def _columns(*names: str) -> list[str]:
    return [f"{kind}.`{name}`" for kind, name in (n.split(".", 1) for n in names)]


#: The views by key: name, search, columns, and how the page begins.
VIEWS: dict[str, dict[str, Any]] = {
    "immunocast-runs": {
        "name": "Runs: the claims",
        "searchFilter": "tags.kind = 'pipeline'",
        "selectedColumns": _columns(
            *_WHOSE,
            "params.headline_model",
            *(f"metrics.{m}" for m in _CLAIM),
            "metrics.auroc_minus_loris_routed",
            "tags.against_reference",
            "metrics.n",
            "metrics.n_events",
            "metrics.n_warnings",
            "metrics.n_errors",
            "tags.dirty",
        ),
    },
    "immunocast-models": {
        "name": "Models, best AUROC first",
        "searchFilter": "tags.kind != 'pipeline' and tags.kind != 'sweep' and tags.kind != 'fold'",
        # ordered by time, models would be folded into their run
        "orderByKey": "metrics.`auroc`",
        "selectedColumns": _columns(
            *_WHOSE,
            "tags.kind",
            *(f"metrics.{m}" for m in _CLAIM),
            "metrics.auroc_minus_loris_routed",
            "metrics.brier",
            "metrics.calibration_slope",
            "metrics.calibration_intercept",
            "metrics.n",
            "metrics.n_events",
        ),
    },
    "immunocast-real": {
        "name": "Real patients, clean code",
        "searchFilter": "tags.kind = 'pipeline' and tags.synthetic = 'false' and tags.dirty = 'false'",
        "selectedColumns": _columns(
            *_WHOSE, *(f"metrics.{m}" for m in _CLAIM), "tags.against_reference", "tags.git_commit", "tags.data_digest"
        ),
    },
}


def view_tags() -> dict[str, str]:
    """Tags of the experiment that hold the views."""
    return {_TAG + key: _content(view) for key, view in VIEWS.items()}


def _content(view: dict[str, Any]) -> str:
    state = {
        "searchFilter": view["searchFilter"],
        "orderByKey": view.get("orderByKey", "attributes.start_time"),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": view["selectedColumns"],
        "columnOrder": view["selectedColumns"],
        "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps(
        {"name": view["name"], "createdAt": _MADE_MS, "updatedAt": _MADE_MS, "state": f"deflate;{packed}"}
    )


def note(experiment_id: str) -> str:
    """The experiment's own description, with links to the views.

    Chosen from the menu, a view drops the part of the address that keeps MLflow's pages for models beside it; these
    links keep it.
    """
    runs = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey="
    links = " · ".join(f"[{view['name']}]({runs}{key})" for key, view in VIEWS.items())
    return f"**Start here: {links}**. {EXPERIMENT_TAGS[NOTE]}"


def ensure_views(tracker: Tracker) -> None:
    """Give the experiment its saved views where they are missing or differ: one call where all is well.

    Its description gets links to them, unless somebody wrote another one.
    """
    there = tracker.client.get_experiment(tracker.experiment_id).tags
    wanted = view_tags()
    if there.get(NOTE) == EXPERIMENT_TAGS[NOTE]:
        wanted[NOTE] = note(tracker.experiment_id)
    for key, value in wanted.items():
        if there.get(key) != value:
            tracker.client.set_experiment_tag(tracker.experiment_id, key, value)
