"""Metrics of predicted probabilities: arrays in, numbers out; no metric sees a model.

Discrimination: `auroc`, `auprc`, `roc_points`, and DeLong's `delong_variance`, `delong_interval`,
`delong_difference`. Accuracy: `brier`, `scaled_brier`. Calibration: `calibration_intercept`, `calibration_slope`,
`oe_ratio`, `ici`, `calibration_bins`, `Smoother`. Utility: `net_benefit`, `net_benefit_treat_all`,
`net_benefit_treat_none`.
Uncertainty: `bootstrap`, over `person_weights`. Over groups: `random_effects`, `shrink`. Many tests: `holm`,
`corrected_t`. `METRICS` lists what evaluation computes; a new metric is one line there.
"""

from immunocast.metrics._accuracy import brier, scaled_brier
from immunocast.metrics._arrays import LOGIT_EPS, FloatArray, IntArray, binary_outcome, logit
from immunocast.metrics._calibration import (
    CalibrationBins,
    calibration_bins,
    calibration_intercept,
    calibration_slope,
    oe_ratio,
    wilson_interval,
)
from immunocast.metrics._catalogue import (
    METRICS,
    Estimate,
    Metric,
    bootstrap,
    get_metric,
    quotient,
    resampled_fits,
    resampled_parts,
)
from immunocast.metrics._delong import (
    Difference,
    Influence,
    auroc_influence,
    auroc_interval,
    delong_difference,
    delong_interval,
    delong_variance,
    influence_difference,
    influence_variance,
    stratified,
)
from immunocast.metrics._discrimination import auprc, auroc, mean_roc, roc_points
from immunocast.metrics._meta import RandomEffects, hanley_mcneil_variance, random_effects, shrink, tau_weights
from immunocast.metrics._multiplicity import corrected_t, holm
from immunocast.metrics._resampling import blocks, bootstrap_p, percentile_interval, person_weights
from immunocast.metrics._smooth import Smoother, ici
from immunocast.metrics._utility import (
    net_benefit,
    net_benefit_curve_parts,
    net_benefit_treat_all,
    net_benefit_treat_none,
)

__all__ = [
    "LOGIT_EPS",
    "METRICS",
    "CalibrationBins",
    "Difference",
    "Estimate",
    "FloatArray",
    "Influence",
    "IntArray",
    "Metric",
    "RandomEffects",
    "Smoother",
    "auprc",
    "auroc",
    "auroc_influence",
    "auroc_interval",
    "binary_outcome",
    "blocks",
    "bootstrap",
    "bootstrap_p",
    "brier",
    "calibration_bins",
    "calibration_intercept",
    "calibration_slope",
    "corrected_t",
    "delong_difference",
    "delong_interval",
    "delong_variance",
    "get_metric",
    "hanley_mcneil_variance",
    "holm",
    "ici",
    "influence_difference",
    "influence_variance",
    "logit",
    "mean_roc",
    "net_benefit",
    "net_benefit_curve_parts",
    "net_benefit_treat_all",
    "net_benefit_treat_none",
    "oe_ratio",
    "percentile_interval",
    "person_weights",
    "quotient",
    "random_effects",
    "resampled_fits",
    "resampled_parts",
    "roc_points",
    "scaled_brier",
    "shrink",
    "stratified",
    "tau_weights",
    "wilson_interval",
]
