"""The tables that pass between stages: one pandera schema each, long format, one meaning a row.

`TABLES` is the catalogue that the writer validates against, that `immunocast tables` prints and that the
SQL door opens. Column order is part of the schema, so that equal content gives equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pandera.pandas as pa

from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.cohort.vocabulary import FEATURES, label

_TEXT, _FLOAT, _INT, _BOOL = "str", "float64", "int64", "bool"


@dataclass(frozen=True)
class Table:
    """A table of a run: its schema, what a row is, what each column means, and the order of its rows."""

    name: str
    row_is: str
    schema: pa.DataFrameSchema
    columns: dict[str, str]
    sort_by: tuple[str, ...]


def _table(
    name: str,
    row_is: str,
    columns: dict[str, tuple[str, bool, str]],
    sort_by: tuple[str, ...] = (),
    extra: dict[str, pa.Column] | None = None,
    unique: list[str] | None = None,
) -> Table:
    schema = pa.DataFrameSchema(
        {
            c: pa.Column(dtype, nullable=nullable, description=meaning)
            for c, (dtype, nullable, meaning) in columns.items()
        }
        | (extra or {}),
        strict=True,
        coerce=True,
        unique=unique,
        name=name,
    )
    return Table(name, row_is, schema, {c: meaning for c, (_, _, meaning) in columns.items()}, sort_by)


_IDS = {
    "patient_id": (_TEXT, False, "patient within a cohort"),
    "cohort_id": (_TEXT, False, "cohort that the patient belongs to"),
}

_CHECK_COLUMNS: dict[str, tuple[str, bool, str]] = {
    "code": (_TEXT, False, "stable code of the check, e.g. IC-LEAK-001"),
    "severity": (_TEXT, False, "error (stops a run), warning or info"),
    "cohort_id": (_TEXT, True, "cohort concerned, null for all"),
    "column": (_TEXT, True, "column concerned"),
    "n": (_INT, False, "number of patients concerned"),
    "rows": (_TEXT, False, "up to 20 patient ids, separated by ;"),
    "message": (_TEXT, False, "what was found and what it means"),
    "waived_because": (_TEXT, True, "reason given in the configuration for going on"),
}
_CHECK_ORDER = ("severity", "code", "cohort_id", "column", "message")
CHECKS = _table("checks", "a finding of a quality check of the data", _CHECK_COLUMNS, _CHECK_ORDER)
MODEL_CHECKS = _table("model_checks", "a finding of a check of the results", _CHECK_COLUMNS, _CHECK_ORDER)

TRUTH = _table(
    "truth",
    "a synthetic patient (empty for real cohorts); never readable by a model",
    {
        **_IDS,
        "p_response": (_FLOAT, False, "true probability of response with ICI, 0-1"),
        "p_response_control": (_FLOAT, False, "true probability of response without ICI, 0-1"),
        "individual_effect": (_FLOAT, False, "p_response - p_response_control"),
        "planted": (_TEXT, True, "the mistake that the scenario planted into the patient's row, null for none"),
        "shapley_base": (_FLOAT, False, "mean true log-odds of the background; base + shapley_* = logit p_response"),
    },
    sort_by=("patient_id",),
    extra={
        # log-odds with ICI by causal parent; they add up to logit p_response
        r"^effect_.+$": pa.Column(_FLOAT, nullable=True, regex=True, required=False),
        # exact Shapley values of the true log-odds, by feature
        r"^shapley_(?!base$).+$": pa.Column(_FLOAT, nullable=True, regex=True, required=False),
        # mechanisms, true values whether or not they were measured, true times without censoring
        r"^latent_.+$": pa.Column(_FLOAT, nullable=True, regex=True, required=False),
    },
    unique=["patient_id"],
)

TRUTH_FEATURES = _table(
    "truth_features",
    "an outcome and a feature of a synthetic cohort (empty for real cohorts): what is true by construction",
    {
        "outcome": (_TEXT, False, "response, pfs, os, acquired_resistance, irae, irae_grade3"),
        "feature": (_TEXT, False, "feature, by its name in the vocabulary"),
        "mechanism": (_TEXT, True, "latent mechanism that it measures, null for none"),
        "parent_with_ici": (_INT, False, "1 where its true value is a causal parent of the outcome with ICI"),
        "parent_without_ici": (_INT, False, "1 where it is one without ICI"),
        "role": (_TEXT, False, "prognostic (acts alike in both arms), predictive (with ICI only), both, or none"),
    },
    sort_by=("outcome", "feature"),
    unique=["outcome", "feature"],
)

PREDICTIONS = _table(
    "predictions",
    "one out-of-fold or external prediction",
    {
        **_IDS,
        "person_id": (_TEXT, False, "the human being, the unit of resampling"),
        "model": (_TEXT, False, "name of the model"),
        "recalibration": (_TEXT, False, "recalibrator applied to the output, 'none' for the model's own"),
        "scheme": (_TEXT, False, "validation scheme, e.g. leave_one_cohort_out"),
        "repeat": (_INT, False, "repetition of the scheme, from 0"),
        "fold": (_TEXT, False, "fold within the repeat; the held-out cohort's name under LOCO"),
        "endpoint": (_TEXT, False, "endpoint predicted, e.g. response"),
        "y_true": (_INT, False, "1 where the patient has the endpoint, else 0"),
        "p_response": (
            _FLOAT,
            True,
            "predicted probability of the endpoint's event (response or another), null where the model abstained",
        ),
        "abstained": (_BOOL, False, "a required marker was missing"),
        "assays": (
            _TEXT,
            False,
            "blocks of the model's inputs with a measured value in this patient, e.g. 'blood+dna+pdl1'; '' for none",
        ),
        "in_training": (
            _BOOL,
            False,
            "the patient or a linked person helped to fit this model: no performance number may use the row",
        ),
    },
    sort_by=("model", "recalibration", "scheme", "repeat", "fold", "patient_id"),
    unique=["patient_id", "model", "recalibration", "scheme", "repeat"],
)

METRICS = _table(
    "metrics",
    "an estimate",
    {
        "metric": (
            _TEXT,
            False,
            "auroc, auprc, brier, scaled_brier, calibration_intercept, calibration_slope, oe_ratio, ici, net_benefit; "
            "in subgroups also auroc_shrunken, oe_ratio_shrunken; in discordance strata share_discordant, rate_above, "
            "rate_below; of survival, ending in _os or _pfs: c_harrell, c_uno, td_auc, brier, ipa, ibs, scaled_ibs",
        ),
        "model": (_TEXT, False, "name of the model"),
        "recalibration": (_TEXT, False, "recalibrator, 'none' for the model's own output"),
        "scheme": (_TEXT, False, "validation scheme"),
        "endpoint": (_TEXT, False, "endpoint"),
        "cohort_id": (
            _TEXT,
            False,
            "a cohort; 'combined' (per-cohort estimates averaged, or all patients); 'pooled' (secondary)",
        ),
        "subgroup": (_TEXT, False, "variable that defines the subgroup, 'all' for everybody"),
        "level": (_TEXT, False, "level of the subgroup, 'all' for everybody"),
        "threshold_or_horizon": (
            _FLOAT,
            True,
            "probability threshold of a net benefit or rate; months of a survival metric, as clipped to the follow-up; "
            "null elsewhere",
        ),
        "n": (_INT, False, "patients used"),
        "n_events": (_INT, False, "patients with the event among them"),
        "n_abstained": (_INT, False, "patients left out since the model abstained"),
        "estimate": (_FLOAT, True, "point estimate, null where too small or not allowed"),
        "ci_low": (_FLOAT, True, "lower end of the 95 % interval"),
        "ci_high": (_FLOAT, True, "upper end of the 95 % interval"),
        "ci_method": (_TEXT, False, "delong, bootstrap, wilson, empirical_bayes or none"),
        "note": (_TEXT, False, "why an estimate is null, or what to keep in mind"),
    },
    sort_by=(
        "metric",
        "model",
        "recalibration",
        "scheme",
        "cohort_id",
        "subgroup",
        "level",
        "threshold_or_horizon",
    ),
)

COMPARISONS = _table(
    "comparisons",
    "a model against a reference on the same patients",
    {
        "metric": (
            _TEXT,
            False,
            "metric compared; 'auroc_by_fold', 'brier_by_fold': mean over the folds, see ci_method",
        ),
        "model": (_TEXT, False, "model"),
        "reference_model": (_TEXT, False, "what it is compared with"),
        "scheme": (_TEXT, False, "validation scheme"),
        "endpoint": (_TEXT, False, "endpoint"),
        "cohort_id": (_TEXT, False, "a cohort, or 'combined'"),
        "subgroup": (_TEXT, False, "'discordance' inside a discordance stratum, 'all' for everybody"),
        "level": (_TEXT, False, "the stratum, 'all' for everybody"),
        "threshold_or_horizon": (_FLOAT, True, "probability threshold, or limit in months of c_uno; null elsewhere"),
        "n_common": (_INT, False, "patients with a fair prediction from both"),
        "n_events": (_INT, False, "patients with the event among them"),
        "n_lost": (_INT, False, "patients left out: abstained by one, or one was trained on them"),
        "estimate_model": (_FLOAT, True, "the model's value on the common patients"),
        "estimate_reference": (_FLOAT, True, "the reference's value on the common patients"),
        "difference": (_FLOAT, True, "model minus reference"),
        "ci_low": (_FLOAT, True, "lower end of the 95 % interval of the difference"),
        "ci_high": (_FLOAT, True, "upper end"),
        "p": (_FLOAT, True, "two-sided p, not corrected for multiplicity"),
        "p_adjusted": (_FLOAT, True, "p corrected over the models of one metric, reference and cohort (see family)"),
        "family": (_TEXT, False, "which comparisons p_adjusted is corrected over and how, e.g. 'holm over 6 models'"),
        "ci_method": (_TEXT, False, "delong, bootstrap, corrected_t or none"),
        "note": (_TEXT, False, "cohorts left out and why, or 'too small'"),
    },
    sort_by=(
        "metric",
        "model",
        "reference_model",
        "scheme",
        "cohort_id",
        "subgroup",
        "level",
        "threshold_or_horizon",
    ),
)

CURVES = _table(
    "curves",
    "a point of a curve",
    {
        "curve": (
            _TEXT,
            False,
            "roc; calibration (bins); calibration_smooth; decision; decision_difference (net benefit of model minus "
            "that of the strategy in level, on the patients of both); survival_os, survival_pfs (Kaplan-Meier)",
        ),
        "model": (_TEXT, False, "model, 'model+recalibration' where recalibrated; treat_all, treat_none in decision"),
        "scheme": (_TEXT, False, "validation scheme"),
        "cohort_id": (_TEXT, False, "a cohort, or 'combined'"),
        "level": (
            _TEXT,
            False,
            "risk group of a survival curve; treat_all or the reference of a decision_difference; 'all' elsewhere",
        ),
        "x": (_FLOAT, False, "1 - specificity; predicted probability; threshold; months"),
        "y": (_FLOAT, True, "sensitivity; observed rate; net benefit; share without the event"),
        "ci_low": (_FLOAT, True, "lower end of the 95 % interval of y"),
        "ci_high": (_FLOAT, True, "upper end"),
        "n": (_INT, False, "patients behind the point; in survival curves those at risk"),
    },
    sort_by=("curve", "model", "scheme", "cohort_id", "level", "x", "y"),
)

_MODEL = {
    "model": (_TEXT, False, "name of the model"),
    "recalibration": (_TEXT, False, "recalibrator applied to the output, 'none' for the model's own"),
    "scheme": (_TEXT, False, "validation scheme"),
    "endpoint": (_TEXT, False, "endpoint"),
}
_INTERVAL = {
    "estimate": (_FLOAT, True, "point estimate, null where too small or not allowed"),
    "ci_low": (_FLOAT, True, "lower end of the 95 % interval"),
    "ci_high": (_FLOAT, True, "upper end of the 95 % interval"),
}

HETEROGENEITY = _table(
    "heterogeneity",
    "an estimate summarised over the levels of a grouping by random effects, with a test whether they differ",
    {
        "metric": (_TEXT, False, "metric"),
        **_MODEL,
        "grouping": (_TEXT, False, "cohort_id, or a subgroup variable such as tumor_type"),
        "threshold_or_horizon": (_FLOAT, True, "probability threshold of a net benefit; null elsewhere"),
        "n_levels": (_INT, False, "levels that are large enough to enter"),
        "n": (_INT, False, "patients in them"),
        "n_events": (_INT, False, "patients with the event among them"),
        **_INTERVAL,
        "pi_low": (_FLOAT, True, "lower end of the 95 % prediction interval for a new level, e.g. a new hospital"),
        "pi_high": (_FLOAT, True, "upper end of the prediction interval"),
        "tau": (_FLOAT, True, "standard deviation between levels, on the scale named in note"),
        "i2": (_FLOAT, True, "share of the variation between levels that is not chance, 0-1"),
        "q": (_FLOAT, True, "Cochran's Q"),
        "df": (_INT, False, "degrees of freedom of Q"),
        "p": (_FLOAT, True, "p of the test that all levels are alike, not corrected"),
        "p_adjusted": (_FLOAT, True, "p corrected over the groupings of one metric and model (see family)"),
        "family": (_TEXT, False, "which tests p_adjusted is corrected over and how"),
        "note": (_TEXT, False, "scale and method; levels left out and why"),
    },
    sort_by=("metric", "model", "recalibration", "scheme", "grouping", "threshold_or_horizon"),
)

THRESHOLDS = _table(
    "thresholds",
    "a decision threshold that a fold's training patients chose by a stated rule",
    {
        **_MODEL,
        "repeat": (_INT, False, "repetition of the scheme"),
        "fold": (_TEXT, False, "fold whose patients the threshold is for; 'final' for the refit on everybody"),
        "rule": (_TEXT, False, "name of the rule, e.g. youden"),
        "threshold": (_FLOAT, True, "probability from which the model says yes; null where the rule had no answer"),
        "n": (_INT, False, "training patients whose inner out-of-fold predictions chose it"),
        "n_events": (_INT, False, "patients with the event among them"),
        "note": (_TEXT, False, "why there is none, or what to keep in mind"),
    },
    sort_by=("model", "recalibration", "scheme", "rule", "repeat", "fold"),
)

TUNING = _table(
    "tuning",
    "a trial of the inner search for a model's parameters",
    {
        "model": (_TEXT, False, "name of the model"),
        "scheme": (_TEXT, False, "validation scheme"),
        "repeat": (_INT, False, "repetition of the scheme"),
        "fold": (_TEXT, False, "outer fold whose training patients were searched; 'final' for the refit"),
        "trial": (_INT, False, "number of the trial, from 0; 0 tries the configured parameters"),
        "params": (_TEXT, False, "parameters tried, as JSON"),
        "criterion": (_TEXT, False, "what was minimised on inner held-out patients, e.g. log_loss"),
        "value": (_FLOAT, True, "mean over the inner folds, null where the trial failed"),
        "chosen": (_BOOL, False, "the trial whose parameters were used"),
        "note": (_TEXT, False, "why a trial failed"),
    },
    sort_by=("model", "scheme", "repeat", "fold", "trial"),
)

DECISIONS = _table(
    "decisions",
    "a measure of a decision rule: who would be treated by a model's threshold, and what comes of it",
    {
        **_MODEL,
        "cohort_id": (_TEXT, False, "a cohort, or 'combined'"),
        "rule": (
            _TEXT,
            False,
            "rule that chose the threshold on training folds; 'fixed': configured; 'cutoff': the marker's own",
        ),
        "threshold": (_FLOAT, True, "threshold; the median over folds where they differ; null for a marker's cut-off"),
        "metric": (
            _TEXT,
            False,
            "sensitivity, specificity, ppv, npv, share_treated, treated_per_responder, cost_per_responder, net_benefit",
        ),
        "n": (_INT, False, "patients used"),
        "n_events": (_INT, False, "patients with the event among them"),
        "n_positive": (_INT, False, "patients whom the rule would treat"),
        **_INTERVAL,
        "ci_method": (_TEXT, False, "bootstrap, wilson or none"),
        "note": (_TEXT, False, "why an estimate is null; range of the threshold over folds; prices"),
    },
    sort_by=("model", "recalibration", "scheme", "cohort_id", "rule", "threshold", "metric"),
)

RISK_GROUPS = _table(
    "risk_groups",
    "a group of patients by predicted probability, with its survival",
    {
        **_MODEL,
        "cohort_id": (_TEXT, False, "a cohort, or 'combined'"),
        "outcome": (_TEXT, False, "os or pfs"),
        "group": (
            _TEXT,
            False,
            "low, middle or high probability of the endpoint ('all' where a cohort's are equal); irae or no_irae under "
            "the models irae_naive and irae_landmark, which forecast nothing",
        ),
        "n": (_INT, False, "patients"),
        "n_events": (_INT, False, "deaths (os), progressions or deaths (pfs) among them"),
        "median_months": (_FLOAT, True, "Kaplan-Meier median, null where not reached"),
        "ci_low": (_FLOAT, True, "lower end of its 95 % interval"),
        "ci_high": (_FLOAT, True, "upper end, null where not reached"),
        "hazard_ratio": (
            _FLOAT,
            True,
            "Cox hazard ratio to the group of lowest probability (or no_irae), stratified by cohort",
        ),
        "hr_low": (_FLOAT, True, "lower end of its 95 % interval"),
        "hr_high": (_FLOAT, True, "upper end"),
        "logrank_p": (_FLOAT, True, "log-rank test over all groups, stratified by cohort where combined"),
        "note": (_TEXT, False, "how groups were cut, landmark, what was left out"),
    },
    sort_by=("outcome", "model", "recalibration", "scheme", "cohort_id", "group"),
)

CONTROLS = _table(
    "controls",
    "a control of the whole procedure: what it finds where there is nothing to find, and simple references",
    {
        "control": (
            _TEXT,
            False,
            "permuted_labels, null_feature, cohort_orr, events_per_parameter, instability (summary of table stability)",
        ),
        "model": (
            _TEXT,
            False,
            "model under control; 'cohort_orr' predicts each cohort its own event rate, 'training_rate' each fold that "
            "of its training patients",
        ),
        "scheme": (_TEXT, False, "validation scheme"),
        "endpoint": (_TEXT, False, "endpoint"),
        "cohort_id": (_TEXT, False, "a cohort, or 'combined'"),
        "metric": (_TEXT, False, "what is measured, e.g. auroc, importance:nlr, mean_abs_change"),
        "n": (_INT, False, "patients used"),
        "n_events": (_INT, False, "patients with the event among them"),
        "n_repeats": (_INT, False, "permutations, draws or refits; 1 for a plain number"),
        "estimate": (_FLOAT, True, "mean over the draws; median over patients for instability"),
        "low": (_FLOAT, True, "2.5th percentile over the draws (over patients for instability)"),
        "high": (_FLOAT, True, "97.5th percentile"),
        "observed": (_FLOAT, True, "the same of the real run, where there is one to compare"),
        "p": (_FLOAT, True, "share of draws at least as good as observed, (k+1)/(B+1)"),
        "verdict": (_TEXT, False, "passed, suspicious, or none where nothing is judged"),
        "note": (_TEXT, False, "how it was done, and what to keep in mind"),
    },
    sort_by=("control", "model", "scheme", "cohort_id", "metric"),
)

STABILITY = _table(
    "stability",
    "a patient's probability over refits of a model on bootstrap samples of the training patients",
    {
        **_IDS,
        "model": (_TEXT, False, "name of the model"),
        "scheme": (_TEXT, False, "validation scheme"),
        "endpoint": (_TEXT, False, "endpoint"),
        "n_refits": (_INT, False, "refits that predicted the patient, who was in none of their training folds"),
        "p_response": (_FLOAT, False, "prediction of the run itself (mean over repeats)"),
        "p_mean": (_FLOAT, False, "mean over refits"),
        "p_sd": (_FLOAT, False, "standard deviation over refits"),
        "p_low": (_FLOAT, False, "2.5th percentile over refits"),
        "p_high": (_FLOAT, False, "97.5th percentile"),
        "mean_abs_change": (_FLOAT, False, "mean |refit - run|: instability of Riley & Collins 2023"),
    },
    sort_by=("model", "scheme", "cohort_id", "patient_id"),
)

SHAP = _table(
    "shap",
    "a patient under a model that did not train on that patient; a column a feature",
    {
        **_IDS,
        "model": (_TEXT, False, "name of the model"),
        "scheme": (_TEXT, False, "validation scheme"),
        "repeat": (_INT, False, "repetition"),
        "fold": (_TEXT, False, "fold"),
        "endpoint": (_TEXT, False, "endpoint"),
        "output_scale": (
            _TEXT,
            False,
            "scale on which values add up: log-odds, or probability for the forest",
        ),
        "base_value": (_FLOAT, False, "expected output; base_value + sum of the feature columns = output"),
        "output": (_FLOAT, False, "the model's output on output_scale"),
    },
    sort_by=("model", "scheme", "repeat", "fold", "patient_id"),
    extra={
        name: pa.Column(_FLOAT, nullable=True, required=False, description=f"SHAP value of {label(name)}")
        for name in FEATURES
    },
    unique=["patient_id", "model", "scheme", "repeat"],
)

IMPORTANCE = _table(
    "importance",
    "a feature of a model",
    {
        "model": (_TEXT, False, "name of the model"),
        "scheme": (_TEXT, False, "validation scheme"),
        "repeat": (_INT, False, "repetition, -1 for the mean over repeats"),
        "endpoint": (_TEXT, False, "endpoint"),
        "subgroup": (_TEXT, False, "'all', or the variable, e.g. tumor_type"),
        "level": (_TEXT, False, "'all', or its level"),
        "feature": (_TEXT, False, "source feature (one-hot columns are summed back)"),
        "group": (_TEXT, False, "block of the feature: pdl1, dna, rna, blood, clinical"),
        "n": (_INT, False, "patients averaged over"),
        "n_measured": (_INT, False, "of them, patients in whom the feature was measured"),
        "mean_abs_shap": (_FLOAT, False, "mean absolute SHAP value on output_scale"),
        "ci_low": (
            _FLOAT,
            True,
            "lower end of the 95 % bootstrap interval (patients resampled, models fixed)",
        ),
        "ci_high": (_FLOAT, True, "upper end"),
        "rank": (_INT, False, "rank by mean_abs_shap, 1 is largest"),
        "rank_low": (_INT, True, "lower end of the rank's interval"),
        "rank_high": (_INT, True, "upper end"),
        "sign": (_FLOAT, True, "Spearman correlation of value and SHAP; null for categories"),
        "output_scale": (_TEXT, False, "scale of mean_abs_shap"),
    },
    sort_by=("model", "scheme", "repeat", "subgroup", "level", "rank", "feature"),
)

COHORT = Table(
    "cohort",
    "a patient",
    COHORT_SCHEMA,
    {"patient_id": "patient, unique over all cohorts", "cohort_id": "cohort", "person_id": "the human being"},
    ("cohort_id", "patient_id"),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        COHORT,
        TRUTH,
        TRUTH_FEATURES,
        CHECKS,
        MODEL_CHECKS,
        PREDICTIONS,
        METRICS,
        COMPARISONS,
        CURVES,
        HETEROGENEITY,
        THRESHOLDS,
        TUNING,
        DECISIONS,
        RISK_GROUPS,
        CONTROLS,
        STABILITY,
        SHAP,
        IMPORTANCE,
    )
}


def conform(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Validate a frame against the schema of a table, in the schema's column order, rows sorted.

    Parameters
    ----------
    name : a key of `TABLES`.
    frame : the rows.

    Returns
    -------
    A new frame with index 0..n-1.

    Raises
    ------
    pandera.errors.SchemaErrors
        Where the frame breaks the schema: a defect of immunocast, not of the user's data.
    """
    table = TABLES[name]
    if frame.empty:  # an empty table still has its columns
        frame = frame.reindex(columns=list(dict.fromkeys([*table.columns, *frame.columns])))
    # by the schema, then by name (columns that the schema knows by pattern): equal content, equal bytes
    order = [c for c in [*table.columns, *table.schema.columns] if c in frame]
    frame = frame[list(dict.fromkeys([*order, *sorted(c for c in map(str, frame.columns) if c not in order)]))]
    frame = table.schema.validate(frame.reset_index(drop=True), lazy=True)
    return frame.sort_values(list(table.sort_by), kind="stable", ignore_index=True) if table.sort_by else frame
