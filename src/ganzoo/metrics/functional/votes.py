"""Metrics of classes by nearest neighbours: on a model's encodings, and of a latent's pictures in two domains."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganzoo.metrics.functional.classes import by_class, share_of
from ganzoo.metrics.functional.neighbours import nearest_neighbours
from ganzoo.metrics.metric import Positive, Result, metric
from ganzoo.types import BadArgument


@metric(
    "knn",
    "accuracy of nearest neighbours on encodings: the split's images among n training images",
    better="higher",
    needs={"encodes": ["10k_model_test_k1", "10k_model_test_k5"]},
    networks=["model"],
    always=["k"],
    beside=["pixels"],
    held_out=True,
)
def neighbours_accuracy(
    real: Tensor,
    generated: Tensor,
    real_labels: Tensor,
    labels: Tensor,
    names: Sequence[str] | None = None,
    k: Positive = 1,
) -> Result:
    """The share of encodings `(m, d)` whose class `(m,)` is that of their k nearest among encodings `(n, d)`.

    Args:
        real: encodings of training images.
        generated: encodings of the images that are classified.
        real_labels: classes of the training images.
        labels: the right classes.
        names: of the classes.
        k: neighbours that vote.

    Raises:
        BadArgument: for fewer training images than neighbours.
    """
    if k > len(real):
        raise BadArgument(f"{k} neighbours among {len(real)} training images cannot be had.")
    right = by_neighbours(generated, real, real_labels, k) == labels.cpu()
    return Result(share_of(right), details={"classes": by_class(right, labels, names), "training_images": len(real)})


@metric(
    "agree",
    "share of latents whose pictures in both domains are of one class, by nearest neighbours",
    better="higher",
    needs={"views": ["1k_pixels_all_k1"]},  # all, since the classifier's pictures are few enough as it is
    networks=["pixels"],
    always=["k"],
    beside=["real pairs", "other latents"],
)
def agreement(
    real: Sequence[Tensor],
    generated: Sequence[Tensor],
    real_labels: Tensor,
    names: Sequence[str] | None = None,
    own: bool = False,
    k: Positive = 1,
) -> Result:
    """The share of latents whose two pictures are given one class.

    Args:
        real: of each domain the real pictures `(m, d)`, pairs of one class.
        generated: of each domain the pictures `(n, d)` of the same latents.
        real_labels: classes `(m,)` of the real pairs.
        names: of the classes.
        own: whether the generated are the real ones, and none is to vote for itself.
        k: neighbours that vote.

    Raises:
        BadArgument: for fewer real pictures than neighbours.
    """
    if k >= len(real_labels):
        raise BadArgument(f"{k} neighbours among {len(real_labels)} images cannot be had.")
    one, two = (by_neighbours(g, r, real_labels, k, own) for g, r in zip(generated, real, strict=True))
    return Result(share_of(one == two), details={"classes": by_class(one == two, one, names)})


def vote(labels: Tensor) -> Tensor:
    """The most frequent class of each row `(n, k)` of neighbours' labels, nearest first; of several, the nearest's."""
    n, k = labels.shape
    classes = int(labels.max()) + 1
    counts = torch.zeros(n, classes).scatter_add_(1, labels, torch.ones(n, k))
    nearest = torch.full((n, classes), float(k))
    ranks = torch.arange(k, dtype=torch.float32).expand(n, k)
    nearest.scatter_reduce_(1, labels, ranks, "amin")
    return (counts - nearest / (k + 1)).argmax(1)


def by_neighbours(queries: Tensor, others: Tensor, labels: Tensor, k: int, own: bool = False) -> Tensor:
    """The class of each query by the vote of its k nearest others, in Euclidean distance.

    Args:
        queries: `(n, d)`.
        others: `(m, d)`.
        labels: `(m,)`, of the others.
        k: neighbours.
        own: whether the i-th query is the i-th of the others, and is not to vote for itself.
    """
    rows = nearest_neighbours(queries, others, k + own).rows.cpu()
    if own:
        itself = rows == torch.arange(len(rows))[:, None]
        itself[:, -1] |= ~itself.any(1)  # more than k others lie at distance 0: any k of them may vote
        rows = rows[~itself].view(len(rows), k)
    return vote(labels.cpu()[rows])
