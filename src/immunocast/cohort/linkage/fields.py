"""The fields that a pair of patients is compared in: tolerances, error rates, and which fields tell the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from immunocast.cohort.vocabulary import VOCABULARY
from immunocast.errors import ConfigError


@dataclass(frozen=True)
class Field:
    """How a column is compared, and how often two records of one person differ in it.

    Attributes
    ----------
    error : share of persons whose two records disagree (another date, another read, a typing error), 0-1.
    exact : largest absolute difference that still is the same number, rounding included; 0 for categories.
    near, ratio : two numbers are near where they differ by at most about `near` + `ratio` x the smaller one.
    inexact : share of persons whose two records are near, not exact.
    group : fields of a group tell much the same thing, so only the strongest agreement and the strongest
        disagreement of a group count.
    """

    error: float
    exact: float = 0.0
    near: float = 0.0
    ratio: float = 0.0
    inexact: float = 0.0
    group: str = ""

    @property
    def m_exact(self) -> float:
        """Share of persons whose two records are equal."""
        return 1 - self.error - self.inexact


def _score(group: str, exact: float = 5e-4, near: float = 0.05) -> Field:
    return Field(error=0.3, exact=exact, near=near, ratio=0.05, inexact=0.3, group=group)


# Error rates are judgements, on the cautious side. Where the overlap of the LORIS sheets shows the rate, it stood
# model: of 121 pairs found by copy number, TMB and age, all agree in sex, 98 % in albumin, 86 % in prior therapy,
# 94 % in response, 71 % exactly and 90 % within 10 points in PD-L1; follow-up moves PFS in four of ten.
FIELDS: dict[str, Field] = {
    "sex": Field(error=0.001),
    "tumor_type": Field(error=0.01),
    # whole years against fractions of a year, five-year bins given by their middle
    "age_years": Field(error=0.01, exact=1.0, near=3.0, inexact=0.15),
    "treatment_start_year": Field(error=0.01, exact=0.25, near=1.0, inexact=0.05),
    "ancestry": Field(error=0.1),
    "site_id": Field(error=0.1),
    "tmb_mut_mb": Field(error=0.1, exact=0.06, near=0.1, ratio=0.25, inexact=0.15, group="burden"),
    "mutation_count": Field(error=0.1, exact=0.25, near=1.0, ratio=0.25, inexact=0.15, group="burden"),
    "neoantigen_mut_mb": Field(error=0.3, exact=5e-3, near=0.1, ratio=0.25, inexact=0.2, group="burden"),
    "btmb_count": Field(error=0.2, exact=0.25, near=1.0, ratio=0.1, inexact=0.1),
    "msaf": Field(error=0.2, exact=5e-5, near=5e-3, ratio=0.1, inexact=0.1),
    "fcna": Field(error=0.1, exact=6e-5, near=5e-3, ratio=0.05, inexact=0.15),
    "hed": Field(error=0.05, exact=5e-3, near=0.05, inexact=0.05),
    "clonal_fraction": Field(error=0.2, exact=5e-4, near=0.02, inexact=0.2),
    "tumor_purity": Field(error=0.2, exact=5e-4, near=0.02, inexact=0.2),
    "msi_status": Field(error=0.03),
    "hla_loh": Field(error=0.05),
    "ap_loss": Field(error=0.05),
    "egfr_mut": Field(error=0.03, group="drivers"),
    "kras_mut": Field(error=0.03, group="drivers"),
    "stk11_mut": Field(error=0.03, group="drivers"),
    "alk_fusion": Field(error=0.03, group="drivers"),
    "pdl1_tps": Field(error=0.12, exact=0.5, near=10.0, inexact=0.25, group="pdl1"),
    "pdl1_cps": Field(error=0.12, exact=0.5, near=10.0, inexact=0.25, group="pdl1"),
    "pdl1_ic": Field(error=0.2, group="pdl1"),
    "pdl1_tc": Field(error=0.2, group="pdl1"),
    "gep_score": _score("expression"),
    "cyt_score": _score("expression"),
    "ifng_score": _score("expression"),
    "tgfb_score": _score("expression"),
    "teff_score": _score("expression"),
    "exhaustion_score": _score("expression"),
    "immune_phenotype": Field(error=0.2, group="expression"),
    # blood counts: NLR, dNLR, PLR and SII are quotients of the same cells
    "nlr": Field(error=0.4, exact=0.02, near=0.2, ratio=0.1, inexact=0.2, group="counts"),
    "dnlr": Field(error=0.4, exact=0.02, near=0.2, ratio=0.1, inexact=0.2, group="counts"),
    "plr": Field(error=0.4, exact=0.5, near=5.0, ratio=0.1, inexact=0.2, group="counts"),
    "sii": Field(error=0.4, exact=0.5, near=10.0, ratio=0.1, inexact=0.2, group="counts"),
    "neutrophils_10e9_l": Field(error=0.4, exact=0.02, near=0.2, ratio=0.1, inexact=0.2, group="counts"),
    "lymphocytes_10e9_l": Field(error=0.4, exact=0.02, near=0.2, ratio=0.1, inexact=0.2, group="counts"),
    "leukocytes_10e9_l": Field(error=0.4, exact=0.02, near=0.2, ratio=0.1, inexact=0.2, group="counts"),
    "albumin_g_dl": Field(error=0.15, exact=0.06, near=0.3, inexact=0.15),
    "hemoglobin_g_dl": Field(error=0.2, exact=0.06, near=0.5, inexact=0.2),
    "platelets_10e9_l": Field(error=0.25, exact=0.5, near=5.0, ratio=0.1, inexact=0.2),
    "ldh_uln": Field(error=0.3, exact=5e-3, near=0.1, ratio=0.1, inexact=0.2),
    "crp_mg_l": Field(error=0.4, exact=0.06, near=1.0, ratio=0.1, inexact=0.2),
    **{
        name: Field(error=0.3, exact=5e-3, near=0.1, ratio=0.1, inexact=0.2, group="cytokines")
        for name in ("il6_pg_ml", "il8_pg_ml", "il10_pg_ml", "ifng_pg_ml", "tnf_pg_ml", "cxcl9_pg_ml", "cxcl10_pg_ml")
    },
    "bmi_kg_m2": Field(error=0.1, exact=0.06, near=0.6, inexact=0.25),
    "stage": Field(error=0.1, inexact=0.1),
    "ecog": Field(error=0.2, exact=0.25, near=1.0, inexact=0.2),
    "smoker": Field(error=0.05, group="smoking"),
    "pack_years": Field(error=0.1, exact=0.5, near=5.0, inexact=0.2, group="smoking"),
    "prior_systemic_therapy": Field(error=0.15, group="treatment"),
    "line_of_therapy": Field(error=0.15, exact=0.25, near=1.0, inexact=0.15, group="treatment"),
    "drug_class": Field(error=0.05, inexact=0.1, group="treatment"),
    "liver_metastasis": Field(error=0.1, group="spread"),
    "metastatic_sites": Field(error=0.2, exact=0.25, near=1.0, inexact=0.2, group="spread"),
    "tumor_burden_mm": Field(error=0.2, exact=0.5, near=5.0, ratio=0.1, inexact=0.2, group="spread"),
    # outcomes tell who a patient is as well as a lab value does; nothing of them reaches a model's features
    "bor": Field(error=0.12, group="response"),
    "responder": Field(error=0.07, group="response"),
    "dcb": Field(error=0.07, group="response"),
    "depth_pct": Field(error=0.2, exact=0.06, near=5.0, inexact=0.2, group="response"),
    # PFS is OS where death came first: one group
    "pfs_months": Field(error=0.35, exact=0.06, near=0.5, ratio=0.05, inexact=0.25, group="time"),
    "pfs_event": Field(error=0.05, group="time"),
    "os_months": Field(error=0.35, exact=0.06, near=0.5, ratio=0.05, inexact=0.25, group="time"),
    "os_event": Field(error=0.15, group="time"),
    "irae_grade": Field(error=0.15, exact=0.25, near=1.0, inexact=0.1),
}


def choose_fields(changes: Mapping[str, Mapping[str, Any] | None] | None) -> dict[str, Field]:
    """The fields to compare: `FIELDS` with the changes of a configuration.

    Parameters
    ----------
    changes : column -> attributes of `Field` to change, None to leave the column out.

    Raises
    ------
    ConfigError
        For columns that are no features or outcomes of the vocabulary, unknown attributes, and rates that are
        no probabilities.
    """
    fields = dict(FIELDS)
    for name, change in (changes or {}).items():
        if name not in VOCABULARY or VOCABULARY[name].role == "key":
            raise ConfigError(
                f"linkage.fields.{name}: no column to compare; the vocabulary (`immunocast tables cohort`) has none "
                "of that name, or it is an id."
            )
        if change is None:
            fields.pop(name, None)
            continue
        if not isinstance(change, Mapping):
            raise ConfigError(f"linkage.fields.{name} is {change!r}; write e.g. {{error: 0.1}}, or null.")
        known = list(asdict(Field(0.1)))
        for key in change:
            if key not in known:
                raise ConfigError(f"linkage.fields.{name}.{key}: unknown; known are {', '.join(known)}.")
        try:
            numbers = {key: float(value) for key, value in change.items() if key != "group"}
        except (TypeError, ValueError):
            raise ConfigError(f"linkage.fields.{name}: {dict(change)} holds something that is no number.") from None
        fields[name] = replace(fields.get(name, Field(error=0.2)), **numbers)
        if "group" in change:
            fields[name] = replace(fields[name], group=str(change["group"] or ""))
        _check(name, fields[name])
    if not fields:
        raise ConfigError("linkage.fields leaves no field to compare; linkage=null switches the linkage off.")
    return fields


def _check(name: str, field: Field) -> None:
    if not (0 < field.error < 1 and 0 <= field.inexact < 1 and field.m_exact > 0):
        raise ConfigError(
            f"linkage.fields.{name}: error ({field.error:g}) must lie between 0 and 1, and error and inexact "
            f"({field.inexact:g}) together below 1."
        )
    for key in ("exact", "near", "ratio"):
        value = getattr(field, key)
        if not 0 <= value < float("inf"):
            raise ConfigError(f"linkage.fields.{name}.{key} is {value:g}; it must be 0 or more.")
    if VOCABULARY[name].kind in ("number", "integer"):
        if not field.exact:
            raise ConfigError(f"linkage.fields.{name}.exact must be above 0: numbers are rounded somewhere.")
        if field.near < field.exact:
            raise ConfigError(f"linkage.fields.{name}.near ({field.near:g}) is below exact ({field.exact:g}).")
    elif field.exact or field.near or field.ratio:
        raise ConfigError(f"linkage.fields.{name} is no number: exact, near and ratio do not apply.")
