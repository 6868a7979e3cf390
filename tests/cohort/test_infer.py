"""Proposed mappings: what headers and values tell, what they do not, and what is never placed with confidence."""

import datetime
import os
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from immunocast.cohort.infer import propose_mapping, to_yaml
from immunocast.cohort.infer.candidate import SURE
from immunocast.cohort.mapping_files import load_mapping
from immunocast.cohort.tabular import TabularCohort
from immunocast.errors import DataError

N = 60
RANDOM = np.random.default_rng(7)
BOR = [("CR", "PR", "SD", "PD", "PD", "PD")[i % 6] for i in range(N)]
IDS = [f"P{i:03}" for i in range(N)]


@pytest.fixture
def propose(tmp_path):
    def run(mend=True, **columns):
        path = tmp_path / "unknown.csv"
        pd.DataFrame({"Patient": IDS, **{k: v for k, v in columns.items()}}).to_csv(path, index=False)
        return propose_mapping(path, mend=mend)

    return run


def entry(proposal, name):
    return next((p for p in proposal.placed if p.name == name), None)


def why_not(proposal, header):
    return next(u.why for u in proposal.unplaced if u.header == header)


def around(median, spread, digits=1):
    return np.round(median + spread * RANDOM.uniform(-1, 1, N), digits)


@pytest.mark.parametrize(
    ("header", "name", "values", "unit"),
    [
        ("Albumin", "albumin_g_dl", around(3.9, 0.6), None),
        ("Albumin", "albumin_g_dl", around(39, 6), "g/L"),
        ("ALB_umol/L", "albumin_g_dl", around(580, 80), "umol/L"),
        ("Hb", "hemoglobin_g_dl", around(118, 20, 0), "g/L"),
        ("Hgb (mmol/L)", "hemoglobin_g_dl", around(7.4, 1), "mmol/L"),
        ("PLT", "platelets_10e9_l", around(240_000, 90_000, 0), "/uL"),
        ("ANC (cells/uL)", "neutrophils_10e9_l", around(4800, 2000, 0), "/uL"),
        ("PD-L1 TPS", "pdl1_tps", around(0.4, 0.4, 2), "fraction"),
        ("PD-L1 TPS (%)", "pdl1_tps", around(40, 40, 0), None),
        ("tumour purity", "tumor_purity", around(45, 30, 0), "percent"),
        ("OS", "os_months", around(400, 350, 0), "days"),
        ("OS_weeks", "os_months", around(55, 40), "weeks"),
        ("PFS", "pfs_months", np.round(around(120, 100, 0) / 30.4375, 6), None),
        ("PFS", "pfs_months", np.round(around(120, 100, 0) / 7, 6), "weeks"),
        ("Age at diagnosis (days)", "age_years", around(22_000, 4000, 0), "days"),
    ],
)
def test_units_by_header_and_values(propose, header, name, values, unit):
    found = entry(propose(**{header: values, "BOR": BOR}), name)
    assert found.spec.get("unit") == unit
    assert found.confidence >= SURE
    assert not found.doubts


def test_a_unit_against_the_header_is_doubtful(propose):
    found = entry(propose(**{"OS (months)": around(500, 400, 0)}), "os_months")
    assert found.spec["unit"] == "days"
    assert found.confidence < SURE
    assert "the header says months" in found.doubts[0]


def test_for_checks_the_file_is_taken_at_its_word(propose):
    """A mapping that mends what the header says would hide the trap from the checks."""
    progressed = [int(b == "PD") for b in BOR]
    columns = {
        "OS_Months": around(350, 40, 0),
        "ALB (g/dL)": around(39, 6),
        "PFS_Event": [1 - e for e in progressed],
        "PD-L1 TPS (%)": around(0.4, 0.4, 2),
        "BOR": BOR,
    }
    mended, taken = propose(**columns), propose(mend=False, **columns)
    assert entry(mended, "os_months").spec["unit"] == "days"
    assert entry(mended, "albumin_g_dl").spec["unit"] == "g/L"
    assert entry(mended, "pfs_event").spec["inverted"] is True
    assert entry(mended, "pdl1_tps").spec["unit"] == "fraction"
    for name in ("os_months", "albumin_g_dl", "pfs_event", "pdl1_tps"):
        assert set(entry(taken, name).spec) == {"source"}
        assert "the header says" in entry(taken, name).doubts[0]


def test_mixed_units_in_one_column_are_placed_for_a_look(propose):
    albumin = np.where(np.arange(N) % 5 == 0, around(39, 5), around(3.9, 0.5))
    found = entry(propose(Albumin=albumin), "albumin_g_dl")
    assert 0.5 <= found.confidence < SURE
    assert "12 values are outside of 0.5 to 7 and will be refused" in found.doubts


def test_two_columns_of_one_time_tell_each_others_unit(propose):
    weeks = around(18, 15)
    proposal = propose(PFS=np.round(weeks * 7), PFSWK=weeks)
    assert entry(proposal, "pfs_months").spec == {"source": "PFS", "unit": "days"}
    assert "times 'PFSWK' in weeks" in entry(proposal, "pfs_months").why


def test_counts_are_no_mutations_per_megabase_unless_the_header_says_so(propose):
    counts = around(180, 150, 0)
    assert entry(propose(TMB=counts), "tmb_mut_mb") is None
    assert "give `unit: count, panel_mb`" in why_not(propose(TMB=counts), "TMB")
    assert entry(propose(TMB_per_Mb=around(8, 7, 0)), "tmb_mut_mb").confidence >= SURE
    doubtful = entry(propose(TMB=around(8, 7, 0)), "tmb_mut_mb")
    assert doubtful.confidence < SURE
    assert "a count of a panel" in doubtful.doubts[0]
    assert entry(propose(TMB=around(8, 7)), "tmb_mut_mb").confidence >= SURE
    assert entry(propose(nonsyn_muts=counts), "mutation_count").confidence >= SURE


@pytest.mark.parametrize(
    ("header", "values", "why"),
    [
        ("Albumin", RANDOM.normal(0, 1, N), "standardised"),
        ("TMB", RANDOM.normal(0, 1, N), "standardised"),
        ("LDH", around(260, 120, 0), "needs the upper limit"),
        ("LDH", [0, 1] * (N // 2), "it is a flag"),
        ("ECOG", [70, 80, 90] * (N // 3), "Karnofsky"),
        ("lymphocytes (%)", around(22, 10), "percentage of the leukocytes"),
        ("PD-L1", [0, 1, 2] * (N // 3), "are classes, no percentages"),
        ("Stage", [0, 1] * (N // 2), "without a legend"),
        ("MSI", [0, 1] * (N // 2), "without a legend"),
        ("cyclesOnTherapy", around(9, 8, 0), "known only afterwards"),
        ("predicted_response", RANDOM.uniform(0, 1, N), "a model's earlier output"),
        ("survival_1yr", [0, 1] * (N // 2), "the outcome, cut at a time"),
        ("ctDNA clearance C3D1", [0, 1] * (N // 2), "left out"),
        ("therapy_end", around(20_000, 900, 0), "a date after baseline"),
    ],
)
def test_what_is_not_placed(propose, header, values, why):
    proposal = propose(**{header: values})
    assert [p.name for p in proposal.placed] == ["patient_id"]
    assert why in why_not(proposal, header)


def test_polarity_is_what_happened_to_the_patients(propose):
    progressed = [int(b == "PD") for b in BOR]
    censored = [1 - e for e in progressed]
    said = entry(propose(BOR=BOR, **{"PFS.CNSR": censored}), "pfs_event")
    assert said.spec["inverted"] is True
    assert said.confidence >= SURE
    # a column called "censored" that holds events is used both ways in published files
    wrong = entry(propose(BOR=BOR, PFS_CNSR=progressed), "pfs_event")
    assert "inverted" not in wrong.spec
    assert "the header says 1 = censored, but" in wrong.doubts[0]
    alone = entry(propose(OS_CNSR=censored), "os_event")
    assert alone.spec["inverted"] is True
    assert alone.confidence < SURE
    silent = propose(OS_flag=[0, 1] * (N // 2))
    assert entry(silent, "os_event") is None
    assert "neither the header nor the patients" in why_not(silent, "OS_flag")


def test_words_and_legends(propose):
    proposal = propose(
        **{
            "OS status": ["1:DECEASED", "0:LIVING"] * (N // 2),
            "Sex (1:Male; 0:Female)": [0, 1] * (N // 2),
            "Stage (1:IV; 0:I-III)": [0, 1] * (N // 2),
            "Response": [("Partial Response", "Stable Disease", "POD/brain")[i % 3] for i in range(N)],
            "Drug": ["Nivolumab", "Ipilimumab+Nivolumab", "MPDL3280A"] * (N // 3),
            "Cancer type": ["Lung adenocarcinoma", "Renal cell carcinoma", "Cutaneous melanoma"] * (N // 3),
        }
    )
    assert entry(proposal, "os_event").spec == {"source": "OS status"}
    assert entry(proposal, "sex").spec["coding"] == {"0": "female", "1": "male"}
    assert entry(proposal, "stage").spec["coding"] == {"0": "I-III", "1": "IV"}
    assert entry(proposal, "bor").confidence >= SURE
    assert [*entry(proposal, "drug_class").spec["coding"].values()] == ["pd1", "pd1_ctla4", "pdl1"]
    assert [*entry(proposal, "tumor_type").spec["coding"].values()] == ["NSCLC", "Renal", "Melanoma"]


def test_a_response_by_another_rule_is_no_objective_response(propose):
    by_recist = [int(b in ("CR", "PR")) for b in BOR]
    assert entry(propose(BOR=BOR, responder_yn=by_recist, Responder=by_recist), "responder").confidence >= SURE
    other = ["R" if b in ("CR", "PR", "SD") else "NR" for b in BOR]
    proposal = propose(BOR=BOR, response=other)
    assert entry(proposal, "responder") is None
    assert "another rule" in why_not(proposal, "response")


def test_missing_codes_limits_and_constants(propose):
    odd = [("OOR <", "*5.88", "12.5", "unknown", "7")[i % 5] for i in range(N)]
    packs = [999 if i % 20 == 0 else i for i in range(N)]
    proposal = propose(**{"IL-6": odd, "pack years": packs, "NLR": [6.2] * N})
    spec = entry(proposal, "il6_pg_ml").spec
    assert spec["strip"] == ["*"]
    assert spec["below_range"] == {"codes": ["OOR <"], "as": "missing"}
    assert spec["missing"] == ["unknown"]
    assert entry(proposal, "pack_years").spec["missing"] == [999]
    assert "999 is taken for a missing code" in entry(proposal, "pack_years").doubts
    assert entry(proposal, "nlr").confidence < SURE
    assert "a constant that somebody put in" in entry(proposal, "nlr").doubts[0]


def test_the_second_of_two_reads_is_named(propose):
    proposal = propose(**{"JS PD-L1 score": around(40, 40, 0), "Clinical PD-L1 score (%)": around(40, 40, 0)})
    assert len(entry(proposal, "pdl1_tps").alternatives) == 1
    assert any("a second column for pdl1_tps" in u.why for u in proposal.unplaced)


def test_survival_of_the_deceased_only_is_rebuilt_from_dates(propose):
    start = around(20_000, 500, 0)
    dead = np.arange(N) % 2 == 0
    end = start + around(400, 350, 0)
    columns = {
        "Drug start date": start,
        "Date of death": np.where(dead, end, np.nan),
        "Date of last contact": end,
        "Overall survival": np.where(dead, np.round((end - start) / 30.44, 1), np.nan),
        "Deceased": dead.astype(int),
    }
    proposal = propose(**columns)
    found = entry(proposal, "os_months")
    assert found.spec["derive"]["end"] == {"coalesce": ["Date of death", "Date of last contact"]}
    assert "'Overall survival' is given for the deceased only" in found.doubts
    del columns["Drug start date"]
    assert "the deceased?" in entry(propose(**columns), "os_months").doubts[0]


def test_an_id_that_repeats_beside_one_that_does_not(tmp_path):
    frame = pd.DataFrame(
        {"patient_no": [f"A{i // 2}" if i < 4 else f"A{i}" for i in range(30)], "sample_id": range(30)}
    )
    frame["NLR"] = 3.5
    frame.to_csv(tmp_path / "a.csv", index=False)
    proposal = propose_mapping(tmp_path / "a.csv")
    assert entry(proposal, "patient_id").header == "sample_id"
    assert entry(proposal, "person_id").header == "patient_no"


@pytest.mark.parametrize(
    ("name", "content", "settings", "nlr"),
    [
        (
            "a.csv",
            "Patient;NLR;Alter\n1;2,5;60\n2;3,5;61\n3;4,5;62\n4;1,5;63\n",
            {"delimiter": ";", "decimal": ","},
            2.5,
        ),
        ("a.csv", "\ufeffPatient,NLR,Age\n1,2.5,60\n2,3.5,61\n", {}, 2.5),
        ("a.csv", "Export,,\nof 2024,,\nPatient,NLR,Age\n1,2.5,60\n2,3.5,61\n", {"header_row": 3}, 2.5),
        ("a.csv", "Export of 2024\n\nPatient,NLR,Age\n1,2.5,60\n2,3.5,61\n3,3,60\n", {"header_row": 3}, 2.5),
        (
            "a.txt",
            "#Patient id\tRatio\tAge\n#STRING\tNUMBER\tNUMBER\nPATIENT\tNLR\tAGE\n1\t2.5\t60\n",
            {"header_row": 3},
            2.5,
        ),
    ],
)
def test_layouts_are_found_and_the_proposal_loads(tmp_path, name, content, settings, nlr):
    (tmp_path / name).write_text(content, encoding="utf-8")
    proposal = propose_mapping(tmp_path / name)
    assert {k: v for k, v in proposal.mapping.items() if k != "columns"} == settings
    assert TabularCohort(file=tmp_path / name, **proposal.mapping).load().cohort["nlr"].iloc[0] == nlr


def test_another_encoding_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes("Patient,NLR,Größe\n1,2.5,x\n2,3.5,y\n".encode("cp1252"))
    proposal = propose_mapping(tmp_path / "a.csv")
    assert proposal.mapping["encoding"] == "windows-1252"
    assert "not UTF-8" in proposal.notes[0]


def test_a_number_that_a_spreadsheet_made_a_date(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Patient", "NLR", "Age"])
    for i in range(20):
        book.active.append([i, datetime.datetime(2020, 5, 3) if i < 15 else 3.5, 60 + i])
    book.save(tmp_path / "a.xlsx")
    proposal = propose_mapping(tmp_path / "a.xlsx")
    assert entry(proposal, "nlr") is None
    assert "its cells are no numbers ('2020-05-03" in why_not(proposal, "NLR")


def test_a_workbook_of_several_sheets_asks_which(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Patient", "NLR"])
    book.active.append([1, 2.5])
    book.create_sheet("other").append(["Patient", "NLR"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="the workbook has 2 sheets"):
        propose_mapping(tmp_path / "a.xlsx")
    proposal = propose_mapping(tmp_path / "a.xlsx", "Sheet")
    assert proposal.mapping["sheets"] == {"Sheet": {}}
    assert len(TabularCohort(file=tmp_path / "a.xlsx", **proposal.mapping).load().cohort) == 1


def test_the_yaml_says_all_and_loads(propose, tmp_path):
    proposal = propose(BOR=BOR, **{"OS (months)": around(500, 400, 0), "LDH": around(260, 120, 0), "a: #b\n'": BOR})
    text = to_yaml(proposal, "clinic")
    assert "# CHECK: the header says months" in text
    assert "'LDH': looks like ldh_uln, but it is an activity" in text
    (tmp_path / "clinic.yaml").write_text(text)
    mapping = load_mapping(tmp_path / "clinic.yaml", tmp_path)
    assert len(TabularCohort(**mapping).load().cohort) == N


def test_the_yaml_asks_for_the_tumour_type_where_no_column_tells_it(propose):
    assert "# tumor_type: {value: ...}" in to_yaml(propose(BOR=BOR), "clinic")
    types = ["NSCLC", "Melanoma"] * (N // 2)
    assert "# tumor_type: {value: ...}" not in to_yaml(propose(BOR=BOR, **{"Cancer type": types}), "clinic")


@pytest.mark.parametrize("end", [",,,", ",,7"])
def test_a_patient_is_never_taken_for_the_header(tmp_path, end):
    path = tmp_path / "unknown.csv"
    rows = "".join(f"{i},PR,{60 + i % 20},5.{i % 10}{end}\n" for i in range(60))
    path.write_text("MRN,BOR,Age,TMB (mut/Mb)\n" + rows)
    if end == ",,7":
        with pytest.raises(DataError, match="the header has 4 cells, row 2 has 6"):
            propose_mapping(path)
    else:
        assert propose_mapping(path).n_rows == 60


def test_the_public_cohorts_hold_no_sure_mistake(data_dir, root):
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import bench_map
    finally:
        sys.path.remove(str(root / "benchmarks"))
    hits = bench_map.run(Path(os.environ.get("IMMUNOCAST_DATA", data_dir)))
    assert [h.sure_and_wrong for h in hits] == [[] for _ in hits]
    assert sum(len(h.right) for h in hits) >= 255
    assert sum(len(h.wrong) for h in hits) <= 2


def test_survival_times_that_do_not_repeat_are_no_ids(tmp_path):
    frame = pd.DataFrame({"BOR": BOR, "OS (days)": range(30, 30 + 7 * N, 7), "OS status": ["dead", "alive"] * (N // 2)})
    frame.to_csv(tmp_path / "noid.csv", index=False)
    proposal = propose_mapping(tmp_path / "noid.csv")
    assert "patient_id" not in {p.name for p in proposal.placed}
    assert any("numbers of the rows" in note for note in proposal.notes)
