"""How far two columns of TMB differ, and when that is a warning."""

import numpy as np
import pytest

from immunocast.cohort.cbioportal.compare import compare_tmb


@pytest.mark.parametrize(
    ("clinical", "maf", "code"),
    [
        ([1.0, 2.0, 30.0, 4.0, 5.0], [1.0, 2.0, 30.0, 4.0, np.nan], "IC-MAF-010"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [0.07, 0.14, 0.21, 0.28, 0.35], "IC-MAF-015"),  # all by a third
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 40.0, 50.0], "IC-MAF-015"),  # two of five far away
        ([1.0, 2.0, 3.0], [np.nan] * 3, None),
    ],
)
def test_severity(clinical, maf, code):
    found = compare_tmb(np.array(clinical), np.array(maf), "clinical", "c")
    assert (found and found["code"]) == code
