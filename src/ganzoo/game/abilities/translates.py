"""Mapping images to images of another domain: `translate`."""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganzoo.game import inference
from ganzoo.game.contract import Program, Shown
from ganzoo.game.game import Game
from ganzoo.media.images import grid
from ganzoo.media.levels import to_float, to_uint8
from ganzoo.media.provenance import remember
from ganzoo.types import BadArgument, BadModelFolder, Condition

if TYPE_CHECKING:
    from ganzoo.data.batch import Images

_GOLDEN = 4  # inputs for each domain in a golden picture
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*")


class Translates(Game):
    """A family that maps images to other domains.

    A family sets `domains` in `__init__` and writes `transform`.

    Attributes:
        back: the domain that the data's own images are of, where a family also translates back to it.
        stride: sides of images are padded to its multiples.
        in_styles: whether a translation's seed changes its style.
    """

    ability = "translates"
    instead = "give it some with translate"
    back: str | None = None
    stride: int = 1
    in_styles: ClassVar[bool] = False
    _domains: tuple[str, ...] = ("b",)
    _source_shape: tuple[int, ...] | None = None

    @abstractmethod
    def transform(self, images: Tensor, to: str) -> Tensor:
        """Maps a batch of images for `translate`, whose further options are the keyword arguments that a family names.

        A family whose translations draw random numbers names `seeds`, which are given to it: one an image. One whose
        translations depend on more than the image names `condition`, which has a row an image, or is None.

        Args:
            images: `(n, C, H, W)` in [-1, 1] on the model's device, with sides that are multiples of `stride`.
            to: one of `domains`.

        Returns:
            `(n, C, H, W)` with the same sides; it is clamped to [-1, 1].
        """

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains that it translates to, the first by default: small letters, digits and hyphens."""
        return self._domains

    @domains.setter
    def domains(self, names: Sequence[str]) -> None:
        for name in names:
            if not _DOMAIN.fullmatch(name):
                raise BadArgument(f"domain {name!r}: small letters, digits and hyphens are expected")
        if not names or len(set(names)) < len(names):
            raise BadArgument(f"domains are {', '.join(names) or 'none'}; at least one, each once, is expected")
        self._domains = tuple(names)

    def name_domains(self, names: Sequence[str], count: int, what: str = "domains") -> None:
        """Sets `domains`, whose names are `class-0`, `class-1`, ... where none are given.

        Raises:
            BadArgument: for another number of names.
        """
        if len(names) not in (0, count):
            raise BadArgument(f"there are {len(names)} names for {count} {what}; give one each")
        self.domains = names or tuple(f"class-{i}" for i in range(count))

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape `(C, H, W)` of what the first translation starts from; `shape` unless a family sets it."""
        return self.shape if self._source_shape is None else self._source_shape

    @source_shape.setter
    def source_shape(self, shape: tuple[int, ...]) -> None:
        self._source_shape = shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the images that it learns from: what a translation starts from."""
        return self.source_shape

    @property
    def guided(self) -> bool:
        """Whether translations depend on a condition beside the image."""
        return "condition" in inspect.signature(self.transform).parameters

    def shapes_of(self, to: str | None = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes `(C, H, W)` of what a translation starts from and of what it makes, at the sides of training.

        Raises:
            BadArgument: for a domain that the model does not have.
        """
        if to is not None and to not in self.domains:
            known = " or ".join(self.domains)
            raise BadArgument(f"{type(self).__name__} does not translate to {to!r}; {known} is expected")
        return (
            (self.shape, self.source_shape) if to is not None and to == self.back else (self.source_shape, self.shape)
        )

    def translate(
        self,
        images: Tensor,
        *,
        to: str | Sequence[str] | None = None,
        seed: int | Sequence[int] = 0,
        condition: Condition | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Maps images to another domain; each depends on itself, its seed and condition alone, at any batch size.

        Sides that are no multiples of the network's `stride` are padded by reflection, and the result is cropped back.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], with the channels that the domain starts from (`shapes_of`) and
                sides of at least `stride`.
            to: one of `domains`, or one an image; the first where None.
            seed: of the first image, where a translation draws random numbers, image i's being `seed + i`; or one an
                image.
            condition: what else translations depend on, such as reference pictures, with a row an image.
            batch_size: images mapped at a time; None for a million pixels' worth, and at most 64.
            **options: what else the family's `transform` takes.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU, with the same sides.

        Raises:
            BadArgument: for another domain or option than the model has, and images of another shape, type or range
                than expected.
        """
        n, name = len(images), type(self).__name__
        wanted = [to or self.domains[0]] * n if to is None or isinstance(to, str) else list(to)
        seeds = range(seed, seed + n) if isinstance(seed, int) else seed
        for what, count in (("domains", len(wanted)), ("seeds", len(seeds))):
            if count != n:
                raise BadArgument(f"there are {count} {what} for {n} images; give one, or one an image")
        for domain in dict.fromkeys(wanted) or self.domains[:1]:
            inference.check_images(images, self.shapes_of(domain)[0][0], self.stride, name)
        inference.check_options(name, self.transform, options, own=("seeds", "condition"))
        inference.check_seeds(seeds)
        if condition is not None and not self.guided:
            raise BadArgument(f"{name} translates by the image alone; leave the condition out")
        inference.check_condition(condition or Condition(), n)
        draws = "seeds" in inspect.signature(self.transform).parameters
        height, width = images.shape[2:]
        step = inference.at_a_time(batch_size, (height, width))
        made: dict[int, Tensor] = {}
        with self.inferring():
            for domain in dict.fromkeys(wanted):
                rows = [i for i in range(n) if wanted[i] == domain]
                for start in range(0, len(rows), step):
                    part = rows[start : start + step]
                    if draws:
                        options["seeds"] = [seeds[i] for i in part]
                    if condition is not None:
                        options["condition"] = condition.each(itemgetter(part)).to(self.device)
                    given = images[part].to(device=self.device, dtype=self._precision or torch.float32)
                    mapped = self.transform(inference.pad(given, self.stride), domain, **options)
                    made.update(zip(part, inference.crop(mapped, height, width).float().cpu(), strict=True))
        return remember(self.limit(torch.stack([made[i] for i in range(n)])), self, composite=True)

    # ---------------------------------------------------------------- how it is shown and checked

    def inputs(self, real: Images | None, n: int, to: str | None = None) -> Tensor:
        """Pictures that a translation can start from, in 8-bit levels.

        Args:
            real: the opened test split; where there is none, or none of these channels, smooth random fields.
            n: at most how many.
            to: one of `domains`; the first where None.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], spread over the split.
        """
        start, _ = self.shapes_of(to)
        values = None if real is None else real.targets if to is not None and to == self.back else real.values
        if values is None or values.ndim != 4 or values.shape[1] != start[0] or not len(values):
            return to_float(to_uint8(inference.fields(start, n)))
        return to_float(torch.from_numpy(values[inference.spread(len(values), n)]))

    def preview(self, real: Images | None, n: int, seed: int = 0) -> Shown:
        """Inputs, what becomes of them in each domain, and their counterparts where the split holds pairs.

        Grey is repeated where colours stand beside it. Of large pictures there are four, else at most eight.
        """
        given = self.inputs(real, min(n, 8 if self.shape[-1] <= 128 else 4))
        columns = [given, *(self.translate(given, to=to, seed=seed) for to in self.domains if to != self.back)]
        if real is not None and real.targets is not None and real.paired:
            columns.append(to_float(torch.from_numpy(real.targets[inference.spread(len(real), len(given))])))
        rows = inference.side_by_side(columns)
        return Shown(rows.flatten(0, 1), len(columns) * (1 if len(rows) < 8 else 2))

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Of two domains: held-out images, what becomes of them, there and back where there is a way back.

        Their counterparts stand beside them where the data are pairs.
        """
        if not self.two_domains or real is None or real.targets is None:
            return {}
        some = np.linspace(0, len(real) - 1, 8).astype(int)
        columns = [to_float(torch.from_numpy(real.values[some]))]
        for to in self.domains:
            columns.append(self.translate(columns[-1], to=to))
        columns += [to_float(torch.from_numpy(real.targets[some]))] if real.paired else []
        return {"translations": inference.side_by_side(columns)}

    def program(self, *, to: str | None = None) -> Program:
        """From images `(n, C, H, W)` with the sides of training to their translations.

        Args:
            to: one of `domains`; the first where None.
        """
        given, domain = self.inputs(None, 2, to), to or self.domains[0]
        return Program(lambda images: self.transform(images, domain), {"source": given}, facts={"to": domain})

    def golden(self, real: Images | None) -> Image.Image | None:
        """A row of inputs and below it a row of what becomes of them, for each domain, at their own size."""
        rows: list[Tensor] = []
        for to in self.domains:
            given = self.inputs(real, _GOLDEN, to)
            rows += [given, self.translate(given, to=to)]
        columns = min(len(row) for row in rows)
        joined = inference.side_by_side([row[:columns] for row in rows]).transpose(0, 1).flatten(0, 1)
        return grid(joined, columns=columns, padding=0, scale=1)

    def check_golden(self, path: Path) -> int:
        """Translates the inputs of a golden picture again; PNG keeps them to the bit.

        Returns:
            The largest difference in 8-bit levels.

        Raises:
            BadModelFolder: if there is no such picture in the file, or what it shows is not what the model makes.
        """
        _, height, width = self.source_shape
        pixels = torch.from_numpy(inference.read_golden(path)).permute(2, 0, 1)
        tall = 2 * len(self.domains) * height
        columns = pixels.shape[2] // width
        if pixels.shape[1] != tall or pixels.shape[2] % width or not 1 <= columns <= 64:
            found = f"{pixels.shape[2]}x{pixels.shape[1]} pixels"
            raise BadModelFolder(f"{path}: {found} are no golden picture of this model, which is {tall} pixels high")
        rows = pixels.to(torch.uint8).unflatten(1, (-1, height)).unflatten(3, (columns, width)).permute(1, 3, 0, 2, 4)
        made, kept = [], []
        for i, to in enumerate(self.domains):
            start, end = self.shapes_of(to)
            made.append(to_uint8(self.translate(to_float(rows[2 * i, :, : start[0]]), to=to)).numpy().astype(np.int16))
            kept.append(rows[2 * i + 1, :, : end[0]].numpy().astype(np.int16))
        return max(inference.compare_golden(path, one, other) for one, other in zip(made, kept, strict=True))
