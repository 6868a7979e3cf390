"""Where MLflow is, and what is set before it starts: addresses, environment, requirements (no mlflow)."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from immunocast.errors import ConfigError


def prepare_environment() -> None:
    """Start-up of MLflow: no telemetry, no progress bars, and an unreachable server is told within seconds.

    Only sets what the environment leaves open. Called before mlflow is imported, which reads some of these
    once.
    """
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)


def resolve_uri(tracking_uri: str | None) -> str:
    """The address to use: absolute, without a password unless it comes from the environment.

    None means MLFLOW_TRACKING_URI, and where that is not set, `mlflow.db` in the current folder.

    >>> resolve_uri("sqlite:////data/mlflow.db")
    'sqlite:////data/mlflow.db'
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if "://" not in uri or uri.startswith("file:"):
        raise ConfigError(
            f"tracking.tracking_uri {uri!r} is a folder, which MLflow no longer uses as a store. "
            f"Use a SQLite file: sqlite:///{Path(uri.removeprefix('file://')).absolute() / 'mlflow.db'}"
        )
    if tracking_uri and urlsplit(uri).password:
        raise ConfigError(
            "tracking.tracking_uri holds a password, which would be stored with every run. Leave it "
            "empty and set MLFLOW_TRACKING_URI, or for a server MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).expanduser().absolute()
        return f"sqlite:///{path}"
    return uri


def without_secrets(uri: str) -> str:
    """An address without user and password, fit for files and messages.

    >>> without_secrets("postgresql://me:secret@db/mlflow")
    'postgresql://db/mlflow'
    """
    place = urlsplit(uri).netloc
    return uri.replace(place, place.rpartition("@")[2], 1) if "@" in place else uri


def requirements(bundle: Path) -> list[str]:
    """What a bundle needs to be loaded elsewhere, pinned to what is installed here."""
    names = ["immunocast", "mlflow", "numpy", "pandas", "scikit-learn", "skops"]
    if any(bundle.rglob("*.ubj")):
        names.append("xgboost")
    pinned = []
    for name in names:
        for distribution in (name, f"{name}-cpu"):
            with contextlib.suppress(PackageNotFoundError):
                pinned.append(f"{distribution}=={version(distribution)}")
                break
    return pinned


def first_line(error: BaseException) -> str:
    """The first line of an error's message, and the next where the first only announces it."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
