from __future__ import annotations

import numpy as np
import pytest
import torch

from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.data.partly_labelled import UNKNOWN, PartlyLabelled, choose
from ganzoo.types import BadArgument


def test_half_of_a_batch_is_labelled_and_no_other_label_is_told() -> None:
    data = Digits(batch_size=400, known=20)
    whole = data.open("train")
    assert whole.labels is not None and len(whole) == 1437 and (whole.labels >= 0).all(), "the split stays as it is"
    told = choose(whole.labels, 10, 20, 0)
    known = {whole.values[i].tobytes() for i in told}
    counts = []
    batches = iter(data.train_dataloader())
    for _ in range(4):
        batch = next(batches)
        assert batch.labels is not None and batch.images.dtype == torch.uint8
        labelled = batch.labels != UNKNOWN
        counts.append(int(labelled.sum()))
        for image, label in zip(batch.images[labelled].numpy(), batch.labels[labelled].tolist(), strict=True):
            assert image.tobytes() in known
            assert label in whole.labels[[v.tobytes() == image.tobytes() for v in whole.values]]
    assert 150 < min(counts) <= max(counts) < 250


def test_every_sample_comes_once_without_its_label_and_the_labelled_ones_by_turns() -> None:
    values = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    labels = np.array([0, 1, 0, 1, 0, 1])
    images = PartlyLabelled("few", values, labels, ("a", "b"), told=np.array([1, 4]))
    assert len(images) == 12
    batch = images.batch(range(12))
    assert batch.images.flatten().tolist() == [0, 1, 2, 3, 4, 5, 1, 4, 1, 4, 1, 4]
    assert batch.labels is not None
    assert batch.labels.tolist() == [-1] * 6 + [1, 0, 1, 0, 1, 0]
    assert images.digest == Images("few", values, labels, ("a", "b")).digest


def test_as_many_of_each_class_by_seed() -> None:
    labels = np.repeat(np.arange(3), [5, 6, 7])
    chosen = choose(labels, 3, 12, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [4, 4, 4] and (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose(labels, 3, 12, seed=0))
    assert not np.array_equal(chosen, choose(labels, 3, 12, seed=1))
    for wrong, said in ((10, "multiple of the 3 classes"), (0, "multiple"), (-3, "multiple"), (18, "one has only 5")):
        with pytest.raises(BadArgument, match=f"known={wrong}: .*{said}"):
            choose(labels, 3, wrong, seed=0)


def test_a_loader_without_hidden_labels_is_the_usual_one() -> None:
    batch = next(iter(Digits(batch_size=50).train_dataloader()))
    assert batch.labels is not None and (batch.labels >= 0).all()
