"""Padding and cropping, and that a translation's noise is its image's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers import pictures, tiny
from torch import Tensor
from toys import Toy

from ganzoo.game import inference
from ganzoo.game.abilities import Translates
from ganzoo.game.engine import Player
from ganzoo.types import BadArgument, BadData, Batch, Condition


@pytest.mark.parametrize("stride", [1, 4, 7])
@pytest.mark.parametrize(("height", "width"), [(7, 7), (8, 13), (21, 20)])
def test_padding_reflects_and_cropping_undoes_it(stride: int, height: int, width: int) -> None:
    images = pictures(2, (3, height, width))
    padded = inference.pad(images, stride)
    assert all(side % stride == 0 for side in padded.shape[2:])
    assert padded.shape[2] - height < stride and padded.shape[3] - width < stride
    assert torch.equal(inference.crop(padded, height, width), images)
    down, across = padded.shape[2] - height, padded.shape[3] - width
    frame = [(0, 0), (0, 0), (down // 2, down - down // 2), (across // 2, across - across // 2)]
    assert np.array_equal(padded.numpy(), np.pad(images.numpy(), frame, mode="reflect"))


class Noisy(Translates):
    """Adds noise to an image, from its seed."""

    def __init__(self) -> None:
        super().__init__()
        self.shape = (1, 4, 4)
        self.generator = torch.nn.Identity()

    def players(self) -> dict[str, Player]:
        return {}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.move("nobody", torch.zeros)

    def transform(self, images: Tensor, to: str, *, scale: float = 0.1, seeds: Sequence[int] = ()) -> Tensor:
        drawn = [torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return images + scale * torch.stack(drawn)


def test_the_noise_of_a_translation_is_its_seeds() -> None:
    game, images = Noisy(), pictures(5, (1, 4, 4)) * 0.2
    together = game.translate(images, seed=3)
    for size in (1, 2, 5):
        assert torch.equal(game.translate(images, seed=3, batch_size=size), together)
    assert torch.equal(game.translate(images[2:], seed=5), together[2:])
    assert torch.equal(game.translate(images, seed=[3, 4, 5, 6, 7]), together)
    assert torch.equal(game.translate(images[[4, 0]], seed=[7, 3], batch_size=1), together[[4, 0]])
    assert not torch.equal(game.translate(images, seed=4), together)
    assert torch.equal(game.translate(images, scale=0.0), images)
    assert game.translate(images, scale=99.0).abs().max() == 1
    for arguments, text in (
        ({"seed": [1, 2]}, "there are 2 seeds for 5 images"),
        ({"seed": 2**32 - 2}, "seed 4294967296 is out of range"),
        ({"seeds": [1] * 5}, "Noisy has no seeds; its options are scale"),
    ):
        with pytest.raises(BadArgument, match=text):
            game.translate(images, **arguments)


def test_what_a_family_that_only_translates_refuses() -> None:
    game = tiny("pix2pix", source_channels=1)
    assert game.abilities == {"translates"} and game.source_shape == game.shape == game.input_shape
    assert game.shapes_of() == game.shapes_of("b") == ((1, 8, 8), (1, 8, 8))
    with pytest.raises(BadArgument, match="Pix2Pix draws no images of its own; give it some with translate"):
        game.sample(1)
    with pytest.raises(BadArgument, match="Toy does not translate images; it draws some with sample"):
        Toy().translate(pictures(1, (1, 4, 4)))


def test_batches_without_what_a_family_learns_from() -> None:
    game: Any = Toy()
    batch = Batch(torch.zeros(2, 2), torch.tensor([1, 0]), torch.ones(2, 2))
    assert game.labels_of(batch) is batch.labels and game.targets_of(batch) is batch.targets
    with pytest.raises(BadData, match="Toy learns from labels, and the data have none"):
        game.labels_of(Batch(batch.images))
    with pytest.raises(BadData, match="Toy learns two domains, and the data have one; give Pairs, Unpaired, Emoji"):
        game.targets_of(Batch(batch.images))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition(text="two boots"), "text of the condition is a str; a tensor is expected"),  # type: ignore[arg-type]
        (Condition(text=torch.zeros(2, 4)), "text of the condition has 2 rows for 3 images; give one an image"),
        (Condition(labels=torch.tensor(1)), "labels of the condition has no rows for 3 images; give one an image"),
    ],
)
def test_a_condition_has_a_tensor_with_a_row_an_image(condition: Condition, said: str) -> None:
    with pytest.raises(BadArgument, match=f"^{said}$"):
        tiny("dcgan").sample(3, condition=condition)
