"""The tables that pass between stages: one pandera schema each, long format, one meaning a row.

`TABLES` is the catalogue that the writer validates against, that `immunocast tables` prints and that the
SQL door opens. Column order is part of the schema, so that equal content gives equal bytes.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from immunocast.cohort.table import COHORT_SCHEMA
from immunocast.store.schemas_explain import EXPLAIN_TABLES
from immunocast.store.table_schema import BOOL, FLOAT, IDS, INT, TEXT, Table, make_table

_CHECK_COLUMNS: dict[str, tuple[str, bool, str]] = {
    "code": (TEXT, False, "stable code of the check, e.g. IC-LEAK-001"),
    "severity": (TEXT, False, "error (stops a run), warning or info"),
    "cohort_id": (TEXT, True, "cohort concerned, null for all"),
    "column": (TEXT, True, "column concerned"),
    "n": (INT, False, "number of patients concerned"),
    "rows": (TEXT, False, "up to 20 patient ids, separated by ;"),
    "message": (TEXT, False, "what was found and what it means"),
    "waived_because": (TEXT, True, "reason given in the configuration for going on"),
}
_CHECK_ORDER = ("severity", "code", "cohort_id", "column", "message")
CHECKS = make_table("checks", "a finding of a quality check of the data", _CHECK_COLUMNS, _CHECK_ORDER)
MODEL_CHECKS = make_table("model_checks", "a finding of a check of the results", _CHECK_COLUMNS, _CHECK_ORDER)

TRUTH = make_table(
    "truth",
    "a synthetic patient (empty for real cohorts); never readable by a model",
    {
        **IDS,
        "p_response": (FLOAT, False, "true probability of response with ICI, 0-1"),
        "p_response_control": (FLOAT, False, "true probability of response without ICI, 0-1"),
        "individual_effect": (FLOAT, False, "p_response - p_response_control"),
        "planted": (TEXT, True, "the mistake that the scenario planted into the patient's row, null for none"),
        "shapley_base": (FLOAT, False, "mean true log-odds of the background; base + shapley_* = logit p_response"),
    },
    sort_by=("patient_id",),
    extra={
        # log-odds with ICI by causal parent; they add up to logit p_response
        r"^effect_.+$": pa.Column(FLOAT, nullable=True, regex=True, required=False),
        # exact Shapley values of the true log-odds, by feature
        r"^shapley_(?!base$).+$": pa.Column(FLOAT, nullable=True, regex=True, required=False),
        # mechanisms, true values whether or not they were measured, true times without censoring
        r"^latent_.+$": pa.Column(FLOAT, nullable=True, regex=True, required=False),
    },
    unique=["patient_id"],
)

TRUTH_FEATURES = make_table(
    "truth_features",
    "an outcome and a feature of a synthetic cohort (empty for real cohorts): what is true by construction",
    {
        "outcome": (TEXT, False, "response, pfs, os, acquired_resistance, irae, irae_grade3"),
        "feature": (TEXT, False, "feature, by its name in the vocabulary"),
        "mechanism": (TEXT, True, "latent mechanism that it measures, null for none"),
        "parent_with_ici": (INT, False, "1 where its true value is a causal parent of the outcome with ICI"),
        "parent_without_ici": (INT, False, "1 where it is one without ICI"),
        "role": (TEXT, False, "prognostic (acts alike in both arms), predictive (with ICI only), both, or none"),
    },
    sort_by=("outcome", "feature"),
    unique=["outcome", "feature"],
)

PREDICTIONS = make_table(
    "predictions",
    "one out-of-fold or external prediction",
    {
        **IDS,
        "person_id": (TEXT, False, "the human being, the unit of resampling"),
        "model": (TEXT, False, "name of the model"),
        "recalibration": (TEXT, False, "recalibrator applied to the output, 'none' for the model's own"),
        "scheme": (TEXT, False, "validation scheme, e.g. leave_one_cohort_out"),
        "repeat": (INT, False, "repetition of the scheme, from 0"),
        "fold": (TEXT, False, "fold within the repeat; the held-out cohort's name under LOCO"),
        "endpoint": (TEXT, False, "endpoint predicted, e.g. response"),
        "y_true": (INT, False, "1 where the patient has the endpoint, else 0"),
        "p_response": (
            FLOAT,
            True,
            "predicted probability of the endpoint's event (response or another), null where the model abstained",
        ),
        "abstained": (BOOL, False, "a required marker was missing"),
        "assays": (
            TEXT,
            False,
            "blocks of the model's inputs with a measured value in this patient, e.g. 'blood+dna+pdl1'; '' for none",
        ),
        "in_training": (
            BOOL,
            False,
            "the patient or a linked person helped to fit this model: no performance number may use the row",
        ),
    },
    sort_by=("model", "recalibration", "scheme", "repeat", "fold", "patient_id"),
    unique=["patient_id", "model", "recalibration", "scheme", "repeat"],
)

METRICS = make_table(
    "metrics",
    "an estimate",
    {
        "metric": (
            TEXT,
            False,
            "auroc, auprc, brier, scaled_brier, calibration_intercept, calibration_slope, oe_ratio, ici, net_benefit; "
            "in subgroups also auroc_shrunken, oe_ratio_shrunken; in discordance strata share_discordant, rate_above, "
            "rate_below; of survival, ending in _os or _pfs: c_harrell, c_uno, td_auc, brier, ipa, ibs, scaled_ibs",
        ),
        "model": (TEXT, False, "name of the model"),
        "recalibration": (TEXT, False, "recalibrator, 'none' for the model's own output"),
        "scheme": (TEXT, False, "validation scheme"),
        "endpoint": (TEXT, False, "endpoint"),
        "cohort_id": (
            TEXT,
            False,
            "a cohort; 'combined' (per-cohort estimates averaged, or all patients); 'pooled' (secondary)",
        ),
        "subgroup": (TEXT, False, "variable that defines the subgroup, 'all' for everybody"),
        "level": (TEXT, False, "level of the subgroup, 'all' for everybody"),
        "threshold_or_horizon": (
            FLOAT,
            True,
            "probability threshold of a net benefit or rate; months of a survival metric, as clipped to the follow-up; "
            "null elsewhere",
        ),
        "n": (INT, False, "patients used"),
        "n_events": (INT, False, "patients with the event among them"),
        "n_abstained": (INT, False, "patients left out since the model abstained"),
        "estimate": (FLOAT, True, "point estimate, null where too small or not allowed"),
        "ci_low": (FLOAT, True, "lower end of the 95 % interval"),
        "ci_high": (FLOAT, True, "upper end of the 95 % interval"),
        "ci_method": (TEXT, False, "delong, bootstrap, wilson, empirical_bayes or none"),
        "note": (TEXT, False, "why an estimate is null, or what to keep in mind"),
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

COMPARISONS = make_table(
    "comparisons",
    "a model against a reference on the same patients",
    {
        "metric": (
            TEXT,
            False,
            "metric compared; 'auroc_by_fold', 'brier_by_fold': mean over the folds, see ci_method",
        ),
        "model": (TEXT, False, "model"),
        "reference_model": (TEXT, False, "what it is compared with"),
        "scheme": (TEXT, False, "validation scheme"),
        "endpoint": (TEXT, False, "endpoint"),
        "cohort_id": (TEXT, False, "a cohort, or 'combined'"),
        "subgroup": (TEXT, False, "'discordance' inside a discordance stratum, 'all' for everybody"),
        "level": (TEXT, False, "the stratum, 'all' for everybody"),
        "threshold_or_horizon": (FLOAT, True, "probability threshold, or limit in months of c_uno; null elsewhere"),
        "n_common": (INT, False, "patients with a fair prediction from both"),
        "n_events": (INT, False, "patients with the event among them"),
        "n_lost": (INT, False, "patients left out: abstained by one, or one was trained on them"),
        "estimate_model": (FLOAT, True, "the model's value on the common patients"),
        "estimate_reference": (FLOAT, True, "the reference's value on the common patients"),
        "difference": (FLOAT, True, "model minus reference"),
        "ci_low": (FLOAT, True, "lower end of the 95 % interval of the difference"),
        "ci_high": (FLOAT, True, "upper end"),
        "p": (FLOAT, True, "two-sided p, not corrected for multiplicity"),
        "p_adjusted": (FLOAT, True, "p corrected over the models of one metric, reference and cohort (see family)"),
        "family": (TEXT, False, "which comparisons p_adjusted is corrected over and how, e.g. 'holm over 6 models'"),
        "ci_method": (TEXT, False, "delong, bootstrap, corrected_t or none"),
        "note": (TEXT, False, "cohorts left out and why, or 'too small'"),
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

CURVES = make_table(
    "curves",
    "a point of a curve",
    {
        "curve": (
            TEXT,
            False,
            "roc; calibration (bins); calibration_smooth; decision; decision_difference (net benefit of model minus "
            "that of the strategy in level, on the patients of both); survival_os, survival_pfs (Kaplan-Meier)",
        ),
        "model": (TEXT, False, "model, 'model+recalibration' where recalibrated; treat_all, treat_none in decision"),
        "scheme": (TEXT, False, "validation scheme"),
        "cohort_id": (TEXT, False, "a cohort, or 'combined'"),
        "level": (
            TEXT,
            False,
            "risk group of a survival curve; treat_all or the reference of a decision_difference; 'all' elsewhere",
        ),
        "x": (FLOAT, False, "1 - specificity; predicted probability; threshold; months"),
        "y": (FLOAT, True, "sensitivity; observed rate; net benefit; share without the event"),
        "ci_low": (FLOAT, True, "lower end of the 95 % interval of y"),
        "ci_high": (FLOAT, True, "upper end"),
        "n": (INT, False, "patients behind the point; in survival curves those at risk"),
    },
    sort_by=("curve", "model", "scheme", "cohort_id", "level", "x", "y"),
)

_MODEL = {
    "model": (TEXT, False, "name of the model"),
    "recalibration": (TEXT, False, "recalibrator applied to the output, 'none' for the model's own"),
    "scheme": (TEXT, False, "validation scheme"),
    "endpoint": (TEXT, False, "endpoint"),
}
_INTERVAL = {
    "estimate": (FLOAT, True, "point estimate, null where too small or not allowed"),
    "ci_low": (FLOAT, True, "lower end of the 95 % interval"),
    "ci_high": (FLOAT, True, "upper end of the 95 % interval"),
}

HETEROGENEITY = make_table(
    "heterogeneity",
    "an estimate summarised over the levels of a grouping by random effects, with a test whether they differ",
    {
        "metric": (TEXT, False, "metric"),
        **_MODEL,
        "grouping": (TEXT, False, "cohort_id, or a subgroup variable such as tumor_type"),
        "threshold_or_horizon": (FLOAT, True, "probability threshold of a net benefit; null elsewhere"),
        "n_levels": (INT, False, "levels that are large enough to enter"),
        "n": (INT, False, "patients in them"),
        "n_events": (INT, False, "patients with the event among them"),
        **_INTERVAL,
        "pi_low": (FLOAT, True, "lower end of the 95 % prediction interval for a new level, e.g. a new hospital"),
        "pi_high": (FLOAT, True, "upper end of the prediction interval"),
        "tau": (FLOAT, True, "standard deviation between levels, on the scale named in note"),
        "i2": (FLOAT, True, "share of the variation between levels that is not chance, 0-1"),
        "q": (FLOAT, True, "Cochran's Q"),
        "df": (INT, False, "degrees of freedom of Q"),
        "p": (FLOAT, True, "p of the test that all levels are alike, not corrected"),
        "p_adjusted": (FLOAT, True, "p corrected over the groupings of one metric and model (see family)"),
        "family": (TEXT, False, "which tests p_adjusted is corrected over and how"),
        "note": (TEXT, False, "scale and method; levels left out and why"),
    },
    sort_by=("metric", "model", "recalibration", "scheme", "grouping", "threshold_or_horizon"),
)

THRESHOLDS = make_table(
    "thresholds",
    "a decision threshold that a fold's training patients chose by a stated rule",
    {
        **_MODEL,
        "repeat": (INT, False, "repetition of the scheme"),
        "fold": (TEXT, False, "fold whose patients the threshold is for; 'final' for the refit on everybody"),
        "rule": (TEXT, False, "name of the rule, e.g. youden"),
        "threshold": (FLOAT, True, "probability from which the model says yes; null where the rule had no answer"),
        "n": (INT, False, "training patients whose inner out-of-fold predictions chose it"),
        "n_events": (INT, False, "patients with the event among them"),
        "note": (TEXT, False, "why there is none, or what to keep in mind"),
    },
    sort_by=("model", "recalibration", "scheme", "rule", "repeat", "fold"),
)

TUNING = make_table(
    "tuning",
    "a trial of the inner search for a model's parameters",
    {
        "model": (TEXT, False, "name of the model"),
        "scheme": (TEXT, False, "validation scheme"),
        "repeat": (INT, False, "repetition of the scheme"),
        "fold": (TEXT, False, "outer fold whose training patients were searched; 'final' for the refit"),
        "trial": (INT, False, "number of the trial, from 0; 0 tries the configured parameters"),
        "params": (TEXT, False, "parameters tried, as JSON"),
        "criterion": (TEXT, False, "what was minimised on inner held-out patients, e.g. log_loss"),
        "value": (FLOAT, True, "mean over the inner folds, null where the trial failed"),
        "chosen": (BOOL, False, "the trial whose parameters were used"),
        "note": (TEXT, False, "why a trial failed"),
    },
    sort_by=("model", "scheme", "repeat", "fold", "trial"),
)

DECISIONS = make_table(
    "decisions",
    "a measure of a decision rule: who would be treated by a model's threshold, and what comes of it",
    {
        **_MODEL,
        "cohort_id": (TEXT, False, "a cohort, or 'combined'"),
        "rule": (
            TEXT,
            False,
            "rule that chose the threshold on training folds; 'fixed': configured; 'cutoff': the marker's own",
        ),
        "threshold": (FLOAT, True, "threshold; the median over folds where they differ; null for a marker's cut-off"),
        "metric": (
            TEXT,
            False,
            "sensitivity, specificity, ppv, npv, share_treated, treated_per_responder, cost_per_responder, net_benefit",
        ),
        "n": (INT, False, "patients used"),
        "n_events": (INT, False, "patients with the event among them"),
        "n_positive": (INT, False, "patients whom the rule would treat"),
        **_INTERVAL,
        "ci_method": (TEXT, False, "bootstrap, wilson or none"),
        "note": (TEXT, False, "why an estimate is null; range of the threshold over folds; prices"),
    },
    sort_by=("model", "recalibration", "scheme", "cohort_id", "rule", "threshold", "metric"),
)

RISK_GROUPS = make_table(
    "risk_groups",
    "a group of patients by predicted probability, with its survival",
    {
        **_MODEL,
        "cohort_id": (TEXT, False, "a cohort, or 'combined'"),
        "outcome": (TEXT, False, "os or pfs"),
        "group": (
            TEXT,
            False,
            "low, middle or high probability of the endpoint ('all' where a cohort's are equal); irae or no_irae under "
            "the models irae_naive and irae_landmark, which forecast nothing",
        ),
        "n": (INT, False, "patients"),
        "n_events": (INT, False, "deaths (os), progressions or deaths (pfs) among them"),
        "median_months": (FLOAT, True, "Kaplan-Meier median, null where not reached"),
        "ci_low": (FLOAT, True, "lower end of its 95 % interval"),
        "ci_high": (FLOAT, True, "upper end, null where not reached"),
        "hazard_ratio": (
            FLOAT,
            True,
            "Cox hazard ratio to the group of lowest probability (or no_irae), stratified by cohort",
        ),
        "hr_low": (FLOAT, True, "lower end of its 95 % interval"),
        "hr_high": (FLOAT, True, "upper end"),
        "logrank_p": (FLOAT, True, "log-rank test over all groups, stratified by cohort where combined"),
        "note": (TEXT, False, "how groups were cut, landmark, what was left out"),
    },
    sort_by=("outcome", "model", "recalibration", "scheme", "cohort_id", "group"),
)

CONTROLS = make_table(
    "controls",
    "a control of the whole procedure: what it finds where there is nothing to find, and simple references",
    {
        "control": (
            TEXT,
            False,
            "permuted_labels, null_feature, cohort_orr, events_per_parameter, instability (summary of table stability)",
        ),
        "model": (
            TEXT,
            False,
            "model under control; 'cohort_orr' predicts each cohort its own event rate, 'training_rate' each fold that "
            "of its training patients",
        ),
        "scheme": (TEXT, False, "validation scheme"),
        "endpoint": (TEXT, False, "endpoint"),
        "cohort_id": (TEXT, False, "a cohort, or 'combined'"),
        "metric": (TEXT, False, "what is measured, e.g. auroc, importance:nlr, mean_abs_change"),
        "n": (INT, False, "patients used"),
        "n_events": (INT, False, "patients with the event among them"),
        "n_repeats": (INT, False, "permutations, draws or refits; 1 for a plain number"),
        "estimate": (FLOAT, True, "mean over the draws; median over patients for instability"),
        "low": (FLOAT, True, "2.5th percentile over the draws (over patients for instability)"),
        "high": (FLOAT, True, "97.5th percentile"),
        "observed": (FLOAT, True, "the same of the real run, where there is one to compare"),
        "p": (FLOAT, True, "share of draws at least as good as observed, (k+1)/(B+1)"),
        "verdict": (TEXT, False, "passed, suspicious, or none where nothing is judged"),
        "note": (TEXT, False, "how it was done, and what to keep in mind"),
    },
    sort_by=("control", "model", "scheme", "cohort_id", "metric"),
)

STABILITY = make_table(
    "stability",
    "a patient's probability over refits of a model on bootstrap samples of the training patients",
    {
        **IDS,
        "model": (TEXT, False, "name of the model"),
        "scheme": (TEXT, False, "validation scheme"),
        "endpoint": (TEXT, False, "endpoint"),
        "n_refits": (INT, False, "refits that predicted the patient, who was in none of their training folds"),
        "p_response": (FLOAT, False, "prediction of the run itself (mean over repeats)"),
        "p_mean": (FLOAT, False, "mean over refits"),
        "p_sd": (FLOAT, False, "standard deviation over refits"),
        "p_low": (FLOAT, False, "2.5th percentile over refits"),
        "p_high": (FLOAT, False, "97.5th percentile"),
        "mean_abs_change": (FLOAT, False, "mean |refit - run|: instability of Riley & Collins 2023"),
    },
    sort_by=("model", "scheme", "cohort_id", "patient_id"),
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
        *EXPLAIN_TABLES,
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
