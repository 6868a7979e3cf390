"""What a run's tables say of themselves."""

import pandas as pd
import pytest

from immunocast.cohort.synthetic import SyntheticCohort
from immunocast.errors import NotFoundError
from immunocast.store.describe import describe, meaning
from immunocast.store.runfolder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    tables = SyntheticCohort(n_patients=60, seed=1).load()
    folder.write_table("cohort", tables.cohort)
    folder.write_table("metrics", pd.DataFrame())
    return folder


def test_describe(run):
    assert describe(run)[["table", "rows"]].to_numpy().tolist() == [["cohort", 60], ["metrics", 0]]
    columns = describe(run, "cohort").set_index("column")
    assert columns.loc["nlr", "meaning"].startswith("Neutrophil-to-lymphocyte ratio")
    assert columns.loc["albumin_g_dl", "meaning"] == "Albumin in serum. Unit: g/dL."
    assert meaning("cohort", "nlr_measured").startswith("0 where whoever published")
    assert meaning("shap", "nlr") == "SHAP value of NLR"
    assert (columns["meaning"] != "").all()
    assert (describe(run, "metrics")["meaning"] != "").all()
    with pytest.raises(NotFoundError, match="no table 'x'"):
        describe(run, "x")
    with pytest.raises(NotFoundError, match="has not run"):
        describe(run, "shap")
