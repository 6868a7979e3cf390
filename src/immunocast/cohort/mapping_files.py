"""Column mappings in files: the cohort configurations themselves, read without Hydra, e.g. to score new patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping import parse_mapping
from immunocast.errors import ConfigError, NotFoundError

#: `_target_` of the configurations that hold a mapping.
TARGET = "immunocast.cohort.tabular.TabularCohort"


class _UniqueKeys(yaml.SafeLoader):
    """A key that is there twice is a slip, which YAML itself would hide by taking the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a single value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_mapping(name_or_path: str | Path, search_dir: Path) -> dict[str, Any]:
    """Read a mapping from a cohort configuration.

    Parameters
    ----------
    name_or_path : name of a YAML file in `search_dir`, e.g. "loris", or a path to one.
    search_dir : the folder of the cohort configurations.

    Returns
    -------
    The keys of the file, checked by `parse_mapping`; Hydra's own keys are left out. Values that Hydra would
    fill in (`${...}`) stay as they are: a mapping has none among the keys that matter here.

    Raises
    ------
    NotFoundError
        Where there is no such file; lists the mappings that are there.
    ConfigError
        Where the file is no mapping.
    """
    text = str(name_or_path)
    is_path = isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text
    path = Path(text) if is_path else search_dir / f"{text}.yaml"
    if not path.is_file():
        there = available_mappings(search_dir)
        hint = did_you_mean(path.stem, there)
        listed = f"Mappings there: {', '.join(there) or 'none'}; or give the path of a YAML file"
        raise NotFoundError(" ".join(x for x in (f"There is no mapping {text!r}.", hint, f"{listed}.") if x))
    content = _read_yaml(path)
    if content.get("_target_", TARGET) != TARGET:
        raise ConfigError(
            f"{path} configures {content['_target_']}, which has no column mapping. "
            f"Mappings there: {', '.join(available_mappings(search_dir))}."
        )
    mapping = {k: v for k, v in content.items() if k not in ("_target_", "_convert_", "_recursive_")}
    try:
        parse_mapping(mapping)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return mapping


def available_mappings(search_dir: Path) -> list[str]:
    """Names of the cohort configurations in a folder that hold a column mapping."""
    names = []
    for path in sorted(search_dir.glob("*.yaml")):
        try:
            if _read_yaml(path).get("_target_") == TARGET:
                names.append(path.stem)
        except ConfigError:
            continue
    return names


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} does not hold a mapping of keys.")
    return content
