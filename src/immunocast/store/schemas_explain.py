"""The tables of explanations: SHAP values, importances, how stable they are, and how true where the truth is known."""

from __future__ import annotations

import pandera.pandas as pa

from immunocast.cohort.vocabulary import FEATURES, label
from immunocast.store.table_schema import BOOL, FLOAT, IDS, INT, TEXT, make_table

_RUN = {
    "model": (TEXT, False, "name of the model"),
    "scheme": (TEXT, False, "validation scheme"),
    "endpoint": (TEXT, False, "endpoint"),
}
_FOLD = {
    "repeat": (INT, False, "repetition"),
    "fold": (TEXT, False, "fold; the held-out cohort's name under LOCO"),
}
_SCALE = {
    "output_scale": (
        TEXT,
        False,
        "scale on which values add up: log-odds; probability for forests; log-hazard for survival models",
    ),
}
_INTERVAL = {
    "ci_low": (FLOAT, True, "lower end of the 95 % interval"),
    "ci_high": (FLOAT, True, "upper end of the 95 % interval"),
}

SHAP = make_table(
    "shap",
    "a patient under a model that did not train on that patient; a column a feature",
    {
        **IDS,
        **_RUN,
        **_FOLD,
        **_SCALE,
        "method": (
            TEXT,
            False,
            "linear, tree_path_dependent, tree_interventional, each exact, or sums of them; sampled: an estimate",
        ),
        "base_value": (FLOAT, False, "expected output; base_value + sum of the feature columns = output"),
        "output": (FLOAT, False, "the model's output on output_scale"),
    },
    sort_by=("model", "scheme", "repeat", "fold", "patient_id"),
    extra={
        "standard_error": pa.Column(
            FLOAT,
            nullable=True,
            required=False,
            description="largest standard error of the row's values where they are sampled; no column in a run whose "
            "values are all exact",
        ),
        **{
            name: pa.Column(FLOAT, nullable=True, required=False, description=f"SHAP value of {label(name)}")
            for name in FEATURES
        },
    },
    unique=["patient_id", "model", "scheme", "repeat"],
)

IMPORTANCE = make_table(
    "importance",
    "a feature of a model, or a group of features",
    {
        "model": (TEXT, False, "name of the model"),
        "scheme": (TEXT, False, "validation scheme"),
        "repeat": (INT, False, "repetition, -1 for the mean over repeats"),
        "endpoint": (TEXT, False, "endpoint"),
        "subgroup": (TEXT, False, "'all', or the variable, e.g. tumor_type"),
        "level": (TEXT, False, "'all', or its level"),
        "kind": (
            TEXT,
            False,
            "feature; block: features of one kind of assay; cluster: features that go together. A patient's value of a "
            "group is the sum of its members'",
        ),
        "feature": (TEXT, False, "source feature (one-hot columns are summed back), or name of the group"),
        "group": (
            TEXT,
            False,
            "block of the feature: pdl1, dna, rna, blood, clinical; 'mixed' for several",
        ),
        "members": (TEXT, False, "features of a group, joined by +; '' for a feature"),
        "n": (INT, False, "patients averaged over"),
        "n_measured": (INT, False, "of them, patients in whom the feature, or one of the group, was measured"),
        "mean_abs_shap": (FLOAT, False, "mean absolute SHAP value on output_scale"),
        "ci_low": (
            FLOAT,
            True,
            "lower end of the 95 % bootstrap interval (patients resampled, models fixed)",
        ),
        "ci_high": (FLOAT, True, "upper end"),
        "rank": (INT, False, "rank by mean_abs_shap among its kind, 1 is largest"),
        "rank_low": (INT, True, "lower end of the rank's interval"),
        "rank_high": (INT, True, "upper end"),
        "sign": (FLOAT, True, "Spearman correlation of value and SHAP; null for categories and groups"),
        "output_scale": (TEXT, False, "scale of mean_abs_shap"),
    },
    sort_by=("model", "scheme", "repeat", "subgroup", "level", "kind", "rank", "feature"),
)

INTERACTIONS = make_table(
    "interactions",
    "a pair of features of a model, by exact SHAP interaction values",
    {
        **_RUN,
        "feature_a": (TEXT, False, "feature, first by name"),
        "feature_b": (TEXT, False, "feature"),
        "n": (INT, False, "patients averaged over"),
        "mean_abs_interaction": (
            FLOAT,
            False,
            "mean absolute interaction of the pair on output_scale, both halves together; what SHAP splits equally "
            "between the two features",
        ),
        **_INTERVAL,
        "share": (FLOAT, False, "part of all the model's mean absolute main effects and interactions, 0-1"),
        "rank": (INT, False, "rank by mean_abs_interaction, 1 is largest"),
        **_SCALE,
    },
    sort_by=("model", "scheme", "rank", "feature_a", "feature_b"),
)

INTERACTION_VALUES = make_table(
    "interaction_values",
    "a patient's interaction of one of the strongest pairs of features",
    {
        **IDS,
        **_RUN,
        **_FOLD,
        "feature_a": (TEXT, False, "feature, first by name"),
        "feature_b": (TEXT, False, "feature"),
        "value": (FLOAT, False, "interaction on output_scale, both halves together"),
        **_SCALE,
    },
    sort_by=("model", "scheme", "feature_a", "feature_b", "repeat", "fold", "patient_id"),
)

IMPORTANCE_STABILITY = make_table(
    "importance_stability",
    "a feature of a model over draws: folds, repeats, cohorts or bootstrap refits",
    {
        **_RUN,
        "source": (
            TEXT,
            False,
            "what differs between the draws: folds, repeats, cohorts (who is explained, and by whom trained) or "
            "refits (bootstrap samples of the training patients, tuning frozen)",
        ),
        "feature": (TEXT, False, "source feature"),
        "group": (TEXT, False, "block of the feature"),
        "n_draws": (INT, False, "draws"),
        "n_features": (INT, False, "features that are ranked"),
        "mean_abs_shap": (FLOAT, False, "of the run itself"),
        "mean": (FLOAT, True, "mean of mean_abs_shap over the draws"),
        "low": (FLOAT, True, "2.5th percentile over the draws (smallest, where there are fewer than 40)"),
        "high": (FLOAT, True, "97.5th percentile (largest)"),
        "rank": (INT, False, "rank of the run itself, 1 is largest"),
        "rank_low": (
            INT,
            True,
            "2.5th percentile of the rank over the draws (smallest, where fewer than 40)",
        ),
        "rank_high": (INT, True, "97.5th percentile (largest)"),
        "sign": (FLOAT, True, "Spearman correlation of value and SHAP in the run; null for categories"),
        "sign_consistency": (FLOAT, True, "share of draws whose sign is that of the run, 0-1; null for categories"),
        "verdict": (
            TEXT,
            False,
            "stable; not distinguishable: the rank's interval covers most of the table; none: too few draws to judge",
        ),
        **_SCALE,
        "note": (TEXT, False, "what to keep in mind"),
    },
    sort_by=("model", "scheme", "source", "rank", "feature"),
)

IMPORTANCE_METHODS = make_table(
    "importance_methods",
    "a feature of a model by another way to measure importance than SHAP",
    {
        **_RUN,
        "method": (
            TEXT,
            False,
            "permutation: the feature's values exchanged among held-out patients; drop_column: the model fitted anew "
            "without the feature",
        ),
        "metric": (TEXT, False, "what is lost: log_loss (mean over held-out patients)"),
        "feature": (TEXT, False, "source feature"),
        "group": (TEXT, False, "block of the feature"),
        "n": (INT, False, "held-out patients"),
        "n_draws": (INT, False, "permutations; 1 for drop_column"),
        "estimate": (FLOAT, True, "increase of the loss without the feature; at or below 0: nothing is lost"),
        **_INTERVAL,
        "rank": (INT, True, "rank by estimate, 1 is largest"),
        "rank_low": (INT, True, "lower end of the rank's interval over resampled persons"),
        "rank_high": (INT, True, "upper end"),
        "shap_rank": (INT, False, "rank by mean |SHAP|"),
        "disagrees": (BOOL, False, "the rank's interval and that of SHAP do not meet"),
        "note": (TEXT, False, "what a disagreement usually means, or what to keep in mind"),
    },
    sort_by=("model", "scheme", "method", "rank", "feature"),
)

AGREEMENT = make_table(
    "agreement",
    "two importances compared: of two models, of two cohorts or folds, or by two methods",
    {
        "between": (TEXT, False, "models, cohorts, or methods"),
        "scheme": (TEXT, False, "validation scheme"),
        "endpoint": (TEXT, False, "endpoint"),
        "model": (TEXT, False, "model; '' where two models are compared"),
        "a": (TEXT, False, "model, cohort or method"),
        "b": (TEXT, False, "the other one"),
        "n_features": (INT, False, "features of both"),
        "n_a": (INT, False, "patients behind a"),
        "n_b": (INT, False, "patients behind b"),
        "rank_correlation": (FLOAT, True, "Spearman correlation of the two importances"),
        **_INTERVAL,
        "top_shared": (INT, True, "features among the five first of both"),
        "same_direction": (FLOAT, True, "share of importance (mean of both) carried by features of the same sign"),
        "note": (TEXT, False, "features whose direction differs, or what to keep in mind"),
    },
    sort_by=("between", "scheme", "model", "a", "b"),
)

TRUTH_RECOVERY = make_table(
    "truth_recovery",
    "how well a model's explanations recover the known mechanism of a synthetic cohort (empty for real cohorts)",
    {
        **_RUN,
        "metric": (TEXT, False, "what is compared; docs/explanation-truth.md says each in a sentence"),
        "feature": (TEXT, False, "feature concerned, 'all' for a number over all features"),
        "n": (INT, False, "patients explained"),
        "n_train": (INT, False, "patients who trained a model (mean over folds)"),
        **{"estimate": (FLOAT, True, "estimate")},
        **_INTERVAL,
        "truth": (FLOAT, True, "what it would be if explanations were the truth; null where that says nothing"),
        "note": (TEXT, False, "what to keep in mind"),
    },
    sort_by=("model", "scheme", "metric", "feature"),
)

DISCORDANT = make_table(
    "discordant",
    "a feature in patients whose response and PD-L1 disagree, against patients of the same PD-L1 who did as it says",
    {
        **_RUN,
        "stratum": (TEXT, False, "pdl1_low_responders or pdl1_high_non_responders (of the endpoint's event)"),
        "reference": (TEXT, False, "whom they are compared with: pdl1_low_non_responders or pdl1_high_responders"),
        "feature": (TEXT, False, "source feature"),
        "group": (TEXT, False, "block of the feature"),
        "n": (INT, False, "patients of the stratum"),
        "n_reference": (INT, False, "patients they are compared with"),
        "mean_shap": (FLOAT, True, "mean SHAP value in the stratum, signed, on output_scale"),
        "mean_shap_reference": (FLOAT, True, "the same in the reference"),
        "difference": (FLOAT, True, "mean_shap - mean_shap_reference: what the model tells the two apart by"),
        **_INTERVAL,
        "median_value": (FLOAT, True, "median of the feature in the stratum, in its unit; null for categories"),
        "median_value_reference": (FLOAT, True, "the same in the reference"),
        "rank": (INT, True, "rank by |difference|, 1 is largest"),
        **_SCALE,
        "note": (TEXT, False, "definition of the stratum, or why numbers are null"),
    },
    sort_by=("model", "scheme", "stratum", "rank", "feature"),
)

RECALIBRATION_MAPS = make_table(
    "recalibration_maps",
    "a point of the map from a model's own probability to the recalibrated one",
    {
        "model": (TEXT, False, "name of the model"),
        "recalibration": (TEXT, False, "recalibrator"),
        "fold": (TEXT, False, "key of the fold whose training patients fitted it; 'final' for all"),
        "log_odds": (FLOAT, False, "the model's own log-odds, which explanations add up to"),
        "p": (FLOAT, False, "the model's own probability"),
        "p_recalibrated": (FLOAT, False, "probability after recalibration"),
        "formula": (TEXT, False, "the map in words"),
    },
    sort_by=("model", "recalibration", "fold", "log_odds"),
)

CONFORMAL = make_table(
    "conformal",
    "a patient's prediction set: the outcomes that the patients before do not rule out",
    {
        **IDS,
        **_RUN,
        "coverage": (FLOAT, False, "share of patients whose set is to hold the outcome, within each class, e.g. 0.9"),
        "p_value_event": (FLOAT, True, "conformal p-value of the event"),
        "p_value_other": (FLOAT, True, "conformal p-value of no event"),
        "prediction_set": (TEXT, False, "event, other, both, or none (unlike either); '' where it can't be made"),
        "covered": (BOOL, False, "the set holds what happened"),
        "n_calibration": (INT, False, "patients whose held-out predictions it rests on"),
        "note": (TEXT, False, "what to keep in mind"),
    },
    sort_by=("model", "scheme", "coverage", "cohort_id", "patient_id"),
)

EXPLAIN_TABLES = (
    SHAP,
    IMPORTANCE,
    INTERACTIONS,
    INTERACTION_VALUES,
    IMPORTANCE_STABILITY,
    IMPORTANCE_METHODS,
    AGREEMENT,
    TRUTH_RECOVERY,
    DISCORDANT,
    RECALIBRATION_MAPS,
    CONFORMAL,
)
