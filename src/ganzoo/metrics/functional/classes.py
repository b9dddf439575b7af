"""Metrics of class probabilities: the Inception Score, the accuracy of conditional samples, a classifier's error."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganzoo.metrics.functional.checks import MeanAndStd, check_features
from ganzoo.metrics.metric import Positive, Result, metric
from ganzoo.types import BadArgument, BadData


def inception_score(probabilities: Tensor, splits: int = 10) -> MeanAndStd:
    """The exponential of the mean KL divergence between each image's classes and all images' classes.

    Salimans et al., "Improved Techniques for Training GANs", 2016 (arXiv 1606.03498), section 4:
    exp(E_x KL(p(y|x) || p(y))), from 1 to the number of classes. Computed a split, as published.

    Args:
        probabilities: `(n, classes)`, rows that sum to 1.
        splits: consecutive parts of n / splits images; the images' order is the caller's, so shuffle what is sorted.

    Raises:
        BadArgument: for another shape, or more splits than images.
        BadData: for rows that are no probabilities.
    """
    _check_probabilities(probabilities)
    n = len(probabilities)
    if not 1 <= splits <= n:
        raise BadArgument(f"splits={splits}: give 1 to {n}, the number of images.")
    values = []
    for i in range(splits):
        p = probabilities[i * n // splits : (i + 1) * n // splits].double()
        # xlogy: a class of probability 0 adds nothing
        divergence = (torch.xlogy(p, p) - torch.xlogy(p, p.mean(dim=0))).sum(dim=1)
        values.append(divergence.mean().exp())
    found = torch.stack(values)
    return MeanAndStd(float(found.mean()), float(found.std(correction=0)))


@metric("is", "Inception Score (Salimans 2016)", better="higher", forms=["{splits}splits"])
def inception(probabilities: Tensor, splits: Positive = 10) -> Result:
    """`inception_score`, in no more parts than there are images."""
    return Result(*inception_score(probabilities, min(splits, len(probabilities))))


def class_accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """The share of conditional samples that a classifier gives the class they were drawn for.

    GAN-test of Shmelkov et al., "How good is my GAN?", 2018 (arXiv 1807.09499): the classifier was trained on real
    images and judges generated ones.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)` integers, the wanted classes.

    Raises:
        BadArgument: for other shapes or types, or a label that is no class.
        BadData: for rows that are no probabilities.
    """
    _check_probabilities(probabilities)
    if labels.shape != probabilities.shape[:1] or labels.is_floating_point():
        raise BadArgument(f"labels must be integers ({len(probabilities)},), not {labels.dtype} {tuple(labels.shape)}.")
    labels = labels.to(probabilities.device)
    if int(labels.min()) < 0 or int(labels.max()) >= probabilities.shape[1]:
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise BadArgument(f"Labels run from {found}, but the classifier has {probabilities.shape[1]} classes.")
    return share_of(probabilities.argmax(dim=1) == labels)


@metric(
    "acc",
    "class accuracy of images made for a class or domain (GAN-test, Shmelkov 2018)",
    better="higher",
    needs={"translates classes": ["1k_{classifier}_test_uniform"], "samples classes": ["10k_{classifier}"]},
    beside=["floor"],
    without=["to"],
)
def accuracy(
    probabilities: Tensor,
    labels: Tensor,
    names: Sequence[str] | None = None,
    sources: Tensor | None = None,
    source_names: Sequence[str] | None = None,
) -> Result:
    """`class_accuracy`, that of each class, and of translations that of each class from each (`from`).

    Labels of -1 are of domains that the classifier does not tell, and do not count.
    """
    told = labels >= 0
    probabilities, labels = probabilities[told], labels[told]
    sources = None if sources is None else sources[told.to(sources.device)]
    share = class_accuracy(probabilities, labels)
    right = probabilities.argmax(1).cpu() == labels.cpu()
    details: dict[str, Any] = {"classes": by_class(right, labels, names)}
    if sources is not None:
        each = by_class(sources, sources, source_names)  # the names of those that occur
        rows = [sources == k for k in sorted(set(sources.tolist()))]
        details["from"] = {
            name: by_class(right[row], labels.cpu()[row], names) for name, row in zip(each, rows, strict=True)
        }
    return Result(share, details=details)


@metric(
    "kept",
    "share of translations whose class stays, as a classifier sees it, where another attribute was asked for",
    better="higher",
    needs={"translates classes": []},
    beside=[],
    without=["to"],
)
def kept(probabilities: Tensor, labels: Tensor, before: Tensor, names: Sequence[str] | None = None) -> Result:
    """The share of rows with a label of -1 whose largest probability is of the class that was there before.

    Args:
        probabilities: `(n, classes)` of translations.
        labels: `(n,)`: -1 where a domain was asked for that the classifier does not tell.
        before: `(n,)`: the classes that it gives the pictures that were translated.
        names: of the classes.

    Raises:
        BadArgument: if the classifier tells all domains.
    """
    others = labels.cpu() < 0
    if not bool(others.any()):
        raise BadArgument("the classifier tells each of the domains; name one of another attribute")
    same, before = probabilities.argmax(1).cpu()[others] == before.cpu()[others], before.cpu()[others]
    return Result(share_of(same), details={"classes": by_class(same, before, names)})


@metric(
    "err",
    "classification error of the model's own classifier",
    better="lower",
    needs={"classifies": ["10k_model_test"]},
    networks=["model"],
    beside=["one class for all"],
)
def error(probabilities: Tensor, labels: Tensor, names: Sequence[str] | None = None) -> Result:
    """The share of images `(n,)` whose largest class probability `(n, classes)` is another class's."""
    wrong = probabilities.argmax(1).cpu() != labels.cpu()
    return Result(share_of(wrong), details={"classes": by_class(wrong, labels, names), "wrong": int(wrong.sum())})


def share_of(hits: Tensor) -> float:
    """The share of `(n,)` booleans that hold."""
    return float(hits.double().mean())


def by_class(hits: Tensor, labels: Tensor, names: Sequence[str] | None) -> dict[str, float]:
    """The share of hits in each class that occurs, by its name (its number where classes have no names).

    Args:
        hits: `(n,)` booleans.
        labels: `(n,)` classes.
        names: of all classes.
    """
    labels = labels.to(hits.device)
    return {
        str(k) if names is None or k >= len(names) else names[k]: share_of(hits[labels == k])
        for k in sorted(set(labels.tolist()))
    }


def _check_probabilities(probabilities: Tensor) -> None:
    check_features(probabilities)
    if len(probabilities) and not (
        float(probabilities.min()) >= 0 and float((probabilities.double().sum(1) - 1).abs().max()) < 1e-3
    ):
        raise BadData(
            "These rows are no probabilities: they are negative or do not sum to 1; take a softmax of logits."
        )
