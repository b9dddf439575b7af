"""Drawing images with noise in the generator's layers beside z."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganzoo.game.abilities.samples import Samples
from ganzoo.game.contract import Program
from ganzoo.types import Condition


class Noisy(Samples):
    """A family whose generator takes noise `(n, 1, side, side)` beside z for each of its `sizes`; `drawn` draws it."""

    ability = "noisy"

    def made(self, z: Tensor, noise: Sequence[Tensor] | Literal["none"]) -> Tensor:
        """Maps `z` `(n, latent)` and noise through the averaged generator, as it comes."""
        return self.averaged(z, noise)

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """Maps `z` `(n, latent)` through the averaged generator, without noise."""
        return self.made(z, "none")

    def render(self, z: Tensor, condition: Condition, rngs: Sequence[np.random.RandomState]) -> Tensor:
        """The same with noise from each image's stream."""
        return self.made(z, self.averaged.drawn(rngs, z))

    def program(self) -> Program:
        """From z, and noise `(n, 1, side, side)` for each layer that has some, to images."""
        plain, sides = super().program(), self.averaged.sizes
        drawn = {f"noise_{i}": torch.randn(2, 1, side, side) for i, side in enumerate(sides)}
        facts = {**plain.facts, "noise": "given" if sides else None, "noise_kind": "normal"}
        return Program(lambda z, *noise: self.made(z, noise), {**plain.inputs, **drawn}, facts=facts)
