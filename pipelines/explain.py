"""Explain: out-of-fold SHAP values from the stored fold bundles, and what they are worth. Writes schemas_explain."""

from omegaconf import DictConfig
from rich.markup import escape

from _stage import console, stage
from immunocast.config import build, frozen
from immunocast.explain.explain_run import run_explain
from immunocast.explain.interaction_tables import interaction_notes
from immunocast.explain.plan import explanation_notes
from immunocast.explain.stability_run import stability_notes
from immunocast.run_inputs import explain_inputs
from immunocast.store.runfolder import RunFolder


def run(cfg: DictConfig, work: RunFolder) -> None:
    inputs = explain_inputs(work, cfg)
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
