"""Explain: out-of-fold SHAP values from the stored fold bundles, and what they are worth. Writes schemas_explain."""

from omegaconf import DictConfig
from rich.markup import escape

from _stage import console, stage
from immunocast.config import build, build_oriented, endpoint_of, frozen
from immunocast.explain.explain_run import run_explain
from immunocast.explain.inputs import ExplainInputs
from immunocast.explain.interaction_tables import interaction_notes
from immunocast.explain.plan import explanation_notes
from immunocast.explain.stability_run import stability_notes
from immunocast.models.bundle import load_bundle
from immunocast.models.recalibrators_file import load_recalibrators
from immunocast.store.runfolder import RunFolder
from immunocast.validation.controls_run import tuned_parameters


def run(cfg: DictConfig, work: RunFolder) -> None:
    cohort, endpoint = work.table("cohort"), endpoint_of(cfg)
    inputs = ExplainInputs(
        cohort=cohort,
        y=endpoint.label(cohort).y,
        scheme=build(cfg.validation, "validation"),
        scheme_name=work.manifest()["scheme"],
        endpoint=endpoint.name,
        models=build_oriented(cfg).models,
        predictions=work.table("predictions"),
        load_model=lambda model, fold: load_bundle(work.bundle_path(model, fold)),
        load_recalibrators=lambda model, fold: load_recalibrators(work.bundle_path(model, fold)),
        tuned=tuned_parameters(work.table("tuning")),
        truth=work.table("truth"),
        truth_features=work.table("truth_features"),
    )
    settings = frozen(cfg)["explain"]
    tables = run_explain(inputs, settings, seed=cfg.seed, engine=build(cfg.engine, "engine"))
    for name, table in tables.items():
        work.write_table(name, table)
    notes = explanation_notes(inputs, settings["fallback"], tables["shap"])
    notes += interaction_notes(inputs, settings["interactions"]["models"], tables["interactions"])
    notes += stability_notes(inputs, tables["shap"], settings)
    for note in notes:
        console.print(f"[bold yellow]Explanation:[/] {escape(note)}", soft_wrap=True)
    work.write_meta("explain", explanation_notes=notes)


if __name__ == "__main__":
    stage(run)
