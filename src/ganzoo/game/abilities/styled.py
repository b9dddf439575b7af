"""What games with a style-based generator can do: map latents to styles, make images of styles, and mix styles.

Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks", arXiv:1812.04948. Such a
generator consists of a mapping network from z to w, and a synthesis network from a w for each layer to images.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ganzoo.game.abilities.samples import Labels, Samples
from ganzoo.game.contract import Program
from ganzoo.game.priors import draw_noise
from ganzoo.types import BadArgument, Condition

Noise = Literal["random", "const", "none"]
"""A generator's noise inputs: drawn anew, the same for every image (the network's own), or 0."""


class Styled(Samples):
    """A family whose generator has `mapping` and `synthesis`.

    `mapping(z, labels, truncation, truncation_cutoff)` gives w `(N, layers, style)`, with classes as indices or as
    vectors; `synthesis(ws, noise)` takes a `Noise`, or a tensor for each of its `sizes`; its `count` are w's layers.
    """

    ability = "styled"
    noise_kind: ClassVar[Literal["normal", "uniform"]] = "normal"
    coarse: ClassVar[range] = range(4)
    """The layers that `mix` takes from the columns by default."""

    def map(
        self,
        z: Tensor,
        labels: Labels | None = None,
        *,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Maps latents to styles by the averaged generator.

        Args:
            z: `(N, latent)`.
            labels: class indices `(N,)` or one, or vectors `(N, classes)`, of a conditional model.
            truncation: psi, the share of the distance from the mean of w that is kept; 1 or None for all of it.
            truncation_cutoff: layers from this one on are not truncated (8 in the paper); None truncates all.

        Returns:
            w `(N, layers, style)`.

        Raises:
            BadArgument: for latents, labels or a truncation that cannot be.
        """
        z = torch.as_tensor(z)
        if z.dim() != 2 or z.shape[1] != self.latent:
            raise BadArgument(f"z has shape {tuple(z.shape)}; (N, {self.latent}) is expected")
        self._check_truncation(truncation, truncation_cutoff)
        none = isinstance(labels, Tensor) and labels.dim() == 2 and not labels.shape[1]  # vectors of no classes
        given = None if none else self._labels(labels, len(z))
        with self.inferring():
            given = None if given is None else given.to(self.device)
            return self.averaged.mapping(z.to(self.device), given, truncation, truncation_cutoff)

    def synthesize(self, ws: Tensor, *, noise: Noise = "const") -> Tensor:
        """Makes images of styles by the averaged generator.

        Args:
            ws: `(N, layers, style)`, as `map` gives them.
            noise: `random` (from torch's stream), `const` (the same for every image, the network's own) or `none`;
                without effect where the generator has no noise inputs.

        Returns:
            Images `(N, C, H, W)` as the network gives them, not clamped.

        Raises:
            BadArgument: for styles of another shape, or another noise.
        """
        _check_noise(noise)
        with self.inferring():
            return self.averaged.synthesis(ws.to(self.device), noise)

    def render(
        self,
        z: Tensor,
        condition: Condition,
        rngs: Sequence[np.random.RandomState],
        *,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        noise: Noise = "random",
    ) -> Tensor:
        """Makes images of latents; random noise is drawn from each image's stream, layer by layer.

        Raises:
            BadArgument: for a truncation or a noise that cannot be.
        """
        self._check_truncation(truncation, truncation_cutoff)
        _check_noise(noise)
        generator = self.averaged
        given: Noise | list[Tensor] = noise
        if noise == "random":
            drawn = [
                np.stack([draw_noise(rng, side, self.noise_kind) for rng in rngs]) for side in generator.synthesis.sizes
            ]
            given = [torch.from_numpy(each).to(device=z.device, dtype=z.dtype) for each in drawn]
        ws = generator.mapping(z, condition.labels, truncation, truncation_cutoff)
        return generator.synthesis(ws, given)

    def program(self, *, noise: Literal["given", "const", "none"] = "given") -> Program:
        """From z, labels, psi of each layer of w `(layers,)` (1 for no truncation), and noise, to images.

        Args:
            noise: `given` for an input `(n, 1, side, side)` for each of the generator's, in the order in which `render`
                draws them; else as in `synthesize`.
        """
        if noise not in ("given", "const", "none"):
            raise BadArgument(f"noise is {noise!r}; given, const or none is expected")
        plain, generator = super().program(), self.averaged
        sizes = list(generator.synthesis.sizes) if noise == "given" else []
        inputs = {
            **plain.inputs,
            "truncation": torch.full((generator.synthesis.count,), 0.7),
            **{f"noise_{i}": torch.randn(2, 1, side, side) for i, side in enumerate(sizes)},
        }

        def run(z: Tensor, *given: Tensor) -> Tensor:
            labels = given[: len(plain.inputs) - 1]
            psi, *drawn = given[len(labels) :]
            ws = generator.mapping.mean.lerp(generator.mapping(z, *labels), psi[:, None])
            return generator.synthesis(ws, drawn if noise == "given" else noise)

        facts = {**plain.facts, "truncation": "w", "noise": noise if generator.synthesis.sizes else None}
        facts |= {"noise_kind": self.noise_kind}
        return Program(run, inputs, ("truncation",), facts=facts)

    def mix(
        self,
        rows: Sequence[int],
        columns: Sequence[int],
        layers: Sequence[int] | None = None,
        *,
        labels: Labels | None = None,
        truncation: float | None = None,
        noise: Noise = "const",
    ) -> Tensor:
        """Mixes styles: each row's picture with some layers' styles of each column's (figure 3).

        Args:
            rows: seeds.
            columns: seeds.
            layers: whose styles come from the columns: the first few for pose and shape, the last for colours; None for
                the family's `coarse`.
            labels: one class for all, of a conditional model; None for each seed's own.
            truncation: psi.
            noise: as in `synthesize`.

        Returns:
            Images `(rows, columns, C, H, W)` in [-1, 1].

        Raises:
            BadArgument: for a layer that there is not.
        """
        count = self.averaged.synthesis.count
        layers = self.coarse[:count] if layers is None else layers
        for layer in layers:
            if not 0 <= layer < count:
                raise BadArgument(f"layer {layer} is out of range; the layers of w run from 0 to {count - 1}")
        down, across = (
            self.map(*self.draw(seeds, labels), truncation=truncation)[:, None] for seeds in (rows, columns)
        )
        chosen = torch.tensor([layer in layers for layer in range(count)], device=down.device)[:, None]
        ws = torch.where(chosen, across.transpose(0, 1), down)
        images = torch.cat([self.synthesize(row, noise=noise).float().cpu() for row in ws])
        return self.limit(images).reshape(len(rows), len(columns), *self.shape)

    def _check_truncation(self, truncation: float | None, cutoff: int | None) -> None:
        if truncation is not None and not (isinstance(truncation, (int, float)) and abs(truncation) <= 1e6):
            raise BadArgument(f"truncation is {truncation}; a number up to 1e6 is expected, such as 0.7, or none")
        count = self.averaged.synthesis.count
        if cutoff is not None and not (isinstance(cutoff, int) and 0 <= cutoff <= count):
            raise BadArgument(f"truncation_cutoff is {cutoff}; a number of layers from 0 to {count} is expected")


def _check_noise(noise: str) -> None:
    if noise not in ("random", "const", "none"):
        raise BadArgument(f"noise is {noise!r}; random, const or none is expected")
