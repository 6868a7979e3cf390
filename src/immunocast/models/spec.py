"""ModelSpec: what a model needs and where it comes from.

Routing, assay reporting, fair comparison, SHAP dispatch and the model card all read it, so that nobody has
to ask of what class a model is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Explainer = Literal["linear", "xgboost", "tree", "update", "blend", "none"]
OutputScale = Literal["log-odds", "probability", "log-hazard"]
Target = Literal["label", "os", "pfs"]
TARGETS: tuple[Target, ...] = ("label", "os", "pfs")


@dataclass(frozen=True)
class ModelSpec:
    """What a model needs and where it comes from.

    Attributes
    ----------
    required : columns without which the model abstains.
    optional : further columns that it uses where they are measured.
    missing_rule : what happens to a missing optional value, in words.
    trained_on : cohort ids that fitted it before this run (published models); empty for learners.
    learned : True for learners; False for published formulas and for cut-offs, whose `fit` only takes the
        response rate on either side.
    output_scale : scale on which explanations add up; "log-hazard" is the linear predictor of a survival model,
        0 for the mean training patient, higher for earlier events.
    explainer : which exact explainer applies; "none" where there is none.
    source : citation of a published model, or the library of a learner.
    label : how figures and reports call it; "" for the model's own name.
    predicts : endpoint that a published model or a rule was made for; "" for learners, which take any.
    by_cohort : True where the model must be told the cohort's id: a feature is standardised by cohort, or each
        cohort has a baseline hazard of its own.
    target : what `fit` learns from: the endpoint's "label", or times to event ("os", "pfs"), which are then handed
        to it as `survival`.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    missing_rule: str = ""
    trained_on: tuple[str, ...] = ()
    learned: bool = True
    output_scale: OutputScale = "log-odds"
    explainer: Explainer = "none"
    source: str = ""
    label: str = ""
    predicts: str = ""
    by_cohort: bool = False
    target: Target = "label"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the frame that the model takes: its inputs, and the cohort's id where it must know it."""
        return (*self.inputs, "cohort_id") if self.by_cohort else self.inputs

    @property
    def inputs(self) -> tuple[str, ...]:
        """All columns that the model may read, required ones first."""
        return (*self.required, *self.optional)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, stored in the bundle."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ModelSpec:
        """Inverse of `to_dict`."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**plain)


@runtime_checkable
class ResponseModel(Protocol):
    """What `cross_predict` expects of a model: a scikit-learn classifier with a ModelSpec.

    `fit` and `predict_proba` take a frame whose columns are `spec.columns` (numbers as float64 with NaN,
    categories as str with NaN); `predict_proba` returns (n, 2), NaN in rows where the model abstains. A model whose
    `spec.target` is "os" or "pfs" takes `fit(X, y, survival=Survival(...))`.
    """

    @property
    def spec(self) -> ModelSpec:
        """What the model needs."""
        ...

    def fit(self, X: Any, y: Any) -> Any:
        """Fit on a training fold."""
        ...

    def predict_proba(self, X: Any) -> Any:
        """(n, 2) probabilities."""
        ...
