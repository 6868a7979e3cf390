"""What a run recorded of one learned model: looked up in its tables, its manifest and its bundle, nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from immunocast.cohort.outcomes import ENDPOINTS, make_endpoint
from immunocast.cohort.vocabulary import label
from immunocast.errors import ImmunocastError
from immunocast.models.spec import ModelSpec
from immunocast.report import text
from immunocast.report.card.population import count_patients
from immunocast.report.flow import FlowRow, participant_flow
from immunocast.report.table_one import table_one
from immunocast.report.verdict import Verdict, verdict
from immunocast.report.view import RunView
from immunocast.store.runfolder import RunFolder, file_digest

#: Schemes whose folds are parts of the patients, so that everybody is in some training and in some test set.
PARTITIONS = ("leave_one_cohort_out", "leave_one_site_out", "leave_one_tumor_type_out", "repeated_kfold")
#: Schemes that predict cohorts, sites, types or years which no model had seen; k-fold predicts more of the same.
UNSEEN = {
    "leave_one_cohort_out": "cohorts",
    "train_test": "cohorts",
    "external": "cohorts",
    "leave_one_site_out": "sites",
    "leave_one_tumor_type_out": "tumour types",
    "temporal": "later patients",
}


class RunFacts:
    """What all cards of a run share, worked out once."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.view = RunView(run)
        # look-ups that the views of all models then share
        self.view.metric("auroc", self.view.headline)
        self.view.predictions, self.view.cohort  # noqa: B018
        self.developed: dict[tuple[str, ...], pd.DataFrame] = {}

    @cached_property
    def learned(self) -> list[str]:
        """Models that were learned in this run and have a final bundle, in report order."""
        return [
            m for m in self.view.order
            if self.view.models.get(m, {}).get("spec", {}).get("learned")
            and (self.run.bundle_path(m, "final") / "bundle.json").is_file()
        ]  # fmt: skip

    @cached_property
    def flow(self) -> tuple[FlowRow, list[FlowRow]]:
        """Participant flow, in total and by cohort."""
        return participant_flow(self.view)

    @cached_property
    def characteristics(self) -> pd.DataFrame:
        """Table 1 of the analysed patients."""
        return table_one(self.view.cohort) if len(self.view.cohort) else pd.DataFrame()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The frozen configuration; {} where there is none."""
        path = self.run.path / "config.yaml"
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER) if path.is_file() else None
        return content if isinstance(content, dict) else {}

    @cached_property
    def checks(self) -> pd.DataFrame:
        """Findings of all checks without the patients' ids, the most severe first."""
        return self.view.findings.drop(columns="rows", errors="ignore")

    @cached_property
    def folds(self) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
        """Fold of the first repeat -> (patients who could train, patients who were predicted).

        Patients linked to a test patient are counted among those who could train: the run leaves them out, and tells
        how many, but not who. {} under repeated k-fold, where both are random draws of the same patients.
        """
        predictions = self.view.table("predictions")
        if predictions.empty or self.view.scheme == "repeated_kfold":
            return {}
        first = predictions[predictions["repeat"] == predictions["repeat"].min()]
        fold_of = first.drop_duplicates("patient_id").set_index("patient_id")["fold"]
        cohort = self.labelled
        fold = cohort["patient_id"].map(fold_of)
        could = cohort if self.view.scheme in PARTITIONS else cohort[self._trainable(cohort, fold)]
        return {
            str(name): (could[(fold.loc[could.index] != name).to_numpy()], cohort[(fold == name).to_numpy()])
            for name in sorted(set(fold.dropna()))
        }

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """Patients of the cohort table with a label of the endpoint, which is the column y_true."""
        cohort = self.view.table("cohort")
        outcome = self.view.analysed.set_index("patient_id")["y_true"].astype("float64")
        y = cohort["patient_id"].map(outcome)
        if self.view.scheme not in PARTITIONS and self.view.endpoint in ENDPOINTS:
            # those who only trained were never predicted
            settings = self.view.manifest.get("endpoint_settings") or self.view.endpoint
            try:
                told = make_endpoint(settings).label(cohort).y.astype("float64")
                y = y.fillna(pd.Series(told.to_numpy(), index=cohort.index))
            except ImmunocastError:
                pass
        return cohort.assign(y_true=y)[y.notna().to_numpy()].reset_index(drop=True)

    @cached_property
    def population(self) -> list[dict[str, object]]:
        """Counts of the patients with an outcome."""
        return count_patients(self.labelled)

    def _trainable(self, cohort: pd.DataFrame, fold: pd.Series) -> pd.Series:
        design = self.config.get("validation") or {}
        if self.view.scheme == "temporal" and isinstance(design.get("test_from"), int):
            years = cohort[str(design.get("column") or "treatment_start_year")]
            return (years < design["test_from"]).fillna(False).astype(bool)
        names = design.get("train")
        return cohort["cohort_id"].isin(names) if isinstance(names, list) else fold.isna()


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Bundle:
    """A final bundle on disk: its files with their digests, and what bundle.json says."""

    files: dict[str, str]
    content: dict[str, Any]
    recalibrators: dict[str, Any]

    @property
    def digest(self) -> str:
        """One SHA-256 over the names and digests of all files."""
        import hashlib

        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle without building the model; what is not there reads as empty."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    digests = {f.relative_to(folder).as_posix(): file_digest(f) for f in files}
    return Bundle(digests, _json(folder / "bundle.json"), _json(folder / "recalibrators.json").get("recalibrators", {}))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Facts:
    """What is known of one model of a run."""

    def __init__(self, shared: RunFacts, model: str) -> None:
        self.shared, self.model = shared, model
        #: the run with this model in the headline's place, so that its sentences speak of this model
        self.view = shared.view.about(model)
        self.run = shared.run
        self.entry = self.view.models[model]
        self.spec = ModelSpec.from_dict(self.entry["spec"])
        self.label = self.view.label(model)
        self.words = self.view.words
        self.is_headline = model == shared.view.headline
        self._rows: dict[str, pd.DataFrame] = {}

    @cached_property
    def bundle(self) -> Bundle:
        """The final bundle."""
        return read_bundle(self.run.bundle_path(self.model, "final"))

    @cached_property
    def variants(self) -> dict[str, str]:
        """Recalibration -> label, the model's own output first."""
        own = {r: "as it came" if r == "none" else f"recalibrated ({text.recalibration_label(r)})"
               for m, r, _ in self.view.variants() if m == self.model}  # fmt: skip
        return own or {"none": "as it came"}

    @property
    def names(self) -> list[str]:
        """The model as tables of curves and comparisons call it: its name, and name+recalibration."""
        return [self.model, *(f"{self.model}+{r}" for r in self.variants if r != "none")]

    def rows(self, table: str) -> pd.DataFrame:
        """Rows of a table that are of this model, in all its recalibrations."""
        if table not in self._rows:
            frame = self.view.table(table)
            self._rows[table] = frame[frame["model"].isin(self.names)].reset_index(drop=True)
        return self._rows[table]

    def metric(self, name: str, cohort_id: str | None = None, recalibration: str | None = None, **more: Any) -> Any:
        """The stored row of an estimate of this model, None where there is none."""
        return self.view.metric(name, self.model, cohort_id, recalibration, **more)

    @cached_property
    def dropped_inputs(self) -> list[str]:
        """Inputs that no training patient had: the model was offered them and does not use them."""
        fitted = self.bundle.content.get("fitted") or {}
        state = fitted.get("preprocessor") or {}
        return [str(name) for name in state.get("dropped_") or []]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Fair predictions of this model: a row a patient, repeats averaged."""
        frame = self.view.predictions
        return frame[frame["model"] == self.model]

    @cached_property
    def n_abstained(self) -> int:
        """Patients whom the model did not score."""
        frame = self.view.table("predictions")
        frame = frame[(frame["model"] == self.model) & frame["abstained"]]
        return int(frame["patient_id"].nunique())

    @cached_property
    def verdict(self) -> Verdict:
        """The run's question and this model's answer, in sentences."""
        return verdict(self.view)

    @cached_property
    def code(self) -> dict[str, Any]:
        """Commit, state of the tree and digests; {} for a run from before they were recorded."""
        return dict(self.view.manifest.get("code") or {})

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Interpreter, platform and packages; {} where not recorded."""
        return dict(self.view.manifest.get("environment") or {})

    def input_labels(self, names: Any) -> str:
        """Inputs as readers know them, separated by commas."""
        return ", ".join(label(n) for n in names)
