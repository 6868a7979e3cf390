"""LORIS as published: each term by hand, caps, the missing rule, abstention, routing."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immunocast.cohort.vocabulary import TUMOR_TYPES
from immunocast.features.preprocess import model_frame
from immunocast.models.loris import LorisNSCLC, LorisPanCancer, LorisRouted

LUNG = {
    "tumor_type": "NSCLC",
    "tmb_mut_mb": 8.0,
    "pdl1_tps": 60.0,
    "prior_systemic_therapy": 1,
    "albumin_g_dl": 4.0,
    "nlr": 5.0,
    "dnlr": np.nan,
    "age_years": 70.0,
}


def p_of(model, **changes):
    frame = model_frame(pd.DataFrame([{**LUNG, **changes}]), (*model.spec.inputs,))
    return float(model.fit(None, None).predict_proba(frame)[0, 1])


def expit(s):
    return 1 / (1 + math.exp(-s))


def test_pan_cancer_by_hand():
    # .0371*8 - .8775 + .5382*4 - .033*5 + .0049*70 + .0008 - 2.0886
    assert p_of(LorisPanCancer()) == pytest.approx(expit(-0.3377), abs=1e-12)


def test_nsclc_by_hand():
    # .0353*8 + .0111*60 - .375 + .2924*4 - .0103*5 - 1.5593
    assert p_of(LorisNSCLC()) == pytest.approx(expit(0.1322), abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "term"),
    [("Bladder", -0.3323), ("Breast", -0.3323), ("Colorectal", -0.102), ("Endometrial", -0.0079),
     ("Esophageal", 0.55), ("Gastric", 0.2306), ("Head & Neck", 0.0678), ("Hepatobiliary", -0.1189),
     ("Melanoma", -0.0086), ("Mesothelioma", 0.1255), ("NSCLC", 0.0008), ("Ovarian", -0.052),
     ("Pancreatic", -1.1169), ("Renal", 0.5451), ("Sarcoma", 0.0542), ("SCLC", -0.0033), ("Other", 0.0)],
)  # fmt: skip
def test_every_tumour_type_has_its_term(kind, term):
    assert p_of(LorisPanCancer(), tumor_type=kind) == pytest.approx(expit(-0.3385 + term), abs=1e-12)


def test_the_types_above_are_all_types():
    marks = test_every_tumour_type_has_its_term.pytestmark[0].args[1]
    assert {kind for kind, _ in marks} == set(TUMOR_TYPES)


@pytest.mark.parametrize("model", [LorisPanCancer(), LorisRouted()])
@pytest.mark.parametrize(("name", "cap"), [("tmb_mut_mb", 50), ("nlr", 25), ("age_years", 85)])
def test_caps(model, name, cap):
    renal = {"tumor_type": "Renal"}
    at_cap = p_of(model, **renal, **{name: cap})
    assert p_of(model, **renal, **{name: cap + 20}) == at_cap
    assert p_of(model, **renal, **{name: cap - 1}) != at_cap


@pytest.mark.parametrize(("name", "cap"), [("tmb_mut_mb", 50), ("nlr", 25)])
def test_caps_of_the_lung_formula(name, cap):
    assert p_of(LorisNSCLC(), **{name: cap + 20}) == p_of(LorisNSCLC(), **{name: cap})
    assert p_of(LorisNSCLC(), **{name: cap - 1}) != p_of(LorisNSCLC(), **{name: cap})


@pytest.mark.parametrize("model", [LorisPanCancer(), LorisNSCLC(), LorisRouted()])
def test_missing_blood_follows_the_authors_rule(model):
    gone = np.nan
    assert p_of(model, nlr=gone) == p_of(model, nlr=6.2)
    assert p_of(model, albumin_g_dl=gone) == p_of(model, albumin_g_dl=3.8)
    assert p_of(model, nlr=gone, dnlr=1.7) == p_of(model, nlr=3.4)
    assert p_of(model, nlr=gone, dnlr=20) == p_of(model, nlr=25), "2 x dNLR is capped as NLR is"
    assert p_of(model, nlr=5.0, dnlr=1.7) == p_of(model, nlr=5.0), "a measured NLR goes first"


@pytest.mark.parametrize("model", [LorisPanCancer(), LorisNSCLC(), LorisRouted()])
def test_abstains_without_a_required_input(model):
    for name in model.spec.required:
        assert math.isnan(p_of(model, **{name: np.nan if name != "tumor_type" else None})), name
    for name in model.spec.optional:
        assert math.isfinite(p_of(model, **{name: np.nan})), name


def test_nsclc_formula_abstains_elsewhere():
    assert math.isnan(p_of(LorisNSCLC(), tumor_type="SCLC"))


def test_routing():
    assert p_of(LorisRouted()) == p_of(LorisNSCLC())
    assert p_of(LorisRouted(), pdl1_tps=np.nan) == p_of(LorisPanCancer())
    assert p_of(LorisRouted(), tumor_type="Melanoma") == p_of(LorisPanCancer(), tumor_type="Melanoma")
    assert p_of(LorisRouted()) != p_of(LorisPanCancer())


def test_a_column_that_the_table_lacks_is_missing():
    frame = pd.DataFrame([LUNG]).drop(columns=["albumin_g_dl", "dnlr", "nlr"])
    model = LorisPanCancer().fit(None, None)
    p = model.predict_proba(model_frame(frame, model.spec.inputs))[0, 1]
    assert p == p_of(model, nlr=6.2, albumin_g_dl=3.8)


def test_what_it_was_trained_on():
    assert LorisPanCancer().spec.trained_on == ("Chowell_train",)
    assert LorisNSCLC().spec.trained_on == ("Chowell_train", "Chowell_test")
    assert LorisRouted().spec.trained_on == ("Chowell_train", "Chowell_test")


@settings(max_examples=40, deadline=None)
@given(
    tmb=st.floats(0, 100), nlr=st.floats(0, 60), albumin=st.floats(1, 6), age=st.floats(0, 100),
    tps=st.floats(0, 100), kind=st.sampled_from(TUMOR_TYPES), prior=st.sampled_from([0, 1]),
)  # fmt: skip
def test_never_out_of_order(tmb, nlr, albumin, age, tps, kind, prior):
    """Each formula is monotone in each marker, and never leaves 0 to 1."""
    row = {"tmb_mut_mb": tmb, "nlr": nlr, "albumin_g_dl": albumin, "age_years": age, "pdl1_tps": tps,
           "tumor_type": kind, "prior_systemic_therapy": prior}  # fmt: skip
    for model in (LorisPanCancer(), LorisRouted()):
        p = p_of(model, **row)
        assert 0 < p < 1
        assert p_of(model, **{**row, "tmb_mut_mb": tmb + 5}) >= p
        assert p_of(model, **{**row, "nlr": nlr + 2}) <= p
        assert p_of(model, **{**row, "albumin_g_dl": albumin + 0.5}) > p
        assert p_of(model, **{**row, "prior_systemic_therapy": 1}) <= p
