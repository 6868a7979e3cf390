"""A run folder as explanation sees it: from the configuration that the run froze, or from the one at hand."""

from __future__ import annotations

import yaml
from omegaconf import DictConfig, OmegaConf

from immunocast.config import build, build_oriented, endpoint_of
from immunocast.errors import NotFoundError
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.patient import explain_patient
from immunocast.explain.patient_parts import PatientExplanation
from immunocast.models.bundle import load_bundle
from immunocast.models.recalibrators_file import load_recalibrators
from immunocast.report.patients import ExplainOne
from immunocast.store.runfolder import RunFolder
from immunocast.validation.controls_run import tuned_parameters

#: Tables of a run that the explanation of one patient is made of, beside `ExplainInputs`.
PATIENT_TABLES = ("shap", "stability", "conformal")


def explain_inputs(run: RunFolder, cfg: DictConfig | None = None) -> ExplainInputs:
    """What explanation sees of a run.

    Parameters
    ----------
    run : run folder whose stages up to `explain` are done.
    cfg : the run's configuration; None for the one that it froze.

    Raises
    ------
    NotFoundError
        Where the folder has no configuration, or lacks a table.
    ConfigError
        Where this version of immunocast cannot build what the run was configured with.
    """
    cfg = _frozen(run) if cfg is None else cfg
    cohort, endpoint = run.table("cohort"), endpoint_of(cfg)
    return ExplainInputs(
        cohort=cohort,
        y=endpoint.label(cohort).y,
        scheme=build(cfg.validation, "validation"),
        scheme_name=run.manifest()["scheme"],
        endpoint=endpoint.name,
        models=build_oriented(cfg).models,
        predictions=run.table("predictions"),
        load_model=lambda model, fold: load_bundle(run.bundle_path(model, fold)),
        load_recalibrators=lambda model, fold: load_recalibrators(run.bundle_path(model, fold)),
        tuned=tuned_parameters(run.table("tuning")),
        truth=run.table("truth"),
        truth_features=run.table("truth_features"),
    )


def one_patient(run: RunFolder, cfg: DictConfig | None = None) -> ExplainOne | None:
    """Explains a patient from the fold bundles; None where the run explains no model.

    Parameters
    ----------
    run, cfg : see `explain_inputs`.
    """
    tables = {name: run.table(name) for name in PATIENT_TABLES if run.has_table(name)}
    if "shap" not in tables or tables["shap"].empty:
        return None
    inputs = explain_inputs(run, cfg)

    def explain(patient_id: str, model: str, repeat: int) -> PatientExplanation:
        return explain_patient(inputs, tables, patient_id, model, repeat=repeat)

    return explain


def _frozen(run: RunFolder) -> DictConfig:
    path = run.path / "config.yaml"
    if not path.is_file():
        raise NotFoundError(f"{run.path} has no config.yaml: the stage `report` has not run.")
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    plain.pop("cohort", None)  # its table is read, not its source; headers of the source may hold `${`
    cfg = OmegaConf.create(plain)
    assert isinstance(cfg, DictConfig)
    return cfg
