"""The public studies, where they are at hand: each loads by its name, and its numbers are those of the source."""

import numpy as np
import pandas as pd
import pytest

from immunocast.cohort.cbioportal import StudyFolder
from immunocast.config import build, load_config


@pytest.fixture(scope="module")
def load(data_dir):
    def run(name, *overrides):
        cfg = load_config([f"cohort={name}", f"paths.data={data_dir}", *overrides])
        return build(cfg.cohort, "cohort").load()

    return run


def counts(column):
    return column.value_counts().to_dict()


def test_nsclc_pd1_msk_2018(load):
    tables = load("nsclc_pd1_msk_2018")
    table = tables.cohort
    assert len(table) == 240
    assert counts(table["dcb"]) == {0: 158, 1: 69}
    assert counts(table["drug_class"]) == {"pd1_or_pdl1": 206, "pd1_ctla4": 34}
    assert counts(table["tmb_panel"]) == {"IMPACT410": 164, "IMPACT341": 56, "IMPACT468": 20}
    assert table["pdl1_tps"].notna().sum() == 86
    assert table["pdl1_tps"].max() == 100
    assert (table["pfs_event"] == 1).sum() == 198
    assert (table["prior_systemic_therapy"] == 0).sum() == 51
    # durable benefit is what PFS says: nobody with it progressed before six months
    assert table.loc[table["dcb"] == 1, "pfs_months"].min() >= 6 > table.loc[table["dcb"] == 0, "pfs_months"].max()
    # the portal's coding sizes of the three panels, by which every TMB is a whole number of mutations
    size = table["tmb_panel"].map({"IMPACT341": 0.901587, "IMPACT410": 1.021743, "IMPACT468": 1.156473})
    mutations = (table["tmb_mut_mb"] * size).to_numpy()
    np.testing.assert_allclose(mutations, mutations.round(), atol=1e-6)
    assert "data_mutations.txt" in next(c["message"] for c in tables.checks if c["code"] == "IC-STUDY-001")


def test_mel_dfci_2019(load):
    table = load("mel_dfci_2019").cohort
    assert len(table) == 144
    assert counts(table["bor"]) == {"PD": 65, "PR": 38, "SD": 20, "CR": 17, "NE": 4}
    assert counts(table["regimen"]) == {"pembrolizumab": 85, "nivolumab": 59}
    assert counts(table["stage"]) == {"IV": 134, "III": 10}
    assert counts(table["biopsy_timing"]) == {"pre": 139, "on": 5}
    assert counts(table["ecog"]) == {0: 99, 1: 37, 2: 2, 3: 1}
    assert (table["os_event"] == 1).sum() == 72
    assert (table["pfs_event"] == 1).sum() == 103
    assert (table["prior_systemic_therapy"] == 0).sum() == 71
    assert table["tmb_mut_mb"].median() == pytest.approx(8.35)
    assert table["mutation_count"].max() == 9835


def test_blca_iatlas_imvigor210_2017(load):
    table = load("blca_iatlas_imvigor210_2017").cohort
    assert len(table) == 347
    assert counts(table["bor"]) == {"PD": 167, "SD": 63, "PR": 43, "CR": 25}
    assert (table["os_event"] == 1).sum() == 231
    assert table["tmb_mut_mb"].notna().sum() == 242
    assert set(table["drug_class"]) == {"pdl1"}


#: Rows of the MAF that count, counted by eye in the file.
BY_HAND = {
    "TCGA-A2-A04P": 1,
    "TCGA-A1-A0SK": 1,
    "TCGA-A2-A0CM": 1,
    "TCGA-AR-A1AR": 1,
    "TCGA-B6-A0WX": 1,
    "TCGA-BH-A1F0": 1,
    "TCGA-B6-A0I6": 1,
    "TCGA-BH-A18V": 1,
    "TCGA-BH-A18K": 1,
    "TCGA-BH-A0HL": 1,
    "TCGA-BH-A0E0": 1,
    "TCGA-A1-A0SB": 12,
}


def test_study_es_0_mutations_counted_by_hand(load):
    tables = load("study_es_0")
    table = tables.cohort.set_index("patient_id")
    assert len(table) == 841
    assert table["mutation_count"].notna().sum() == 28
    assert {p: table.loc[p, "mutation_count"] for p in BY_HAND} == BY_HAND
    assert table["mutation_count"].sum() == sum(BY_HAND.values()) + 6  # and six made-up samples with one
    for patient in BY_HAND:
        if patient != "TCGA-A1-A0SB":
            assert table.loc[patient, "tmb_mut_mb"] == pytest.approx(1 / 30)
            assert table.loc[patient, "tmb_panel"] == "WES"
    # its sample was taken by a test panel that states no size: a count, and no TMB
    assert pd.isna(table.loc["TCGA-A1-A0SB", "tmb_mut_mb"])
    assert table.loc["TCGA-A1-A0SB", "tmb_panel"] == "TESTPANEL1"
    taken = dict(zip(tables.cohort["patient_id"], tables.unmapped["SAMPLE_ID"], strict=True))
    assert taken["TCGA-A1-A0SB"] == "TCGA-A1-A0SB-01"
    assert taken["TCGA-E2-A15E"] == "TCGA-E2-A15E-01"
    assert (table["os_event"] == 1).sum() == 87
    assert table["os_months"].notna().sum() == 808


def test_study_es_0_with_sizes_and_other_classes(load):
    sizes = "+cohort.mutations.panel_sizes_mb={TESTPANEL1: 0.4, TESTPANEL2: 0.1}"
    table = load("study_es_0", sizes, "+cohort.mutations.counted_classes=[Frame_Shift_Del]").cohort
    table = table.set_index("patient_id")
    assert table.loc["TCGA-A1-A0SB", "mutation_count"] == 3
    assert table.loc["TCGA-A1-A0SB", "tmb_mut_mb"] == pytest.approx(3 / 0.4)
    assert table.loc["TCGA-A2-A04P", "tmb_mut_mb"] == 0


@pytest.mark.parametrize("study", ["nsclc_pd1_msk_2018", "mel_dfci_2019", "blca_iatlas_imvigor210_2017", "study_es_0"])
def test_any_study_loads_by_its_folder(load, data_dir, study):
    tables = load("cbioportal", f"cohort.folder={data_dir}/cbioportal/{study}")
    named = load(study)
    assert tables.provenance.name == study
    assert tables.cohort["patient_id"].tolist() == named.cohort["patient_id"].tolist()
    for column in ("tmb_mut_mb", "os_months", "pfs_months", "pfs_event", "sex"):
        if column in named.cohort:
            pd.testing.assert_series_equal(tables.cohort[column], named.cohort[column])


def test_a_pointer_in_place_of_the_maf_leaves_the_rest(data_dir, tmp_path):
    import shutil

    folder = tmp_path / "study_es_0"
    shutil.copytree(data_dir / "cbioportal/study_es_0", folder, copy_function=shutil.copyfile)
    (folder / "data_mutations_extended.maf").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 52391\n"
    )
    tables = StudyFolder(folder=folder).load()
    assert len(tables.cohort) == 841
    assert "tmb_mut_mb" not in tables.cohort
    assert any(c["code"] == "IC-STUDY-002" and "52,391 bytes" in c["message"] for c in tables.checks)


def test_the_attribute_behind_each_column_is_known(data_dir):
    """Checks look at headers for what is known only after baseline."""
    tables = StudyFolder(folder=data_dir / "cbioportal" / "mel_dfci_2019").load()
    sources = tables.sources["mel_dfci_2019"]
    assert sources["os_months"] == "OS_MONTHS"
    assert set(sources) <= set(tables.cohort)
