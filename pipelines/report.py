"""Report: figures, HTML report, summary and results table; then the sealed run folder below `paths.runs`."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from _stage import entry
from immunocast import __version__
from immunocast.config import frozen_yaml
from immunocast.report.card import write_cards
from immunocast.report.figures import make_figures
from immunocast.report.html import write_report
from immunocast.report.summary import results_table, summary_markdown
from immunocast.report.view import RunView
from immunocast.run_inputs import one_patient
from immunocast.store.code_state import code_state, environment
from immunocast.store.runfolder import RunFolder


def new_run_id(cfg: DictConfig, now: datetime) -> str:
    """Time first, so that run ids sort; the configuration's digest last, so that sweeps do not collide."""
    digest = hashlib.sha256(frozen_yaml(cfg).encode()).hexdigest()[:6]
    members = "+".join(cfg.cohort.get("members") or {})
    name = cfg.cohort.get("name") or members or Path(str(cfg.cohort.get("file"))).stem
    safe = re.sub(r"[^A-Za-z0-9_.]+", "_", name)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z-{safe}-{digest}"


def run(cfg: DictConfig, work: RunFolder, run_id: str | None = None) -> None:
    now = datetime.now(UTC)
    work.write_meta(
        "report",
        run_id=run_id or new_run_id(cfg, now),
        created=now.isoformat(timespec="seconds"),
        immunocast_version=__version__,
        code=code_state(),
        environment=environment(),
    )
    (work.path / "config.yaml").write_text(frozen_yaml(cfg))
    (work.path / "summary.md").write_text(summary_markdown(work))
    results_table(work).to_csv(work.path / "results.csv", index=False)
    view = RunView(work)
    write_report(work, make_figures(work, view), one_patient(work, cfg), view)
    write_cards(work, author=OmegaConf.select(cfg, "card.author"))


def main(cfg: DictConfig) -> None:
    work = RunFolder(Path(cfg.paths.work))
    run(cfg, work)
    sealed = work.seal_copy(Path(cfg.paths.runs) / work.run_id)
    print(f"Run folder: {sealed.path}")


if __name__ == "__main__":
    entry(main)
