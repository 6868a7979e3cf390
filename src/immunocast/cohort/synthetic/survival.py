"""Times of synthetic patients: progression, death, follow-up and time on treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunocast.cohort.synthetic.mechanisms import Values
from immunocast.cohort.synthetic.parameters import Parameters
from immunocast.cohort.synthetic.response import tmb_doublings
from immunocast.cohort.synthetic.streams import Streams

WEEKS_A_MONTH = 365.25 / 12 / 7
DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Hazards:
    """(n,) log hazard ratios.

    Attributes
    ----------
    death : of death; progression has them to the power `progression_exponent`.
    resistance : of progression after a response, beside these.
    """

    death: np.ndarray
    resistance: np.ndarray


def log_hazards(
    values: Values, ici: np.ndarray, parameters: Parameters, removed: tuple[str, ...] = (), alike: bool = False
) -> Hazards:
    """Log hazard ratios, centred at albumin 3.85 g/dL, the mean ln NLR, TMB 7 mut/Mb and the mean of mechanisms.

    Parameters
    ----------
    values : output of `draw_patients`.
    ici : (n,) bool, treated with ICI: what the tumour's immunity does counts with ICI only.
    parameters : the numbers of the cohort.
    removed : hazards that are 0: "hazard_tmb", "hazard_t_cells".
    alike : what the tumour's immunity does counts without ICI, too.
    """
    s, c = parameters.raw["survival"], parameters.raw["covariates"]
    log2_nlr = (np.log(values["nlr"]) - c["ln_nlr"]["mean"]) / np.log(2)
    death = (
        np.log(s["hr_log2_nlr"]) * log2_nlr
        + np.log(s["hr_albumin"]) * (values["albumin_g_dl"] - c["albumin_g_dl"]["mean"])
        + np.log(s["hr_antibiotics"]) * values["antibiotics_60d"]
        + np.log(s["hr_stk11"]) * values["stk11_mut"]
    )
    immune = np.zeros(len(death))
    if "hazard_tmb" not in removed:
        immune += np.log(s["ici"]["hr_log2_tmb"]) * tmb_doublings(values["tmb_mut_mb"])
    if "hazard_t_cells" not in removed:
        immune += np.log(s["ici"]["hr_t_cells"]) * values["z_t_cell_inflammation"]
    r = s["resistance"]
    resistance = np.log(r["hr_exhaustion"]) * values["z_exhaustion"] + np.log(r["hr_ap_loss"]) * values["ap_loss"]
    counts = np.ones(len(death)) if alike else ici
    return Hazards(death + counts * immune, counts * resistance)


def _weibull(u: np.ndarray, scale: np.ndarray | float, shape: float, after: float = 0.0) -> np.ndarray:
    """Weibull quantile, given that the time is longer than `after`."""
    return scale * ((after / scale) ** shape - np.log1p(-u)) ** (1 / shape)


def pfs_times(
    responder: np.ndarray, ici: np.ndarray, hazards: Hazards, u: np.ndarray, multiplier: np.ndarray, p: Parameters
) -> np.ndarray:
    """(n,) months to progression or death. A responder has none before the first scan."""
    s = p.raw["survival"]
    hazard = hazards.death * s["progression_exponent"]
    scale, shape = s["responders"]["pfs"]
    duration = np.where(ici, 1.0, s["control_duration"])
    scales = multiplier * scale * duration * np.exp(-(hazard + hazards.resistance) / shape)
    after_response = _weibull(u, scales, shape, s["first_scan_months"])
    scale, shape = s["non_responders"]["pfs"]
    return np.where(responder, after_response, _weibull(u, multiplier * scale * np.exp(-hazard / shape), shape))


def residual_times(responder: np.ndarray, hazards: Hazards, u: np.ndarray, p: Parameters) -> np.ndarray:
    """(n,) months from progression to death, before the type's multiplier."""
    residual = p.raw["survival"]["residual"]

    def one(name: str) -> np.ndarray:
        scale, shape = residual[name]
        return _weibull(u, scale * np.exp(-hazards.death / shape), shape)

    return np.where(responder, one("responders"), one("non_responders"))


def follow_up(values: Values, draws: Streams, parameters: Parameters) -> np.ndarray:
    """(n,) months to the data cut or the loss to follow-up, whichever is first."""
    s = parameters.raw["survival"]
    to_data_cut = 12 * (s["data_cut_year"] - values["treatment_start_year"] - draws.uniform("start_day"))
    lost = s["loss_earliest_months"] - s["loss_mean_months"] * np.log1p(-draws.uniform("loss"))
    return np.minimum(to_data_cut, lost)


def on_treatment(pfs: np.ndarray, ici: np.ndarray, draws: Streams, parameters: Parameters) -> np.ndarray:
    """(n,) months to the end of treatment by progression or plan; toxicity may end it earlier."""
    e = parameters.raw["exposure"]
    z = draws.normal("planned_stop")
    stop = np.where(
        ici, e["ici"]["stop_months"] + e["ici"]["sd"] * z, e["control"]["stop_months"] + e["control"]["sd"] * z
    )
    return np.minimum(pfs, np.maximum(stop, 0.5))
