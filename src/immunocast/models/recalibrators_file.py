"""recalibrators.json: the recalibrators of a bundle, beside it and apart from it. The model's own output stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from immunocast.errors import ConfigError, DataError
from immunocast.models.recalibration import Recalibrator, recalibrator_from_dict

FORMAT = 1
NAME = "recalibrators.json"


def save_recalibrators(recalibrators: Mapping[str, Recalibrator], folder: Path) -> Path:
    """Write the recalibrators of a fitted model into its bundle's folder.

    Parameters
    ----------
    recalibrators : name -> fitted recalibrator.
    folder : of the bundle.
    """
    content = {"format": FORMAT, "recalibrators": {name: r.to_dict() for name, r in sorted(recalibrators.items())}}
    path = folder / NAME
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def load_recalibrators(folder: Path) -> dict[str, Recalibrator]:
    """The recalibrators beside a bundle, by name; {} where there are none, as in older runs.

    Raises
    ------
    ConfigError
        Where the file was written by a newer format, or is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
        newer = content["format"] > FORMAT
        found = {} if newer else {str(k): recalibrator_from_dict(v) for k, v in content["recalibrators"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, DataError) as error:
        raise ConfigError(f"{path} is damaged or was not written by immunocast. Train the model again.") from error
    if newer:
        raise ConfigError(f"{path} has format {content['format']!r}; this immunocast reads up to {FORMAT}. Update it.")
    return found
