"""Drawing images from a prior: `sample`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.game import inference
from ganzoo.game.contract import Program, Shown
from ganzoo.game.engine import Absent
from ganzoo.game.game import Game
from ganzoo.game.priors import Prior, draw
from ganzoo.media.images import grid
from ganzoo.media.medium import Medium, medium_of
from ganzoo.media.provenance import remember
from ganzoo.types import BadArgument, BadModelFolder, Batch, Condition

if TYPE_CHECKING:
    from ganzoo.data.batch import Images

Labels = Sequence[int | str] | Tensor | int | str
_GOLDEN = 4  # seeds in a golden picture


class Samples(Game):
    """A family that draws images, or points, from a prior.

    A family sets `prior` in `__init__`, and overrides `generate` where its generator takes more than z (and labels).

    Attributes:
        prior: what z is drawn from.
        views: how many pictures one latent gives, such as one in each of two domains; 1 for most families.
    """

    ability = "samples"
    instead = "it draws some with sample"
    views: int = 1

    prior: Prior

    @property
    def latent(self) -> int:
        """Length of z."""
        return self.prior.length

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """Maps `z` `(n, latent)` through the averaged generator, as it comes; labels stand beside z where there are."""
        labels = () if condition.labels is None else (condition.labels,)
        return self.averaged(z, *labels)

    def render(self, z: Tensor, condition: Condition, rngs: Sequence[np.random.RandomState]) -> Tensor:
        """Makes a batch of images for `sample`, whose further options are the keyword arguments that a family names.

        Args:
            z: latents `(n, latent)`.
            condition: with a row an image.
            rngs: each image's stream, from which z and then the label were drawn; noise inputs are drawn next.
        """
        return self.generate(z, condition)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The averaged generator's images `(n, C, H, W)` of `z` `(n, latent)`, not clamped; gradients flow."""
        return self.generate(z, Condition(labels))

    def noise(self, batch: Batch) -> Tensor:
        """z `(N, latent)` for training: as many as there are images in the batch."""
        return self.prior.draw(len(batch), self.device)

    def draw(self, seeds: Sequence[int], labels: Labels | None = None) -> tuple[Tensor, Tensor | None]:
        """Draws z, and labels where the family has classes, one image a seed.

        Args:
            seeds: one seed an image; `numpy.random.RandomState(seed)` gives z first, then the label.
            labels: classes by index or name, one for all or one an image; None draws them. Vectors `(n, classes)` where
                the family takes some.

        Returns:
            `z` `(n, latent)` float32 and labels `(n,)` int64, `(n, classes)` float32 or None.

        Raises:
            BadArgument: for a seed or label out of range, or labels for a family without classes.
        """
        z, condition = self._draw(inference.streams(seeds), Condition(self._labels(labels, len(seeds))))
        return z, condition.labels

    def _draw(self, rngs: Sequence[np.random.RandomState], given: Condition) -> tuple[Tensor, Condition]:
        """z, and the condition with labels drawn where the family has classes and none are given."""
        z, drawn = draw(self.prior, rngs, self.classes if given.labels is None else None)
        labels = None if drawn is None else torch.from_numpy(drawn)
        return torch.from_numpy(z), inference.with_labels(given, labels)

    def _labels(self, labels: Labels | None, n: int) -> Tensor | None:
        if labels is None:
            return None
        return inference.labels_for(labels, n, self.classes, self.label_vectors, self.class_names, type(self).__name__)

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        z: Tensor | None = None,
        labels: Labels | None = None,
        condition: Condition | None = None,
        truncation: float | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Draws images; image i depends on its seed alone, at any batch size, on any device and number of ranks.

        Args:
            n: how many; None for as many as there are seeds or latents.
            seed: of the first, image i's being `seed + i`.
            seeds: one an image, instead of `n` and `seed`.
            z: latents `(n, latent)` to be used instead of the seeds' own; what else is random still follows the seeds.
            labels: classes by index or name, `(n,)` or one for all, where the family has classes, or vectors
                `(n, classes)` where it takes some; None draws classes.
            condition: what else the images are conditioned on, with a row an image.
            truncation: where the family defines one.
            batch_size: images made at a time; None for a million pixels' worth, and at most 64.
            **options: what else the family's `render` takes, such as StyleGAN2's `noise`.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU; points `(n, d)` for a model of points.

        Raises:
            BadArgument: for a number, seed, latent or label out of range, a condition of other rows than images, or an
                option that the family does not have.
        """
        if z is not None and not isinstance(z, Tensor):
            raise BadArgument(f"z is a {type(z).__name__}; a tensor is expected, such as torch.from_numpy(z)")
        chosen = inference.seeds_for(n, seed, seeds, z)
        if z is not None and tuple(z.shape) != (len(chosen), self.latent):
            raise BadArgument(f"z has shape {tuple(z.shape)}; ({len(chosen)}, {self.latent}) is expected")
        step = inference.at_a_time(batch_size, self.shape[1:])
        if truncation is not None:
            options["truncation"] = truncation
        inference.check_options(type(self).__name__, self.render, options)
        condition = condition or Condition()
        inference.check_condition(condition, len(chosen))
        given = inference.with_labels(condition, self._labels(labels, len(chosen)))
        images = []
        with self.inferring():
            for start in range(0, len(chosen), step):
                part = slice(start, start + step)
                rngs = inference.streams(chosen[part])
                drawn, whole = self._draw(rngs, given.part(part.start, part.stop))
                latents = (drawn if z is None else z[part]).to(device=self.device, dtype=self._precision)
                images.append(self.render(latents, whole.to(self.device), rngs, **options).float().cpu())
        return remember(self.limit(torch.cat(images)), self, chosen if z is None else ())

    # ---------------------------------------------------------------- what its critic says

    def realness(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """What the live critic says of images `(n, C, H, W)`, `(n,)`, more for more real.

        A family overrides this whose critic takes more than images and labels, or does not give one score first.
        """
        critic = getattr(self, self._critic)
        told = self.classes is not None and "labels" in inspect.signature(critic.forward).parameters
        found = critic(images, labels) if told else critic(images)
        return (found[0] if isinstance(found, tuple) else found).reshape(len(images), -1)[:, 0]

    @property
    def _critic(self) -> str:
        return next(name for name in self.players() if name != self.leads)

    def criticise(self, images: Tensor, labels: Labels | None = None) -> Tensor:
        """How real the model's own critic takes each image for.

        Args:
            images: `(n, C, H, W)` in [-1, 1], of the model's shape.
            labels: their classes, of a conditional model.

        Returns:
            Scores `(n,)` float32 on the CPU, more for more real, which only one critic's own can be compared with. A
            critic that looks at a batch as a whole is shown one image at a time.

        Raises:
            BadArgument: for images of another shape, or a model that was loaded without its players.
        """
        critic = getattr(self, self._critic)
        if isinstance(critic, Absent):
            raise BadArgument(f"{type(self).__name__} was loaded without its critic; load it with players=True")
        given = None if self.classes is None or labels is None else self._labels(labels, len(images))
        modes = {module: module.training for module in critic.modules()}
        rows, step = [], 1 if self.coupled else 64
        critic.eval()
        try:
            for start in range(0, len(images), step):
                part = None if given is None else given[start : start + step].to(self.device)
                rows.append(self.each(partial(self.realness, labels=part), images[start : start + step], step))
        finally:
            for module, mode in modes.items():
                module.training = mode
        return torch.cat(rows)

    # ---------------------------------------------------------------- how it is shown and checked

    def preview(self, real: Images | None, n: int, seed: int = 0) -> Shown:
        """Samples `(n, C, H, W)`, or as many more as a sheet of their medium holds."""
        return Shown(self.sample(n * medium_of(self.shape).sheet // Medium.sheet, seed=seed))

    def program(self) -> Program:
        """From z `(n, latent)`, and labels `(n,)` int64 where there are classes, to images."""
        z, labels = self.draw([0, 1])
        classes = {} if labels is None else {"labels": labels}
        facts = {"prior": self.prior.describe(), "classes": self.classes, "class_names": self.class_names}
        return Program(lambda z, *given: self.generate(z, Condition(*given)), {"z": z, **classes}, facts=facts)

    def golden(self, real: Images | None) -> Image.Image | None:
        """The first four samples at their own size, to be made again and compared; None for points."""
        return self.golden_row(_GOLDEN) if len(self.shape) == 3 else None

    def golden_row(self, n: int) -> Image.Image:
        """So many pictures in a row that any machine makes again: samples of the seeds from 0 on."""
        return grid(self.sample(n, seed=0), columns=n, padding=0)

    def check_golden(self, path: Path) -> int:
        """The largest difference in 8-bit levels between a row of samples in a picture, and the model's own.

        Raises:
            BadModelFolder: if there is no picture in the file, or one of other samples.
        """
        if len(self.shape) != 3:
            raise BadModelFolder(f"{path}: a picture, where the model makes no pictures")
        _, height, width = self.shape
        kept = inference.read_golden(path)
        columns = round(kept.shape[1] / kept.shape[0] * height / width)  # one row, which may be magnified
        if not 1 <= columns <= 64:
            raise BadModelFolder(f"{path}: {kept.shape[1]}x{kept.shape[0]} pixels are no row of samples")
        drawn = np.asarray(self.golden_row(columns).convert("RGB"), dtype=np.int16)
        return inference.compare_golden(path, kept, drawn)
