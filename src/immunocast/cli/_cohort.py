"""The cohort that a command is asked about: a file, or `cohort=NAME` and other settings as the pipeline takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunocast.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from immunocast.cohort.table import CohortTables


def is_setting(word: str) -> bool:
    """Whether a word of the command line is a setting (KEY=VALUE) and not a file."""
    return "=" in word and not Path(word).exists()


def compose(words: Sequence[str], mapping: str | None = None) -> DictConfig:
    """Compose the configuration from FILE or `cohort=...`, and further settings.

    Parameters
    ----------
    words : at most one file, and any KEY=VALUE, e.g. ["patients.csv"], ["cohort=loris", "endpoint=dcb"].
    mapping : a cohort configuration that maps the file's columns: its name, or the path of a YAML file (what
        `immunocast map` writes); None for the vocabulary's names.

    Raises
    ------
    ConfigError
        For more than one file, a file together with `cohort=`, and settings that do not exist.
    NotFoundError
        Where the file is not there.
    """
    from immunocast.config import check, literal, load_config

    settings = [w for w in words if is_setting(w)]
    files = [w for w in words if not is_setting(w)]
    if len(files) > 1:
        raise ConfigError(f"One file at a time: {', '.join(files)}.")
    if files:
        if any(s.split("=", 1)[0] == "cohort" for s in settings):
            raise ConfigError("Give a file or cohort=NAME, not both; to map a file's columns use --mapping.")
        if any(s.split("=", 1)[0] == "cohort.file" for s in settings):
            raise ConfigError(f"Two files: {files[0]} and cohort.file=. Give one of them.")
        path = Path(files[0]).expanduser().absolute()
        if not path.exists():
            raise NotFoundError(f"There is no file {files[0]}. For a known cohort write cohort={files[0]}.")
        if mapping is not None and (mapping.endswith((".yaml", ".yml")) or "/" in mapping):
            cfg = _with_mapping_file(mapping, path, settings)
        else:
            # set afterwards, not as an override: a path may hold quotes, commas and brackets
            study = mapping is None and path.is_dir()
            cfg = load_config([f"cohort={mapping or ('cbioportal' if study else 'csv')}", *settings])
            if "folder" in cfg.cohort:
                cfg.cohort.folder = literal(str(path))
            else:
                cfg.cohort.file = literal(str(path))
    else:
        cfg = load_config(settings)
    check(cfg)
    return cfg


def _with_mapping_file(mapping: str, path: Path, settings: Sequence[str]) -> DictConfig:
    """The configuration with a cohort from a YAML file that lies in no configuration folder."""
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    from immunocast.cohort.mapping_files import TARGET, load_mapping
    from immunocast.config import conf_dir, literal, load_config

    content = load_mapping(mapping, conf_dir() / "cohort")
    cfg = load_config(["cohort=csv", *(s for s in settings if not s.lstrip("+~").startswith("cohort."))])
    try:
        own = OmegaConf.create(
            {"_target_": TARGET, "_convert_": "all", **_literal_below(content), "file": literal(str(path))}
        )
        of_cohort = [s.lstrip("+").removeprefix("cohort.") for s in settings if s.lstrip("+").startswith("cohort.")]
        with open_dict(cfg):
            cfg.cohort = OmegaConf.merge(own, OmegaConf.from_dotlist(of_cohort))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{mapping}: {str(error).splitlines()[0]}") from None
    return cfg


def _literal_below(content: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose headers and cells are literal; at the top, `data_dir: ${paths.data}` is filled in."""
    from immunocast.config import literal

    return {k: v if isinstance(v, str) else literal(v) for k, v in content.items()}


def load(cfg: DictConfig) -> CohortTables:
    """Read the configured cohort."""
    from immunocast.config import build

    reader: Any = build(cfg.cohort, "cohort")
    return reader.load()
