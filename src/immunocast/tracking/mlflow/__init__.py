"""All that imports mlflow (and `pyfunc_model`, which MLflow itself runs).

The import takes seconds, so it waits until a Tracker connects. Nothing global is set: no tracking URI, no
active run.
"""

from immunocast.tracking.mlflow.tracker import ERROR, PROCESS, RunHandle, Tracker

__all__ = ["ERROR", "PROCESS", "RunHandle", "Tracker"]
