"""What a mapping can say beyond sources, units and codings: each key on a file, and what is told of it."""

import pytest

from immunocast.cohort.mapping import parse_mapping
from immunocast.cohort.tabular import TabularCohort, read_patients
from immunocast.errors import ConfigError, DataError


@pytest.fixture
def load(tmp_path):
    def run(text, name="cohort.csv", **settings):
        (tmp_path / name).write_bytes(text.encode(settings.get("encoding", "utf-8")))
        columns = {"patient_id": "id", **settings.pop("columns")}
        return TabularCohort(file=name, data_dir=tmp_path, columns=columns, **settings).load()

    return run


def column(tables, name):
    return [None if v != v else v for v in tables.cohort[name].astype(object).where(tables.cohort[name].notna(), None)]


def told(tables, code):
    return " | ".join(c["message"] for c in tables.checks if c["code"] == code)


def test_counts_become_per_megabase_by_a_stated_panel_size(load):
    one = load("id,n\n1,11\n2,\n", columns={"tmb_mut_mb": {"source": "n", "unit": "count", "panel_mb": 1.1}})
    assert column(one, "tmb_mut_mb") == [pytest.approx(10), None]
    sizes = {"source": "panel", "coding": {"A": 1.0, "B": 2.0}}
    by_panel = load(
        "id,n,panel\n1,10,A\n2,10,B\n3,10,\n",
        columns={"tmb_mut_mb": {"source": "n", "unit": "count", "panel_mb": sizes}},
    )
    assert column(by_panel, "tmb_mut_mb") == [10, 5, None]
    assert "missing for 1: 1 without divisor (panel)" in told(by_panel, "IC-FILE-007")


def test_ldh_by_its_upper_limit(load):
    columns = {"ldh_uln": {"source": "LDH", "unit": "U/L", "uln": 250}}
    assert column(load("id,LDH\n1,500\n", columns=columns), "ldh_uln") == [2]
    columns = {"ldh_uln": {"source": "LDH", "uln": {"source": "ULN"}, "missing": ["x"]}}
    rows = load("id,LDH,ULN\n1,500,250\n2,x,250\n3,100,0\n", columns=columns)
    assert column(rows, "ldh_uln") == [2, None, None]
    assert "1 where the divisor is not above 0" in told(rows, "IC-FILE-007")


def test_inverted_flags(load):
    rows = load(
        "id,t,c,d\n1,2,0,1:DECEASED\n2,3,1,0:LIVING\n3,3,,dead\n",
        columns={"pfs_months": "t", "pfs_event": {"source": "c", "inverted": True}, "os_event": "d"},
    )
    assert column(rows, "pfs_event") == [1, 0, None]
    assert column(rows, "os_event") == [1, 0, 1]
    assert "'1:DECEASED' as 1 (1)" in told(rows, "IC-FILE-006")
    with pytest.raises(DataError, match="neither 0 nor 1"):  # a word says what it means: inverting it would lie
        load("id,c\n1,dead\n", columns={"os_event": {"source": "c", "inverted": True}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("POD", "PD"),
        ("POD/brain", "PD"),
        ("POD/death", "PD"),
        ("Progressive Disease", "PD"),
        ("PARTIAL RESPONSE", "PR"),
        ("Partial Response (PR)", "PR"),
        ("complete_response", "CR"),
        ("Stable disease", "SD"),
        ("not evaluable", "NE"),
        ("cr", "CR"),
    ],
)
def test_recist_spellings(load, text, value):
    rows = load(f"id,r\n1,{text}\n", columns={"bor": "r"})
    assert column(rows, "bor") == [value]
    if text.upper() != value:
        assert f"{text!r} as {value}" in told(rows, "IC-FILE-006")


@pytest.mark.parametrize("text", ["NR", "MR", "uPR", "PD/SD", "irPD", "PR or better", "R", "POD/improved"])
def test_no_guess_at_doubtful_responses(load, text):
    with pytest.raises(DataError, match="not one of CR, PR, SD, PD, NE"):
        load(f"id,r\n1,{text}\n", columns={"bor": "r"})
    coded = load(f"id,r\n1,{text}\n2,POD\n", columns={"bor": {"source": "r", "coding": {text: "SD"}}})
    assert column(coded, "bor") == ["SD", "PD"]  # a coding adds to the table, it doesn't replace it


def test_marks_and_limits(load):
    spec = {"source": "x", "strip": ["*"], "below_range": {"codes": ["OOR <"], "as": "half_limit", "limit": 0.4}}
    text = "id,x\n1,*5.88\n2,OOR <\n3,<0.6\n4,7\n5,\n"
    rows = load(text, columns={"il6_pg_ml": spec})
    assert column(rows, "il6_pg_ml") == [5.88, 0.2, 0.3, 7, None]
    assert "'*5.88' as 5.88 (1)" in told(rows, "IC-FILE-008")
    assert "below the range of the assay in 2 cells" in told(rows, "IC-FILE-008")
    as_missing = {**spec, "below_range": {"codes": ["OOR <"], "as": "missing"}}
    assert column(load(text, columns={"il6_pg_ml": as_missing}), "il6_pg_ml") == [5.88, None, None, 7, None]
    above = {"source": "x", "unit": "fraction", "above_range": {"as": "limit"}}
    assert column(load("id,x\n1,>0.9\n", columns={"pdl1_tps": above}), "pdl1_tps") == [90]
    with pytest.raises(DataError, match="the limit is not known"):
        load("id,x\n1,OOR\n", columns={"il6_pg_ml": {"source": "x", "below_range": {"codes": ["OOR"], "as": "limit"}}})


def test_coalesce_takes_the_first_known(load):
    reads = ["JS", {"source": "clinic", "unit": "fraction"}]
    rows = load("id,JS,clinic\n1,5,0.9\n2,,0.9\n3,,\n", columns={"pdl1_tps": {"coalesce": reads}})
    assert column(rows, "pdl1_tps") == [5, 90, None]
    later = [{"source": "absent", "optional": True}, "JS"]
    assert column(load("id,JS\n1,5\n", columns={"pdl1_tps": {"coalesce": later}}), "pdl1_tps") == [5]
    with pytest.raises(DataError, match="no such column"):
        load("id,JS\n1,5\n", columns={"pdl1_tps": {"coalesce": ["absent", "JS"]}})


BLOOD = "id,anc,alc,wbc,plt\n1,4000,2000,6000,200\n2,4000,0,4000,200\n3,,1000,5000,\n"


def cells(name):
    return {"source": name, "unit": "/uL"}


def test_ratios_of_blood_cells(load):
    n, ly, wbc = cells("anc"), cells("alc"), cells("wbc")
    rows = load(
        BLOOD,
        columns={
            "nlr": {"derive": {"rule": "nlr", "neutrophils": n, "lymphocytes": ly}},
            "dnlr": {"derive": {"rule": "dnlr", "neutrophils": n, "leukocytes": wbc}},
            "plr": {"derive": {"rule": "plr", "platelets": "plt", "lymphocytes": ly}},
            "sii": {"derive": {"rule": "sii", "platelets": "plt", "neutrophils": n, "lymphocytes": ly}},
        },
    )
    assert column(rows, "nlr") == [2, None, None]
    assert column(rows, "dnlr") == [2, None, None]
    assert column(rows, "plr") == [100, None, None]
    assert column(rows, "sii") == [400, None, None]
    assert "nlr is derived by nlr from anc, alc for 1 patients, missing for 2" in told(rows, "IC-FILE-007")
    assert "1 without neutrophils (anc); 1 where lymphocytes is not above 0" in told(rows, "IC-FILE-007")
    with pytest.raises(DataError, match="unit: /uL"):  # a count of another unit is told, not divided
        load(BLOOD, columns={"nlr": {"derive": {"rule": "nlr", "neutrophils": "anc", "lymphocytes": "alc"}}})


def test_time_between_days_and_dates(load):
    end = {"coalesce": ["death", "contact"]}
    columns = {
        "os_months": {"derive": {"rule": "time_between", "start": "start", "end": end}},
        "os_event": {"derive": {"rule": "is_known", "of": "death"}},
    }
    rows = load("id,start,death,contact\n1,100,465.25,\n2,100,,282.625\n3,,9,\n", columns=columns)
    assert column(rows, "os_months") == [pytest.approx(12), pytest.approx(6), None]
    assert column(rows, "os_event") == [1, 0, 1]
    dates = load("id,start,death,contact\n1,2020-01-01,,2021-01-01\n", columns=columns)
    assert column(dates, "os_months") == [pytest.approx(366 / 365.25 * 12)]
    with pytest.raises(DataError, match="end comes before the start"):
        load("id,start,death,contact\n1,100,90,\n", columns=columns)
    with pytest.raises(DataError, match="both are dates, or both numbers"):
        load("id,start,death,contact\n1,100,2020-01-01,\n", columns=columns)
    with pytest.raises(DataError, match="neither a date"):
        load("id,start,death,contact\n1,4/7/15,,5/7/15\n", columns=columns)
    start = {"source": "start", "date_format": "%d/%m/%y"}
    year = {"treatment_start_year": {"derive": {"rule": "year_of", "date": start}}}
    assert column(load("id,start,nlr\n1,4/7/15,1\n2,,1\n", columns=year | {"nlr": "nlr"}), "treatment_start_year") == [
        2015,
        None,
    ]


def test_flags_and_bands(load):
    rows = load(
        "id,site,a,b,tps,n\n1,Liver; Bone,1,0,0.5,2\n2,liverwort,0,0,1,0\n3,,0,,50,\n4,Bone,1,,,1\n",
        columns={
            "liver_metastasis": {"derive": {"rule": "contains", "of": "site", "words": ["liver"]}},
            "ap_loss": {"derive": {"rule": "any_of", "of": ["a", "b"]}},
            "pdl1_tc": {"derive": {"rule": "bands", "of": "tps", "cuts": [1, 5], "labels": ["TC0", "TC1", "TC2+"]}},
            "prior_systemic_therapy": {"derive": {"rule": "threshold", "of": "n", "at_least": 1}},
        },
    )
    assert column(rows, "liver_metastasis") == [1, 0, None, 0]
    assert column(rows, "ap_loss") == [1, 0, None, 1]
    assert column(rows, "pdl1_tc") == ["TC0", "TC1", "TC2+", None]
    assert column(rows, "prior_systemic_therapy") == [1, 0, None, 1]


def test_derived_values_out_of_range_are_told(load):
    columns = {"fcna": {"derive": {"rule": "ratio", "numerator": "a", "denominator": "b"}}}
    with pytest.raises(DataError, match="column a \\+ b, row 2: fcna comes out of ratio outside of 0-1"):
        load("id,a,b\n1,3,2\n", columns=columns)


def test_row_filters_are_counted(load):
    text = "id,arm,when,nlr\n1,A,pre,2\n2,B,pre,bad\n3,A,on,x\n3,A,pre,4\n"
    rows = [
        {"keep": {"arm": ["A"]}, "because": "one arm"},
        {"drop": {"when": ["ON"]}, "because": "taken on treatment"},
    ]
    tables = load(text, columns={"nlr": "nlr"}, rows=rows)
    assert column(tables, "nlr") == [2, 4]
    assert [c["n"] for c in tables.checks if c["code"] == "IC-FILE-005"] == [1, 1]
    assert "by arm: one arm" in told(tables, "IC-FILE-005")
    assert list(tables.unmapped) == ["arm", "when"]
    assert len(tables.unmapped) == 2
    with pytest.raises(DataError, match="no row has 'C'"):
        load(text, columns={"nlr": "nlr"}, rows={"keep": {"arm": ["A", "C"]}, "because": "x"})
    with pytest.raises(DataError, match="leave no row"):
        load(text, columns={"nlr": "nlr"}, rows={"drop": {"arm": ["A", "B"]}, "because": "x"})
    with pytest.raises(DataError, match=r"wanted by `rows`.*Did you mean 'arm'"):
        load(text, columns={"nlr": "nlr"}, rows={"drop": {"arms": ["A"]}, "because": "x"})


def test_semicolons_decimal_commas_and_windows_letters(load):
    text = "Klinik Düsseldorf\n\nid;Größe;nlr\n1;x;2,5\n2;y;1e1\n"
    settings = {"delimiter": ";", "decimal": ",", "encoding": "windows-1252", "header_row": 3}
    rows = load(text, columns={"nlr": "nlr", "site_id": "Größe"}, **settings)
    assert column(rows, "nlr") == [2.5, 10]


def test_scores_never_leave_out_rows(tmp_path):
    (tmp_path / "new.csv").write_text("id,arm,nlr\n1,A,2\n2,B,3\n")
    mapping = {"columns": {"patient_id": "id", "nlr": "nlr"}, "rows": {"keep": {"arm": ["A"]}, "because": "x"}}
    assert read_patients(tmp_path / "new.csv", mapping).table["patient_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tmb_mut_mb": {"source": "n", "unit": "count"}}, r"needs the size of the panel in Mb: `panel_mb"),
        ({"ldh_uln": {"source": "n", "unit": "U/L"}}, r"needs the upper limit of normal: `uln"),
        ({"nlr": {"source": "n", "uln": 3}}, r"uln: is not for nlr"),
        ({"tmb_mut_mb": {"source": "n", "unit": "mut/Mb", "panel_mb": 1}}, r"panel_mb does not go with unit"),
        ({"tmb_mut_mb": {"source": "n", "unit": "count", "panel_mb": 0}}, r"above 0 or a column"),
        ({"nlr": {"source": "n", "inverted": True}}, r"nlr is no 0/1 flag"),
        ({"os_event": {"inverted": True, "coding": {0: 1}}}, r"the coding says it"),
        ({"bor": {"below_range": {"as": "missing"}}}, r"bor is not a number"),
        ({"nlr": {"below_range": {"as": "zero"}}}, r"one of missing, half_limit, limit"),
        ({"nlr": {"above_range": {"as": "half_limit"}}}, r"one of missing, limit"),
        ({"nlr": {"strip": [" "]}}, r"an empty mark"),
        ({"nlr": {"coalesce": ["a"]}}, r"two columns or more"),
        ({"nlr": {"coalesce": ["a", "b"], "factor": 2}}, r"beside the source that it concerns"),
        ({"nlr": {"derive": {"rule": "nrl"}}}, r"no rule 'nrl'. Did you mean 'nlr'"),
        ({"nlr": {"derive": {"rule": "nlr", "neutrophils": "a"}}}, r"rule nlr needs lymphocytes"),
        ({"plr": {"derive": {"rule": "nlr", "neutrophils": "a", "lymphocytes": "b"}}}, r"yields nlr, not plr"),
        ({"smoker": {"derive": {"rule": "threshold", "of": "a"}}}, r"give one of at_least, above"),
        ({"pdl1_ic": {"derive": {"rule": "bands", "of": "a", "cuts": [1], "labels": ["IC0"]}}}, r"make 2 bands"),
        ({"pdl1_ic": {"derive": {"rule": "bands", "of": "a", "cuts": [1], "labels": ["IC0", "x"]}}}, r"'x' is not"),
        ({"smoker": {"derive": {"rule": "contains", "of": "a", "words": "x"}}}, r"must be a list of texts"),
        (
            {"os_months": {"derive": {"rule": "time_between", "start": {"source": "a", "unit": "moons"}}}},
            r"unit of time",
        ),
        ({"nlr": {"value": 3, "unit": "x"}}, r"is for cells of a source"),
    ],
)
def test_mistakes_in_the_language(columns, message):
    with pytest.raises(ConfigError, match=message):
        parse_mapping({"columns": {"patient_id": "id", **columns}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": {"keep": {"a": [1]}}}, r"say why in `because`"),
        ({"rows": {"keep": {}, "because": "x"}}, r"name a column"),
        ({"rows": {"keep": {"a": [[1]]}, "because": "x"}}, r"must be a list of cells"),
        ({"rows": 3}, r"rows: must be a list"),
        ({"decimal": ";"}, r"decimal: must be"),
        ({"encoding": "klingon"}, r"encoding: 'klingon' is not known"),
        ({"encoding": "rot13"}, r"encoding: 'rot13' is not known"),
        ({"header_row": 0}, r"row number from 1"),
    ],
)
def test_mistakes_in_the_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        parse_mapping({"columns": {"patient_id": "id"}, **settings})


def test_a_mapping_that_contains_itself_is_refused():
    entry: dict = {"coalesce": ["a", "b"]}
    entry["coalesce"][1] = entry
    with pytest.raises(ConfigError, match="nested too deep"):
        parse_mapping({"columns": {"patient_id": "id", "nlr": entry}})
