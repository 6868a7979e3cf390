"""Write patients.csv: made-up patients on which the reference programs of this folder and our code are compared.

Nobody in it exists. It has what real tables have and formulas stumble over: tied predictions, tied times, censoring,
three cohorts of different size and response rate, and persons who are in two cohorts.

    python tests/golden/make_patients.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

SIZES = {"north": 120, "south": 80, "west": 40}
SHIFTS = {"north": 0.0, "south": 0.5, "west": -0.4}


def patients(seed: int = 20260) -> pd.DataFrame:
    """240 patients: outcome `y`, predictions of two models, time to event, risk and predicted survival."""
    rng = np.random.default_rng(seed)
    cohort = np.repeat(list(SIZES), list(SIZES.values()))
    n = len(cohort)
    shift = np.array([SHIFTS[name] for name in cohort])
    signal, noise = rng.normal(size=n), rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(0.9 - shift - 1.1 * signal))).astype(int)
    # too extreme and too high, so that recalibration has something to do; two digits give ties
    first = 1 / (1 + np.exp(0.4 - 1.6 * signal - 0.5 * noise))
    second = 1 / (1 + np.exp(1.0 - 0.4 * signal - 0.6 * rng.normal(size=n)))
    risk = np.round(-0.8 * signal + 0.3 * noise, 1)
    # a Weibull with proportional hazards in the signal, half months give tied times
    died = 12 * (-np.log(rng.random(n)) * np.exp(0.7 * signal)) ** (1 / 1.2)
    censored = rng.uniform(2, 36, n)
    time = np.maximum(np.ceil(np.minimum(died, censored) * 2) / 2, 0.5)
    person = np.array([f"person-{i:03d}" for i in range(n)])
    person[-10:] = person[:10]
    return pd.DataFrame(
        {
            "patient_id": [f"made-up-{i:03d}" for i in range(n)],
            "person_id": person,
            "cohort_id": cohort,
            "y": y,
            "p_first": np.clip(np.round(first, 2), 0.01, 0.99),
            "p_second": np.clip(np.round(second, 2), 0.01, 0.99),
            "time_months": time,
            "event": (died <= censored).astype(int),
            "risk": risk,
            "arm": rng.integers(0, 2, n),
            "survival_6": np.round(np.exp(-((6 / 12) ** 1.2) * np.exp(0.9 * risk)), 3),
            "survival_12": np.round(np.exp(-np.exp(0.9 * risk)), 3),
            "survival_18": np.round(np.exp(-((18 / 12) ** 1.2) * np.exp(0.9 * risk)), 3),
        }
    )


if __name__ == "__main__":
    patients().to_csv(Path(__file__).with_name("patients.csv"), index=False)
