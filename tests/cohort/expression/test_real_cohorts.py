"""The public cohorts: scores agree with each other, with published ones and with biology.

`pytest -s` on this file prints the figures of docs/expression.md.
"""

import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from immunocast.cohort.tabular import TabularCohort

SETTINGS = {"unit": "TPM", "log": "log2(x+0.001)", "min_genes": {"tgfb_score": 8}}
FOLDERS = {
    "imvigor210": ("imvigor210", "sample_id", "predictior_id", 195),
    "liu2019": ("liu2019_melanoma", "patient_id", "patient_id", 74),
    "riaz2017": ("riaz2017_nivolumab", "patient_id", "patient_id", 23),
    "vanallen2015": ("vanallen2015_ctla4", "sample_id", "sample_id", 42),
}
SCORES = ["gep_score", "cyt_score", "ifng_score", "tgfb_score", "teff_score", "exhaustion_score"]


@pytest.fixture(scope="module")
def cohorts(data_dir):
    """Name -> scores beside the source's own columns, of the patients with a sample."""
    found = {}
    for name, (folder, patient, sample, _) in FOLDERS.items():
        where = f"cohorts/{folder}"
        tables = TabularCohort(
            name=name,
            file=f"{where}/cohort.csv",
            data_dir=data_dir,
            columns={"patient_id": patient, "tumor_type": {"value": "Other"}},
            expression={"file": f"{where}/expression.csv", "sample_id": sample, **SETTINGS},
        ).load()
        table = pd.concat([tables.cohort, tables.unmapped], axis=1)
        found[name] = table[table["gep_score"].notna()]
    return found


def rho(a, b):
    a, b = (pd.to_numeric(x).to_numpy(float) for x in (a, b))
    return float(spearmanr(a, b, nan_policy="omit")[0])


@pytest.mark.parametrize("name", FOLDERS)
def test_all_scores_of_all_samples(cohorts, name):
    table = cohorts[name]
    assert len(table) == FOLDERS[name][3]
    assert table[SCORES].notna().all(axis=None)
    assert table["expression_forms"].nunique() == 1
    assert table["expression_forms"].iloc[0].startswith("gep_score=rank_panel; cyt_score=geometric_mean")


@pytest.mark.parametrize("name", FOLDERS)
def test_the_scores_of_inflammation_agree(cohorts, name):
    table = cohorts[name]
    found = {s: rho(table["gep_score"], table[s]) for s in SCORES[1:]}
    print(f"\n{name}: GEP with " + ", ".join(f"{s.removesuffix('_score')} {r:.2f}" for s, r in found.items()))
    # ranks among immune genes see less of what raises all of them together; least in the 42 of Van Allen
    assert min(found["cyt_score"], found["ifng_score"], found["teff_score"]) > (0.4 if name == "vanallen2015" else 0.6)
    assert rho(table["cyt_score"], table["teff_score"]) > 0.9


def test_imvigor210_phenotypes_published_signatures_and_response(cohorts):
    table = cohorts["imvigor210"]
    means = table.groupby("Immune.phenotype")[SCORES].mean()
    print(f"\n{means.loc[['inflamed', 'excluded', 'desert']].round(2).to_string()}")
    for score in ("gep_score", "cyt_score", "ifng_score", "teff_score", "exhaustion_score"):
        assert means.loc["inflamed", score] > means.loc["excluded", score] > means.loc["desert", score], score
    # excluded: stroma without T cells inside
    assert means.loc["excluded", "tgfb_score"] > means.loc["desert", "tgfb_score"]
    published = {s: rho(table[s], table["iobr_CD_8_T_effector"]) for s in ("gep_score", "cyt_score", "teff_score")}
    tbrs = rho(table["tgfb_score"], table["iobr_Pan_F_TBRs"])
    print(f"with IOBR's T-effector: {published}; TGF-beta with IOBR's pan-F-TBRS: {tbrs:.2f}")
    assert published["teff_score"] > 0.9
    assert published["gep_score"] > 0.75
    assert abs(tbrs) > 0.5, "the sign of a principal component is arbitrary"
    response = table["Best.Confirmed.Overall.Response"].map({"CR": 1, "PR": 1, "SD": 0, "PD": 0})
    known = response.notna()
    labels = response[known].to_numpy(int)
    auroc = {s: roc_auc_score(labels, table.loc[known, s].to_numpy()) for s in SCORES}
    print(f"AUROC for response, n = {known.sum()}: " + ", ".join(f"{s} {a:.3f}" for s, a in auroc.items()))
    assert auroc["gep_score"] > 0.65
    assert auroc["tgfb_score"] < 0.5


def test_riaz_published_cytolytic_score(cohorts):
    table = cohorts["riaz2017"]
    found = rho(table["cyt_score"], table["Cytolytic Score"])
    print(f"\nriaz2017: CYT with the published cytolytic score: {found:.3f}, n = {len(table)}")
    assert found > 0.95
