"""How models made of other models are kept in a bundle: what of them is JSON, and which parts are bundles again.

parts/formula    the published formula of a PublishedUpdate
parts/<name>     each part of a Blend that has a weight
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from immunocast.features.preprocess import Preprocessor
from immunocast.models.blend import Blend
from immunocast.models.update import PublishedUpdate

COMPOSED: dict[str, type] = {cls.__name__: cls for cls in (PublishedUpdate, Blend)}
FORMULA = "formula"

_UPDATE_PARAMS = ("C", "cohort_intercepts", "min_category_count", "source", "label")
_UPDATE_FITTED = ("means_", "factors_", "coef_", "intercept_", "cohort_intercepts_", "background_")
_BLEND_PARAMS = ("choose", "inner", "n_splits", "seed", "source", "label")
_BLEND_FITTED = ("weights_", "inner_", "n_inner_", "note_")


def state(model: Any) -> dict[str, Any]:
    """Parameters and fitted values of a composed model, JSON-ready, without its parts and its trees."""
    if isinstance(model, PublishedUpdate):
        params = {p: getattr(model, p) for p in _UPDATE_PARAMS}
        params |= {"required": list(model.required), "features": dict(model.features)}
        fitted = {name: getattr(model, name) for name in _UPDATE_FITTED}
        return {"params": params, "fitted": fitted | {"preprocessor": model.preprocessor_.state()}}
    params = {p: getattr(model, p) for p in _BLEND_PARAMS}
    return {"params": params, "fitted": {name: getattr(model, name) for name in _BLEND_FITTED}}


def parts_of(model: Any) -> dict[str, Any]:
    """Name -> fitted model that is a bundle of its own."""
    return {FORMULA: model.formula} if isinstance(model, PublishedUpdate) else model.parts_


def folder_of(folder: Path, name: str) -> Path:
    """Folder of a part; what a name may hold but a file's may not is escaped."""
    return folder / "parts" / (quote(name, safe=" ") if name.strip(".") else quote(name, safe="").replace(".", "%2E"))


def rebuild(content: dict[str, Any], load_part: Callable[[str], Any], estimator: Any = None) -> Any:
    """The model of a `state`.

    Parameters
    ----------
    content : the bundle's content.
    load_part : name -> model.
    estimator : the fitted trees of a PublishedUpdate, or None.
    """
    params, fitted = dict(content["params"]), content["fitted"]
    if content["class"] == PublishedUpdate.__name__:
        _only(params, (*_UPDATE_PARAMS, "required", "features"))
        _only(fitted, (*_UPDATE_FITTED, "preprocessor"))
        update = PublishedUpdate(formula=load_part(FORMULA), estimator=estimator, **params)
        for name in _UPDATE_FITTED:
            setattr(update, name, fitted[name])
        impute = "mean" if estimator is None else "none"
        shaped = Preprocessor(update.features, impute, estimator is None, update.min_category_count)
        update.preprocessor_, update.estimator_ = shaped.restore(fitted["preprocessor"]), estimator
        return update
    _only(params, _BLEND_PARAMS)
    _only(fitted, _BLEND_FITTED)
    parts = {name: load_part(name) for name, weight in fitted["weights_"].items() if weight > 0}
    blend = Blend(parts=parts, **params)
    blend.parts_ = parts
    for name in _BLEND_FITTED:
        setattr(blend, name, fitted[name])
    return blend


def _only(found: dict[str, Any], known: tuple[str, ...]) -> None:
    if set(found) != set(known):
        raise ValueError(f"found {sorted(found)}")
