"""Where MLflow is, and what is set before it starts: addresses, environment, requirements (no mlflow)."""

from __future__ import annotations

import contextlib
import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

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
        # after 0, 4 and 8 s: a server that is being started again is waited for, one that is gone is told soon
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
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
    if tracking_uri and secrets_in(uri):
        raise ConfigError(
            "tracking.tracking_uri holds a password, which would be stored with every run. Leave it "
            "empty and set MLFLOW_TRACKING_URI, or for a server MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).expanduser().absolute()
        return f"sqlite:///{path}"
    return uri


#: Keys of an address's query that hold secrets, as libpq and other drivers name them.
_SECRET_KEYS = ("password", "passwd", "pwd", "sslpassword", "token")
#: Variables of the environment that hold secrets of a store.
_SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")


def without_secrets(uri: str) -> str:
    """An address without user and password, fit for files and messages.

    >>> without_secrets("postgresql://me:secret@db/mlflow?user=me&password=secret&sslmode=require")
    'postgresql://db/mlflow?sslmode=require'
    """
    parts = urlsplit(uri)
    kept = [(k, v) for k, v in parse_qsl(parts.query) if k.lower() not in (*_SECRET_KEYS, "user")]
    if "@" not in parts.netloc and kept == parse_qsl(parts.query):
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(kept)))


def secrets_in(uri: str) -> list[str]:
    """The passwords that an address holds, as written and as meant.

    >>> secrets_in("http://me:p%40ss@host"), secrets_in("http://me@host")
    (['p%40ss', 'p@ss'], [])
    """
    parts = urlsplit(uri)
    found = [parts.password] if parts.password else []
    pairs = [pair.partition("=") for pair in parts.query.split("&")]  # as written, parse_qsl gives the meaning only
    found += [value for key, _, value in pairs if key.lower() in _SECRET_KEYS]
    return list(dict.fromkeys(text for secret in found for text in (secret, unquote(secret)) if text))


def scrubbed(text: str, uri: str = "") -> str:
    """A text of another library without the secrets that this process knows, fit for messages, logs and tags.

    >>> scrubbed("no answer from http://me:secret@host:5000/api", "http://me:secret@host:5000")
    'no answer from http://host:5000/api'
    """
    text = re.sub(r"(\w+://)[^/\s]*@", r"\1", text)
    known = [*secrets_in(uri), *(os.environ.get(name, "") for name in _SECRET_VARIABLES)]
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) > 2:  # a shorter one would tear words apart
            text = text.replace(secret, "***")
    return text


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
