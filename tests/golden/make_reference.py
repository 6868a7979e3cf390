# /// script
# requires-python = ">=3.12"
# dependencies = ["dcurves==1.1.7", "lifelines==0.30.0", "scikit-learn==1.9.1", "scikit-survival==0.28.0"]
# ///
"""Write the reference values that other Python programs give for patients.csv: decision.json, survival_python.json.

dcurves is not among this project's packages, so the script brings its own:

    uv run --no-project tests/golden/make_reference.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from dcurves import dca
from lifelines import CoxPHFitter
from sklearn.isotonic import IsotonicRegression
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.util import Surv

HERE = Path(__file__).parent
THRESHOLDS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
MONTHS = [6.0, 12.0, 18.0]


def write(name: str, programs: list[str], values: dict) -> None:
    head = {"made_by": "make_reference.py", "programs": {p: version(p) for p in programs}}
    (HERE / name).write_text(json.dumps(head | values, indent=1) + "\n")


def decision(patients: pd.DataFrame) -> dict:
    """Net benefit of both models, of treating all and of treating none; p >= threshold is treated."""
    found = dca(
        data=patients[["y", "p_first", "p_second"]],
        outcome="y",
        modelnames=["p_first", "p_second"],
        thresholds=THRESHOLDS,
    )
    curves = {
        str(model): [float(part.loc[np.isclose(part["threshold"], t), "net_benefit"].iloc[0]) for t in THRESHOLDS]
        for model, part in found.groupby("model")
    }
    return {"n": len(patients), "events": int(patients["y"].sum()), "net_benefit": curves}


def survival(patients: pd.DataFrame) -> dict:
    """Concordance, AUC over time and Brier scores; censoring weights from the same patients."""
    y = Surv.from_arrays(patients["event"].astype(bool), patients["time_months"])
    risk = patients["risk"].to_numpy()
    predicted = patients[[f"survival_{m:.0f}" for m in MONTHS]].to_numpy()
    auc, mean_auc = cumulative_dynamic_auc(y, y, risk, MONTHS)
    return {
        "months": MONTHS,
        "harrell": float(concordance_index_censored(patients["event"].astype(bool), patients["time_months"], risk)[0]),
        "uno_until_18": float(concordance_index_ipcw(y, y, risk, tau=18.0)[0]),
        "auc": auc.tolist(),
        "mean_auc": float(mean_auc),
        "brier": brier_score(y, y, predicted, MONTHS)[1].tolist(),
        "integrated_brier": float(integrated_brier_score(y, y, predicted, MONTHS)),
    }


def cox(patients: pd.DataFrame) -> dict:
    """Hazard ratio of the risk; lifelines treats ties by Efron."""
    fitted = CoxPHFitter().fit(patients[["time_months", "event", "risk"]], "time_months", "event")
    return {"coefficient": float(fitted.params_["risk"]), "se": float(fitted.standard_errors_["risk"])}


def isotonic(patients: pd.DataFrame) -> dict:
    fitted = IsotonicRegression(out_of_bounds="clip").fit(patients["p_first"], patients["y"])
    grid = np.round(np.linspace(0, 1, 21), 2)
    return {"grid": grid.tolist(), "value": fitted.predict(grid).tolist()}


if __name__ == "__main__":
    table = pd.read_csv(HERE / "patients.csv")
    places = {"all": table} | {str(name): part for name, part in table.groupby("cohort_id")}
    write(
        "decision.json",
        ["dcurves", "pandas"],
        {"thresholds": THRESHOLDS, "places": {k: decision(d) for k, d in places.items()}},
    )
    write(
        "survival_python.json",
        ["scikit-survival", "lifelines", "scikit-learn"],
        {
            "places": {k: survival(places[k]) for k in ("all", "north", "south")},
            "cox": cox(table),
            "isotonic": isotonic(table),
        },
    )
