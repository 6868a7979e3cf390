"""The bundle: a fitted model on disk, in formats that cannot run code when they are read.

    bundle.json      class, parameters, ModelSpec, fitted state, versions; estimators that are a few numbers
    estimator.ubj    an XGBoost estimator (universal binary JSON)
    estimator.skops  any other scikit-learn estimator, loaded against the allow-list below
    parts/           bundles of the models that it is made of (`models.composed`)

Scoring, evaluation, explanation and serving all go through the one bundle.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from xgboost import XGBClassifier

from immunocast import __version__
from immunocast.errors import ConfigError, NotFoundError
from immunocast.features.expand import Expansion
from immunocast.features.preprocess import Preprocessor
from immunocast.models.composed import COMPOSED, folder_of, parts_of, rebuild, state
from immunocast.models.cox import CoxResponse
from immunocast.models.cutoff import MarkerCutoff
from immunocast.models.learner import Learner
from immunocast.models.loris import LorisNSCLC, LorisPanCancer, LorisRouted
from immunocast.models.skops_bytes import rewrite_reproducibly
from immunocast.models.spec import ModelSpec

FORMAT = 1

#: Models without a scikit-learn estimator inside: rebuilt from parameters and a few numbers.
PLAIN_MODELS = {cls.__name__: cls for cls in (LorisPanCancer, LorisNSCLC, LorisRouted, MarkerCutoff)}

#: What `fit` estimates for those of them that are fitted at all.
PLAIN_FITTED = {"MarkerCutoff": ("rate_below_", "rate_above_")}

#: Estimators that are a few numbers and go into bundle.json, with what their `fit` estimates.
PLAIN_ESTIMATORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "CoxResponse": (
        CoxResponse,
        ("beta_", "link_intercept_", "link_slope_", "coef_", "intercept_", "n_times_", "n_events_"),
    ),
}

#: Types that skops may build besides those that it trusts by itself. None of them runs code on loading.
ALLOWED_TYPES = frozenset(
    {
        "numpy.dtype",
        "numpy.random._mt19937.__bit_generator_ctor",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        # plain Python classes of scikit-learn, whose loading only sets attributes
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
    }
)
_PARAMS = (
    "required",
    "impute",
    "scale",
    "min_category_count",
    "explainer",
    "output_scale",
    "source",
    "label",
    "search",
    "target",
)
#: Parameters that bundles from before there were such things lack, with their values then.
_LATER_PARAMS: dict[str, Any] = {"search": None, "target": "label", "expand": None}


def save_bundle(model: Any, folder: Path) -> Path:
    """Write a fitted model.

    Parameters
    ----------
    model : a fitted `Learner`, published formula, cut-off, or one composed of such.
    folder : created; must not hold another bundle.

    Raises
    ------
    ConfigError
        For an estimator of a type that the allow-list does not hold.
    FileExistsError
        Where the folder holds a bundle: the files of two models must not mix.
    """
    if (folder / "bundle.json").exists():
        raise FileExistsError(f"{folder} holds a bundle already.")
    name = type(model).__name__
    known: dict[str, Any] = {Learner.__name__: Learner, **PLAIN_MODELS, **COMPOSED}
    if not isinstance(model, Learner) and known.get(name) is not type(model):
        raise ConfigError(f"A model of class {name} cannot be stored. Wrap it as immunocast.models.learner.Learner.")
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"format": FORMAT, "class": name, "spec": model.spec.to_dict()}
    content["versions"] = {"immunocast": __version__, **_versions("scikit-learn", "xgboost-cpu", "xgboost")}
    if name in PLAIN_MODELS:
        content["params"] = model.get_params()
        content["fitted"] = {k: getattr(model, k) for k in PLAIN_FITTED.get(name, ())}
    elif name in COMPOSED:
        content |= state(model)
        for part_name, part in parts_of(model).items():
            save_bundle(part, folder_of(folder, part_name))
        if getattr(model, "estimator_", None) is not None:
            content["estimator"] = _save_estimator(model.estimator_, folder)
    else:
        content["params"] = {p: getattr(model, p) for p in _PARAMS} | {"features": dict(model.features)}
        content["params"]["required"] = list(model.required)
        content["fitted"] = {
            "preprocessor": model.preprocessor_.state(),
            "background": model.background_,
        }
        if model.expander_ is not None:
            content["params"]["expand"] = model.expander_.get_params()
            content["fitted"]["expander"] = model.expander_.state()
        content["estimator"] = _save_estimator(model.estimator_, folder)
    # keys stay in their order: it is the order of the features
    (folder / "bundle.json").write_text(json.dumps(content, indent=1) + "\n")
    return folder


def _save_estimator(estimator: Any, folder: Path) -> str | dict[str, Any]:
    name = type(estimator).__name__
    if name in PLAIN_ESTIMATORS and PLAIN_ESTIMATORS[name][0] is type(estimator):
        fitted = {k: np.asarray(getattr(estimator, k)).tolist() for k in PLAIN_ESTIMATORS[name][1]}
        return {"class": name, "params": estimator.get_params(), "fitted": fitted}
    if isinstance(estimator, XGBClassifier):
        estimator.save_model(folder / "estimator.ubj")
        return "estimator.ubj"
    path = folder / "estimator.skops"
    skops.io.dump(estimator, path)
    rewrite_reproducibly(path)
    strange = _strange_types(path)
    if strange:
        path.unlink()
        raise ConfigError(
            f"{type(estimator).__name__} holds types that a bundle may not load: {', '.join(strange)}. "
            "Use another estimator, or add the type to ALLOWED_TYPES in models/bundle.py after reading what "
            "its loading does."
        )
    return path.name


def _strange_types(path: Path) -> list[str]:
    return sorted(set(skops.io.get_untrusted_types(file=path)) - ALLOWED_TYPES)


def load_bundle(folder: Path) -> Any:
    """Read a fitted model back.

    Returns
    -------
    A model with `spec` and `predict_proba`, equal to the one saved.

    Raises
    ------
    NotFoundError
        Where there is no bundle.
    ConfigError
        Where it was written by a newer format, holds types outside the allow-list, or is damaged.
    """
    path = folder / "bundle.json"
    content = _read_content(folder)
    return _whole(path, lambda: _build(content, folder))


def _read_content(folder: Path) -> dict[str, Any]:
    path = folder / "bundle.json"
    if not path.is_file():
        raise NotFoundError(f"There is no model bundle in {folder}.")
    content = _whole(path, lambda: dict(json.loads(path.read_text())))
    if not isinstance(content.get("format"), int) or content["format"] > FORMAT:
        raise ConfigError(
            f"{path} has format {content.get('format')!r}; this immunocast reads up to {FORMAT}. Update it."
        )
    return content


def _whole(path: Path, read: Callable[[], Any]) -> Any:
    """Read part of a bundle; whatever its bytes provoke in a parser says that the bundle is damaged."""
    try:
        return read()
    except (ConfigError, NotFoundError):
        raise
    except Exception as error:
        raise ConfigError(
            f"The bundle of {path} is damaged or was not written by immunocast "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). Train the model again."
        ) from error


def _build(content: dict[str, Any], folder: Path) -> Any:
    name = content["class"]
    if name in PLAIN_MODELS:
        model = PLAIN_MODELS[name](**content["params"])
        if set(content["fitted"]) != set(PLAIN_FITTED.get(name, ())):
            raise ValueError(f"fitted values of a {name} are {sorted(content['fitted'])}")
        for key, value in content["fitted"].items():
            setattr(model, key, float(value))
    elif name in COMPOSED:
        trees = _load_estimator(folder, content["estimator"]) if "estimator" in content else None
        model = rebuild(content, lambda part: load_bundle(folder_of(folder, part)), trees)
    elif name == Learner.__name__:
        estimator = _load_estimator(folder, content["estimator"])
        params = {**_LATER_PARAMS, **content["params"]}
        if set(params) != {*_PARAMS, "expand", "features"}:
            raise ValueError(f"parameters are {sorted(content['params'])}")
        expand = params.pop("expand")
        model = Learner(estimator=estimator, expand=None if expand is None else Expansion(**expand), **params)
        model.preprocessor_ = Preprocessor(model.features, model.impute, model.scale, model.min_category_count).restore(
            content["fitted"]["preprocessor"]
        )
        model.expander_ = None if expand is None else Expansion(**expand).restore(content["fitted"]["expander"])
        model.estimator_ = estimator
        model.background_ = content["fitted"]["background"]
    else:
        raise ConfigError(
            f"{folder / 'bundle.json'} holds a model of class {name!r}, which this immunocast does not know."
        )
    model.classes_ = np.array([0, 1])
    _ = model.spec  # checks the parameters, and that there is a classifier inside
    return model


def _load_estimator(folder: Path, name: str | dict[str, Any]) -> Any:
    # the name comes from the file: it may only be one that is ever written
    if isinstance(name, dict) and name.get("class") in PLAIN_ESTIMATORS:
        cls, fitted = PLAIN_ESTIMATORS[name["class"]]
        if set(name["fitted"]) != set(fitted):
            raise ValueError(f"fitted values of a {name['class']} are {sorted(name['fitted'])}")
        estimator = cls(**name["params"])
        for key, value in name["fitted"].items():
            setattr(estimator, key, value if isinstance(value, int | float) else np.array(value, dtype=float))
        estimator.classes_ = np.array([0, 1])
        return estimator
    if name == "estimator.ubj":
        estimator = XGBClassifier()
        estimator.load_model(folder / name)
        # a booster does not keep the thread count of its training; one row needs one thread
        return estimator.set_params(n_jobs=1)
    if name != "estimator.skops" or not isinstance(name, str):
        raise ConfigError(f"{folder / 'bundle.json'} names an unknown estimator file {name!r}.")
    strange = _strange_types(folder / name)
    if strange:
        raise ConfigError(
            f"{folder / name} holds types that may not be loaded: {', '.join(strange)}. "
            "It was not written by immunocast, or by one with another allow-list."
        )
    return skops.io.load(folder / name, trusted=sorted(ALLOWED_TYPES))


def read_spec(folder: Path) -> ModelSpec:
    """The ModelSpec of a bundle, without loading the model."""
    content = _read_content(folder)
    return _whole(folder / "bundle.json", lambda: ModelSpec.from_dict(content["spec"]))


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one of xgboost and xgboost-cpu is always absent
            continue
    return found
