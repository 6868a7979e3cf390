"""Publish: the sealed run folder to MLflow. Repeating it changes nothing; a broken publication is completed."""

from pathlib import Path

from omegaconf import DictConfig

from _stage import entry
from immunocast.config import build
from immunocast.errors import ConfigError
from immunocast.store.runfolder import RunFolder, find_run
from immunocast.tracking.publish import publish


def main(cfg: DictConfig) -> None:
    if not cfg.tracking:
        raise ConfigError("tracking=none publishes nothing. Choose a store, e.g. tracking=sqlite.")
    work = RunFolder(Path(cfg.paths.work))
    runs = Path(cfg.paths.runs)
    if not (runs / work.run_id).exists():  # the tables came from DVC's cache: make the run folder again
        work.seal_copy(runs / work.run_id)
    published = publish(find_run(runs, work.run_id), build(cfg.tracking, "tracking"))
    print(published.message())


if __name__ == "__main__":
    entry(main)
