"""The items of TRIPOD+AI (Collins et al., BMJ 2024) as data: what each asks, which files of a card answer it, and what
is left to the author.

The wording is ours and short; the statement itself is what counts. An item without a file is the author's alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """A file of a card that answers an item.

    Attributes
    ----------
    path : relative to the card's folder; "bundle" for the fitted model itself.
    says : what is found there.
    holds : the part that must be in it: a value of the first column of a CSV, a key of a JSON file that is not null;
        "" where the file itself is enough, since no file is written empty.
    needed : False where the item is answered without it, too.
    """

    path: str
    says: str
    holds: str = ""
    needed: bool = True


@dataclass(frozen=True)
class Item:
    """An item of TRIPOD+AI.

    Attributes
    ----------
    number : as in the statement, e.g. "12d".
    section : heading of the statement.
    asks : what it asks for.
    evidence : files that answer it; none: nothing that a run records can.
    author : what no run can record and the author must add; "" where the files answer all of it.
    absent : why a run may have recorded none of it.
    """

    number: str
    section: str
    asks: str
    evidence: tuple[Evidence, ...] = ()
    author: str = ""
    absent: str = ""


def _file(name: str, says: str, holds: str = "", *, needed: bool = True) -> Evidence:
    return Evidence(f"evidence/{name}", says, holds, needed)


_METRICS = _file("metrics.csv", "each estimate with its interval, n and events")
_SUBGROUPS = _file("subgroups.csv", "estimates inside each subgroup, with n and events")
_HETEROGENEITY = _file("heterogeneity.csv", "spread between cohorts and groups, prediction intervals")
_CONFIG = _file("config.yaml", "the frozen configuration")
_FLOW = _file("participant_flow.csv", "patients read, left out and why, analysed, by cohort")
_CHARACTERISTICS = _file("characteristics.csv", "characteristics by cohort")
_PREDICTORS = _file("predictors.csv", "each input: unit, definition, transformation, share measured")
_FOLDS = _file("folds.csv", "who trained and who was predicted in each fold")
_DEVELOPED = _file("development_evaluation.csv", "each input among those who trained and those who were predicted")
_DATA = _file("data.json", "source, digest, licence and notes of the data")
_NO_HETEROGENEITY = "it takes two cohorts or groups that are large enough"
_NO_DEVELOPED = (
    "under repeated k-fold the same patients are developed on and predicted in turn: there are no two groups to compare"
)
_NO_SUBGROUPS = "evaluation.subgroups was empty, or the model is not among evaluation.subgroup_models"
_NO_UPDATING = "recalibration.methods was empty"

ITEMS: tuple[Item, ...] = (
    Item("1", "Title", "Title: development or evaluation, population, outcome",
         (_file("summary.json", "what was developed and how it was evaluated, outcome, population", "title"),),
         "the title of the publication"),
    Item("2", "Abstract", "Abstract, by TRIPOD+AI for Abstracts",
         (_file("summary.json", "result in sentences", "answer"),), "the abstract of the publication"),
    Item("3a", "Introduction", "Healthcare context and rationale", author="context and rationale"),
    Item("3b", "Introduction", "Target population and intended use",
         (_file("population.csv", "whom the model was developed and evaluated on"),),
         "place in the care pathway, intended users, and the decision that it informs"),
    Item("3c", "Introduction", "Known health inequalities", author="what is known of inequalities between groups"),
    Item("4", "Introduction", "Objectives",
         (_file("summary.json", "the question that the run asks", "question"),), "the objectives of the study"),
    Item("5a", "Methods", "Data sources and representativeness", (_DATA,), "how representative the data are"),
    Item("5b", "Methods", "Dates of the data",
         (_file("population.csv", "years in which treatment started", "treatment_start_year"),),
         "dates of recruitment and end of follow-up",
         "treatment_start_year is known for nobody"),
    Item("6a", "Methods", "Setting and centres",
         (_file("population.csv", "number of sites", "site_id"),), "setting, and where and what the centres are",
         "site_id is known for nobody"),
    Item("6b", "Methods", "Eligibility",
         (_FLOW,), "criteria by which the sources chose their patients"),
    Item("6c", "Methods", "Treatments received",
         (_file("population.csv", "classes of drugs", "drug_class"),
          _file("population.csv", "line of therapy", "line_of_therapy", needed=False),
          _file("population.csv", "prior systemic therapy", "prior_systemic_therapy", needed=False)),
         "regimens, doses and treatment policy", "drug_class is known for nobody"),
    Item("7", "Methods", "Data preparation and quality checks, equal across groups",
         (_file("checks.csv", "findings of the quality checks, by cohort"), _PREDICTORS, _CONFIG),
         absent="the checks have found nothing, or have not run"),
    Item("8a", "Methods", "Outcome definition and horizon",
         (_file("outcome.json", "rule, settings, and who could not be classified", "definition"),)),
    Item("8b", "Methods", "Outcome assessors", author="who assessed the outcome, with what qualification"),
    Item("8c", "Methods", "Blinding of outcome assessment",
         author="whether outcomes were assessed blind to predictors"),
    Item("9a", "Methods", "Choice of predictors",
         (_PREDICTORS, _CONFIG), "why these predictors were chosen"),
    Item("9b", "Methods", "Predictor definitions and timing",
         (_PREDICTORS,), "when and how each was measured in the sources"),
    Item("9c", "Methods", "Predictor assessors", author="who read stains and assays, with what qualification"),
    Item("10", "Methods", "Sample size",
         (_file("sample_size.csv", "n, events, and events per parameter where the model has a number of them"),),
         "how the size of the study was arrived at"),
    Item("11", "Methods", "Missing data",
         (_file("missing.csv", "share missing of each input, by cohort"),
          _file("specification.json", "what the model does with a missing value", "missing_rule"))),
    Item("12a", "Methods", "How data were used and split", (_FOLDS, _CONFIG)),
    Item("12b", "Methods", "Predictor handling", (_PREDICTORS, _CONFIG)),
    Item("12c", "Methods", "Model type, building, tuning, internal validation",
         (_file("specification.json", "class, parameters and fitted state", "class"), _FOLDS, _CONFIG,
          _file("tuning.csv", "each trial of the inner search", needed=False))),
    Item("12d", "Methods", "Heterogeneity across clusters", (_HETEROGENEITY,), absent=_NO_HETEROGENEITY),
    Item("12e", "Methods", "Performance measures and comparison",
         (_METRICS, _file("comparisons.csv", "differences to each reference on common patients"),
          _file("calibration.csv", "calibration curve", needed=False),
          _file("decision_curve.csv", "decision curve", needed=False)),
         absent="no reference model was named, or none could be compared"),
    Item("12f", "Methods", "Model updating",
         (_file("recalibration.csv", "calibration before and after"),), absent=_NO_UPDATING),
    Item("12g", "Methods", "How predictions were calculated for evaluation",
         (_FOLDS, _file("outcome.json", "which predictions enter an estimate", "predictions"))),
    Item("13", "Methods", "Class imbalance",
         (_file("specification.json", "weights of the classes; no patient was resampled", "class_imbalance"),
          _file("sample_size.csv", "share of events"))),
    Item("14", "Methods", "Fairness: approaches and rationale",
         (_SUBGROUPS,), "why these groups, and what was done about differences", _NO_SUBGROUPS),
    Item("15", "Methods", "Model output and thresholds",
         (_file("thresholds.csv", "each rule and the thresholds that it chose"),
          _file("outcome.json", "what the probability is of", "output")),
         "why a threshold suits the decision", "decisions.rules and evaluation.thresholds were empty"),
    Item("16", "Methods", "Differences between development and evaluation data",
         (_DEVELOPED,), "differences of setting, eligibility and outcome assessment", _NO_DEVELOPED),
    Item("17", "Methods", "Ethical approval", author="ethics committee and consent"),
    Item("18a", "Open science", "Funding", author="source and role of funding"),
    Item("18b", "Open science", "Conflicts of interest", author="conflicts of interest"),
    Item("18c", "Open science", "Protocol", author="where the protocol is"),
    Item("18d", "Open science", "Registration", author="where the study is registered"),
    Item("18e", "Open science", "Data sharing",
         (_file("data.json", "licence of the data", "licence"),), "where and how the data can be had",
         "no licence of the data was recorded"),
    Item("18f", "Open science", "Code sharing",
         (_file("environment.json", "git commit, and whether files differed from it", "git_commit"),
          _file("environment.json", "packages and their versions", "packages")),
         "where the code can be had", "the commit was not recorded"),
    Item("19", "Patient and public involvement", "Patient and public involvement",
         author="how patients and the public were involved"),
    Item("20a", "Results", "Participant flow and follow-up",
         (_FLOW, _file("outcome.json", "median follow-up", "follow_up", needed=False))),
    Item("20b", "Results", "Characteristics by group", (_CHARACTERISTICS,)),
    Item("20c", "Results", "Comparison of development and evaluation predictors", (_DEVELOPED,), absent=_NO_DEVELOPED),
    Item("21", "Results", "Participants and events in each analysis", (_METRICS, _FOLDS)),
    Item("22", "Results", "Full model specification",
         (_file("specification.json", "class, parameters and fitted state", "class"),
          Evidence("bundle", "the fitted model itself, of the digest on this card"),
          _file("coefficients.csv", "each coefficient on the scale of the prepared input", needed=False))),
    Item("23a", "Results", "Performance with intervals, and in key subgroups",
         (_METRICS, _SUBGROUPS), absent=_NO_SUBGROUPS),
    Item("23b", "Results", "Heterogeneity of performance", (_HETEROGENEITY,), absent=_NO_HETEROGENEITY),
    Item("24", "Results", "Results of updating",
         (_file("recalibration.csv", "calibration before and after"),), absent=_NO_UPDATING),
    Item("25", "Discussion", "Interpretation, with fairness",
         (_file("comparisons.csv", "comparison with published scores and markers"), _SUBGROUPS),
         "interpretation against the objectives and earlier studies", "nothing was compared, or no subgroup was asked"),
    Item("26", "Discussion", "Limitations",
         (_file("limits.csv", "limits that follow from what the run recorded"),),
         "limits of the study that no run records"),
    Item("27a", "Discussion", "Handling of poor or missing input",
         (_file("specification.json", "required inputs, and what happens to a missing one", "missing_rule"),
          _file("population.csv", "patients whom the model did not score", "abstained"))),
    Item("27b", "Discussion", "User interaction and expertise", author="who uses it, and what they must know"),
    Item("27c", "Discussion", "Next steps and generalisability", author="next steps, and to whom results carry over"),
)  # fmt: skip

BY_NUMBER = {item.number: item for item in ITEMS}
