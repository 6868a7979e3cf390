"""Reproduce the published numbers of LORIS on the published workbook, and print them beside their targets.

The view as_published is read: imputed constants stay in, as in the paper. No number here is a claim about new
patients; Chowell_train fitted the formula.
"""

import sys
from pathlib import Path

import pandas as pd

from immunocast.cohort.sources import read_raw_sheet
from immunocast.config import build, load_config
from immunocast.errors import ImmunocastError
from immunocast.features.preprocess import model_frame
from immunocast.metrics import auroc
from immunocast.models.loris import LorisPanCancer

#: AUROC of the pan-cancer formula by sheet (Chang et al., Nature Cancer 2024, computed on the public workbook).
TARGETS = {
    "Chowell_train": 0.7414,
    "Chowell_test": 0.7542,
    "MSK1": 0.6995,
    "Kato_panCancer": 0.7933,
    "Vanguri_NSCLC": 0.6642,
    "Ravi_NSCLC": 0.7245,
}
TOLERANCE, ORACLE_TOLERANCE = 0.0005, 1e-3


def reproduce(workbook: Path, data_dir: Path) -> tuple[pd.DataFrame, float, int]:
    """AUROC by sheet beside its target; largest gap to the published LORIS column, and its n."""
    model = LorisPanCancer().fit(None, None)

    def load(sheets: list[str]) -> pd.DataFrame:
        names = ",".join(sheets)
        overrides = ["cohort=loris", "cohort.view=as_published", f"cohort.cohorts=[{names}]", f"paths.data={data_dir}"]
        return build(load_config(overrides).cohort, "cohort").load().cohort

    cohort = load(list(TARGETS))
    p = model.predict_proba(model_frame(cohort, model.spec.inputs))[:, 1]
    rows = []
    for name, target in TARGETS.items():
        inside = (cohort["cohort_id"] == name).to_numpy()
        value = auroc(cohort.loc[inside, "responder"].to_numpy(dtype=int), p[inside])
        rows.append((name, int(inside.sum()), value, target, round(value - target, 4) + 0.0))
    control = load(["MSK_nonICB"])
    ours = model.predict_proba(model_frame(control, model.spec.inputs))[:, 1]
    published = read_raw_sheet(workbook, "MSK_nonICB")["LORIS"].astype(float).to_numpy()
    table = pd.DataFrame(rows, columns=["cohort", "n", "AUROC", "target", "difference"])
    return table, float(abs(ours - published).max()), len(control)


def main() -> int:
    data_dir = Path(load_config().paths.data)
    workbook = data_dir / "cohorts/loris/loris.xlsx"
    if not workbook.is_file():
        print(f"Skipped: {workbook} is absent. Set IMMUNOCAST_DATA to the folder that holds cohorts/loris/loris.xlsx.")
        return 0
    try:
        table, gap, n = reproduce(workbook, data_dir)
    except ImmunocastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print("LORIS pan-cancer formula on the workbook as published:")
    print(table.to_string(index=False, formatters=dict.fromkeys(["AUROC", "target", "difference"], "{:.4f}".format)))
    print(f"\nLORIS column of MSK_nonICB: n = {n}, largest difference {gap:.2e} (at most {ORACLE_TOLERANCE:g})")
    ok = bool((table["difference"].abs() <= TOLERANCE).all()) and gap <= ORACLE_TOLERANCE
    print("All within tolerance." if ok else "NOT within tolerance.")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
