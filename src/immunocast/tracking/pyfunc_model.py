"""The MLflow model: a script, which MLflow stores as text and runs when the model is loaded.

Code instead of a pickled object: nothing is unpickled, and the bundle is read by immunocast's own loader with
its allow-list of types. Input is a table with the columns of the signature, numbers as floats
(MLflow refuses integers for them); optional columns may be missing.
Output is `p_response` (missing where the model abstained) and `abstained`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.models.bundle import load_bundle


class ResponsePyfunc(PythonModel):
    """Predicts the probability of response with a bundle of immunocast."""

    def load_context(self, context: Any) -> None:
        """Read the bundle that was stored with the model."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict.

        Parameters
        ----------
        context : given by MLflow, not used.
        model_input : one row a patient, columns named as in the signature.
        params : given by MLflow, not used.

        Returns
        -------
        Frame with the same index: p_response (0-1 or NaN), abstained.
        """
        frame = pd.DataFrame(index=model_input.index)
        for name in self.bundle.spec.columns:
            column = VOCABULARY.get(name)
            text = column is not None and column.kind in ("category", "text")
            values = model_input[name] if name in model_input else pd.Series(np.nan, index=frame.index)
            frame[name] = values.astype("str" if text else "float64")
        p = np.asarray(self.bundle.predict_proba(frame), dtype="float64")[:, 1]
        return pd.DataFrame({"p_response": p, "abstained": np.isnan(p)}, index=model_input.index)


mlflow.models.set_model(ResponsePyfunc())
