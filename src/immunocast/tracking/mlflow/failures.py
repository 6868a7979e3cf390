"""What went wrong in a store, in words that lead to the mend. MLflow's own say which call failed, and little else."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from immunocast.tracking.address import first_line, scrubbed

#: Errors of these libraries mean that the store failed; others are defects and keep their traceback.
_STORE_LIBRARIES = (
    "mlflow",
    "sqlalchemy",
    "sqlite3",
    "requests",
    "urllib3",
    "psycopg2",
    "psycopg",
    "boto3",
    "botocore",
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Failure:
    """What happened and what to do, each a sentence or two without secrets."""

    said: str
    mend: str

    def __str__(self) -> str:
        return f"{self.said}. {self.mend}"


def understand(error: BaseException, uri: str, experiment: str) -> Failure | None:
    """Say in words what an error of a store means; None for what is no error of a store.

    Parameters
    ----------
    error : what was raised by a call to the store at `uri`.
    uri : its address, with secrets: they are taken out of every text.
    experiment : name of the experiment that was written to.
    """
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return _of_files(error)
    if type(error).__module__.partition(".")[0] not in _STORE_LIBRARIES:
        return None
    text, code = str(error), _status(error)
    said = scrubbed(first_line(error), uri).rstrip(".")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or urlsplit(uri).username
    # first, since the text holds the whole statement, in which other words may stand
    if "disk is full" in text or "disk I/O error" in text:
        return Failure("the disk of the database is full", "Make room there")
    if "database is locked" in text:
        return Failure("others write to the database without a pause", "Try again; a team is better off with a server")
    if "readonly database" in text:
        return Failure("the database may not be written by this user", "Give the file and its folder write permission")
    if code == 401 or "password authentication failed" in text or "no password supplied" in text:
        return _refused(user, uri)
    if code == 403:
        place = f"the experiment {experiment!r}"
        if re.search(r"model-versions|registered-models", text):
            place = "the registered model"
        return Failure(
            f"the user {user!r} has no permission to write into {place}",
            f"Whoever manages {place} must give EDIT (docs/servers.md)",
        )
    if code == 413:
        return Failure("the server refuses a file as too large", "Raise the limit of the proxy before it")
    if "must be in the 'active' state" in text:
        return Failure(
            f"the experiment {experiment!r}, or the run in it, was deleted meanwhile",
            "Restore it (mlflow experiments restore, mlflow runs restore), or name another one in tracking.experiment",
        )
    if "Max retries exceeded" in text and "error responses" in text:
        found = re.search(r"too many (\d{3}) error responses", text)
        return Failure(
            f"the server answers with error {found[1] if found else 'after error'}, again and again",
            "Its own log says why; often the disk of its artifacts or its database is full, or the database is gone",
        )
    if re.search(
        r"Max retries exceeded|Connection aborted|RemoteDisconnected|Connection reset|Connection refused", text
    ):
        return Failure("the server does not answer any more", "See whether it runs")
    if re.search(r"server closed the connection|could not connect|connection to server|terminating connection", text):
        return Failure("the database does not answer any more", "See whether it runs")
    if "timeout exception" in text or "timed out" in text:
        return Failure(
            "the server took too long to answer",
            "MLFLOW_HTTP_REQUEST_TIMEOUT (seconds; 120) is how long it is waited for",
        )
    if "database schema" in text:
        return Failure(said, "Upgrade its tables: mlflow db upgrade ADDRESS")
    return Failure(said, "Check tracking.tracking_uri")


def _refused(user: str | None, uri: str) -> Failure:
    if uri.startswith("http"):
        names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        missing = not (user and (os.environ.get("MLFLOW_TRACKING_PASSWORD") or urlsplit(uri).password))
    else:
        names = "PGUSER and PGPASSWORD, or the whole address in MLFLOW_TRACKING_URI,"
        missing = not (os.environ.get("PGPASSWORD") or urlsplit(uri).password)
    if missing and not os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return Failure("it asks for a user and a password", f"Set {names} in the environment")
    return Failure(f"it refuses the user {user!r}: wrong name or password", f"Correct {names} in the environment")


def _of_files(error: OSError) -> Failure | None:
    if isinstance(error, ConnectionError | TimeoutError):
        return Failure(f"the connection was lost ({first_line(error)})", "See whether the server runs")
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in _FULL:
        return Failure(
            f"no room{where}: {error.strerror}", "Make room there, or choose another place for the artifacts"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Failure(f"not writable{where}: {error.strerror}", "Give this user write permission there")
    return Failure(f"{error.strerror or first_line(error)}{where}", "Check the place of the artifacts")


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, where one can be told."""
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    codes = {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403}
    found = re.search(r"failed with error code (\d{3})", str(error))
    return codes.get(str(getattr(error, "error_code", ""))) or (int(found[1]) if found else None)
