"""What the partner's data adds: the same customers and folds, predicted with the brand's own features and with all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from contracts.evaluation import Gain, Interval, PartnerValue
from training.learn import Learned, Sample
from training.quality import Z, auc_interval, paired_auc, paired_bootstrap

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

REACHES = (10.0, 20.0, 30.0)
NEIGHBOURS = 0.25  # of the cut's own size, on each side of it: where the rate at the cut is measured


def compare_models(sample: Sample, own: Learned, both: Learned, cut_percent: float, seed: int) -> PartnerValue:
    """Compare two models of the same sample by what was said of the rows that they were checked on.

    Parameters
    ----------
    own, both : Learned
        Learned without and with the partner's features.
    cut_percent : float
        The segment's cut, (0, 100].
    """
    return measure_partner_value(
        [own.margins[fold.check] for fold in sample.folds],
        [both.margins[fold.check] for fold in sample.folds],
        [sample.labels[fold.check] for fold in sample.folds],
        cut_percent,
        seed,
    )


def measure_partner_value(
    own: list[Scores], both: list[Scores], labels: list[Labels], cut_percent: float, seed: int
) -> PartnerValue:
    """Compare two rankings of the same customers.

    Parameters
    ----------
    own, both : list of ndarray of shape (n_fold_rows,), float64
        For each fold, scores of the rows that it checks: with the brand's own features, and with the partner's, too.
    labels : list of ndarray of shape (n_fold_rows,), int8
    cut_percent : float
        The segment's cut, (0, 100].
    seed : int
        Orders equal scores at random, the same for both: rows come in the order of their keys, which often tells age.
    """
    generator = np.random.default_rng(seed)
    shuffles = [generator.permutation(len(part)) for part in labels]
    own, both = ([s[order] for s, order in zip(scores, shuffles, strict=True)] for scores in (own, both))
    labels = [part[order] for part, order in zip(labels, shuffles, strict=True)]
    happened = np.concatenate(labels)
    first, second = np.concatenate([rank(s) for s in own]), np.concatenate([rank(s) for s in both])
    auc_own, auc_both = (auc_interval(scores, happened)[0] for scores in (first, second))
    precision = tuple(float(average_precision_score(happened, scores)) for scores in (first, second))
    spread = paired_bootstrap(first, second, happened, seed)
    gains = {percent: measure_gain(own, both, labels, percent) for percent in (*REACHES, cut_percent)}
    return PartnerValue(
        auc_own=auc_own,
        auc_both=auc_both,
        at_cut=gains[cut_percent],
        gains=tuple(gains[percent] for percent in REACHES),
        positives=int(happened.sum()),
        auc_gain=Interval(*paired_auc(first, second, happened)),
        average_precision_own=precision[0],
        average_precision_both=precision[1],
        average_precision_gain=Interval(precision[1] - precision[0], *spread),
    )


def rank(scores: Scores) -> Scores:
    """Turn scores into places [0, 1) within their fold, equal ones into one, so that folds can be put together."""
    return np.asarray((rankdata(scores) - 1) / len(scores))


def measure_gain(own: list[Scores], both: list[Scores], labels: list[Labels], percent: float) -> Gain:
    """Count the extra positives per 1,000 contacts among the best ``percent`` of each fold, with their interval.

    Notes
    -----
    With q the share contacted, a and b the two selections (0 or 1 per customer) and r, s the label rates at their cuts,
    the influence of customer i on the gain is a_i (y_i - r) - b_i (y_i - s): who is in both cancels but for r - s, and
    who is in one counts by how far he is from the person just outside. The interval is normal in their sum (the
    influence function of a rate above a quantile; see e.g. Hampel et al., Robust Statistics, 1986, 2.1).
    """
    total, contacts, influences = 0.0, 0, []
    for first, second, happened in zip(own, both, labels, strict=True):
        size = -(-int(len(happened) * percent) // 100) or 1
        chosen, cut_rates = [], []
        for scores in (first, second):
            order = np.argsort(-scores, kind="stable")
            is_in = np.zeros(len(happened), dtype=bool)
            is_in[order[:size]] = True
            near = max(int(NEIGHBOURS * size), 20)
            cut_rates.append(float(happened[order[max(size - near, 0) : size + near]].mean()))
            chosen.append(is_in)
        without, with_ = chosen
        if size < len(happened):
            influence = with_ * (happened - cut_rates[1]) - without * (happened - cut_rates[0])
        else:
            influence = np.zeros(len(happened))
        total += float(happened[with_].sum() - happened[without].sum())
        contacts += size
        influences.append(influence - influence.mean())
    spread = float(np.sqrt((np.concatenate(influences) ** 2).sum()))
    extra, half = 1000 * total / contacts, 1000 * Z * spread / contacts
    return Gain(percent, extra, extra - half, extra + half)
