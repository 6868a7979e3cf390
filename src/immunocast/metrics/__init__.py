"""Metrics of predicted probabilities: arrays in, numbers out; no metric sees a model.

Discrimination: `auroc`, `auprc`, `roc_points`, and DeLong's `delong_variance`, `delong_interval`,
`delong_difference`. Accuracy: `brier`, `scaled_brier`. Calibration: `calibration_intercept`, `calibration_slope`,
`oe_ratio`, `ici`, `calibration_bins`, `Smoother`. Utility: `net_benefit`, `net_benefit_treat_all`,
`net_benefit_treat_none`. Survival: `kaplan_meier`, `logrank`, `cox`, `c_harrell`, `c_uno`, `td_auc`, `brier_survival`,
`integrated_brier`. Uncertainty: `bootstrap`, over `person_weights`. Over groups: `random_effects`, `shrink`. Many
tests: `holm`, `corrected_t`. `METRICS` lists what evaluation computes; a new metric is one line there.
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
from immunocast.metrics._cox import CoxFit, SurvivalLink, cox, survival_link
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
from immunocast.metrics._kaplan_meier import KaplanMeier, kaplan_meier
from immunocast.metrics._logrank import LogRank, logrank
from immunocast.metrics._meta import RandomEffects, hanley_mcneil_variance, random_effects, shrink, tau_weights
from immunocast.metrics._multiplicity import corrected_t, holm
from immunocast.metrics._resampling import blocks, bootstrap_p, percentile_interval, person_weights
from immunocast.metrics._smooth import Smoother, ici
from immunocast.metrics._survival import (
    SurvivalForecast,
    SurvivalSample,
    brier_survival,
    c_harrell,
    c_uno,
    integrated_brier,
    td_auc,
)
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
    "CoxFit",
    "Difference",
    "Estimate",
    "FloatArray",
    "Influence",
    "IntArray",
    "KaplanMeier",
    "LogRank",
    "Metric",
    "RandomEffects",
    "Smoother",
    "SurvivalForecast",
    "SurvivalLink",
    "SurvivalSample",
    "auprc",
    "auroc",
    "auroc_influence",
    "auroc_interval",
    "binary_outcome",
    "blocks",
    "bootstrap",
    "bootstrap_p",
    "brier",
    "brier_survival",
    "c_harrell",
    "c_uno",
    "calibration_bins",
    "calibration_intercept",
    "calibration_slope",
    "corrected_t",
    "cox",
    "delong_difference",
    "delong_interval",
    "delong_variance",
    "get_metric",
    "hanley_mcneil_variance",
    "holm",
    "ici",
    "influence_difference",
    "influence_variance",
    "integrated_brier",
    "kaplan_meier",
    "logit",
    "logrank",
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
    "survival_link",
    "tau_weights",
    "td_auc",
    "wilson_interval",
]
