"""The formulas of the expression scores, for one sample at a time.

No function here ever sees a second sample: a score cannot depend on who else is in the file. Standardising over
patients, as most of the papers do, is left to the model, which keeps the numbers that it used (`features`).
"""

from __future__ import annotations

import numpy as np

from immunocast.cohort.expression.genes import GeneSet

#: Added to TPM before a logarithm. Chosen here: TPM has zeros, the NanoString counts of Ayers 2017 have none.
PSEUDO_TPM = 1.0
#: Added to TPM before the geometric mean (Rooney 2015).
CYT_OFFSET = 0.01
#: A rank says nothing where nearly all genes of the sample belong to the set.
MIN_OTHER_GENES = 20


def rank_score(values: np.ndarray, up: np.ndarray, down: np.ndarray) -> float:
    """Where a set's genes stand among all genes of the same sample, from 0 (all lowest) to 1 (all highest).

    The genes measured in the sample are ranked, ties take their mean rank. A gene of the set contributes its rank,
    one of negative direction the rank counted from the top; the mean over the set is brought to 0..1 by the
    lowest and highest mean that the set could have. Without negative genes this is singscore (Foroutan et al.,
    BMC Bioinformatics 2018;19:404); with them every gene has one vote, where singscore gives either direction half.
    Only the order of values matters: any rising transform (logarithm, other unit of the same sample) leaves the
    score as it is.

    Parameters
    ----------
    values : (g,) expression of one sample, NaN for genes not measured.
    up, down : positions in `values` of the set's genes; NaN ones are passed over.

    Returns
    -------
    The score; NaN where none of the genes is measured, or fewer than `MIN_OTHER_GENES` others are.

    Notes
    -----
    The background is what the file measures. Ranks among 190 immune genes and ranks among 20,000 genes are two
    scales; they are told apart as `rank_panel` and `rank_transcriptome`.

    >>> x = np.arange(100.0)
    >>> rank_score(x, up=np.array([97, 98, 99]), down=np.array([], dtype=int))
    1.0
    >>> rank_score(x, up=np.array([49, 50]), down=np.array([], dtype=int))
    0.5
    """
    ordered = np.sort(values[~np.isnan(values)])
    n_genes = len(ordered)
    ups, downs = (_measured(values, part) for part in (up, down))
    n = len(ups) + len(downs)
    if n == 0 or n_genes - n < MIN_OTHER_GENES:
        return float("nan")
    ranks = [_ranks(ordered, ups), n_genes + 1 - _ranks(ordered, downs)]
    mean = float(np.concatenate(ranks).sum()) / n
    lowest = (len(ups) * (len(ups) + 1) + len(downs) * (len(downs) + 1)) / 2 / n
    highest = n_genes + 1 - lowest
    return (mean - lowest) / (highest - lowest)


def _measured(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    found = values[positions]
    return found[~np.isnan(found)]


def _ranks(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean ranks, from 1, of values in their sorted sample."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2


def weighted_score(tpm: np.ndarray, weights: np.ndarray, housekeeping: np.ndarray) -> float:
    """T-cell-inflamed GEP: sum of weight x (log10 expression - mean log10 expression of housekeeping genes).

    Ayers et al., J Clin Invest 2017;127:2930, weights of published implementations. Log10 of TPM + 1.

    Parameters
    ----------
    tpm : (n,) TPM of the set's genes, none missing.
    weights : (n,).
    housekeeping : TPM of the housekeeping genes that are measured.
    """
    reference = np.log10(housekeeping + PSEUDO_TPM).mean()
    return float((weights * (np.log10(tpm + PSEUDO_TPM) - reference)).sum())


def mean_log2(tpm: np.ndarray) -> float:
    """Mean over the set's measured genes of log2(TPM + 1)."""
    return float(np.log2(tpm + PSEUDO_TPM).mean())


def geometric_mean(tpm: np.ndarray) -> float:
    """Cytolytic activity: geometric mean of GZMA and PRF1 in TPM, each with an offset of .01.

    Rooney et al., Cell 2015;160:48.

    >>> round(geometric_mean(np.array([3.99, 8.99])), 6)
    6.0
    """
    return float(np.exp(np.log(tpm + CYT_OFFSET).mean()))


def score_sample(
    values: np.ndarray,
    tpm: np.ndarray | None,
    index: dict[str, int],
    forms: dict[str, str],
    sets: dict[str, GeneSet],
    min_genes: dict[str, int],
) -> dict[str, float]:
    """All scores of one sample; NaN where too few of its genes are measured.

    Parameters
    ----------
    values : (g,) as in the file.
    tpm : (g,) in TPM; None where no form needs it, or this sample's cannot be had.
    index : symbol -> position.
    forms : score -> form.
    sets, min_genes : by score.
    """
    return {score: _score(values, tpm, index, form, sets[score], min_genes[score]) for score, form in forms.items()}


def _score(
    values: np.ndarray, tpm: np.ndarray | None, index: dict[str, int], form: str, genes: GeneSet, least: int
) -> float:
    there = [g for g in genes.genes if g in index and not np.isnan(values[index[g]])]
    if len(there) < (len(genes.genes) if form == "weighted" else least):
        return float("nan")
    at = np.array([index[g] for g in there])
    if form == "rank":
        signs = np.array([genes.weights[g] for g in there])
        return rank_score(values, at[signs > 0], at[signs < 0])
    if tpm is None:
        return float("nan")
    if form == "geometric_mean":
        return geometric_mean(tpm[at])
    if form == "mean_log2_tpm":
        return mean_log2(tpm[at])
    reference = _measured(tpm, np.array([index[g] for g in genes.housekeeping if g in index]))
    if len(reference) < genes.min_housekeeping:
        return float("nan")
    return weighted_score(tpm[at], np.array([genes.weights[g] for g in there]), reference)
