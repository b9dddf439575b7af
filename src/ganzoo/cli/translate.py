"""`ganzoo translate`: pictures of one kind become pictures of another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli._pictures import add_inputs, decoded, out_of, plan, progress, real, report
from ganzoo.cli.sample import loaded
from ganzoo.types import BadArgument, Condition, GanzooError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from PIL import Image
    from torch import Tensor

    from ganzoo.game.game import Game

HELP = "translate pictures with a model"

_AHEAD = 64  # pictures that wait for others of their size


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo translate",
        description=(
            "Translates pictures of any format, mode and size, and writes them as PNG under their own names.\n"
            "Those that cannot be translated are listed at the end; the others are."
        ),
        epilog=(
            "examples:\n"
            "  ganzoo translate cyclegan-emoji smiley.png --out translated/\n"
            "  ganzoo translate cyclegan-emoji smileys/ --to a --out back/\n"
            "  ganzoo translate runs/faces portrait.jpg --to smile --to young --out both/\n"
            "  ganzoo translate runs/animals cats/ --to dog --reference pug.jpg --out pugs/\n"
            "  ganzoo translate runs/maps 'photos/**/*.jpg' --size 256 --out maps/"
        ),
    )
    add_inputs(made, "translated")
    to = "one of the model's domains (default: its first); of several, each has a folder of its name in --out"
    made.add_argument("--to", type=str, action="append", default=[], help=to)
    style = (
        "a picture whose style is wanted, of a model that takes one; its middle square is resized to the model's size"
    )
    made.add_argument("--reference", type=str, default=None, help=style, metavar="FILE")
    made.add_argument("--seed", type=int, default=0, help="of what a translation draws, such as its style (default: 0)")
    made.add_argument("--size", type=int, default=None, help="resize the shorter side to so many pixels first")
    made.add_argument("--batch-size", type=int, default=None, help="pictures of one size translated at a time")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Translates, says where the pictures are, and lists those that failed; 1 where some did."""
    out = out_of(arguments)
    if arguments.size is not None and not 1 <= arguments.size <= 16384:
        raise BadArgument(f"--size is {arguments.size}; pixels of the shorter side are expected, from 1 to 16384")
    if not 0 <= arguments.seed < 2**32:
        raise BadArgument(f"--seed is {arguments.seed}; seeds run from 0 to {2**32 - 1}")
    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise BadArgument(f"--batch-size is {arguments.batch_size}; at least 1 is expected")
    jobs = plan(arguments.inputs, out)
    if not jobs.pairs:
        return report(jobs.failed, "translated")
    model = loaded(arguments)
    try:
        for to in arguments.to or [None]:
            model.shapes_of(to)
    except BadArgument as error:
        raise BadArgument(f"{arguments.model}: {error}") from None
    reference = None if arguments.reference is None else _reference(model, Path(arguments.reference))
    domains, done = list(dict.fromkeys(arguments.to)) or [model.domains[0]], 0
    places = {to: out if len(domains) == 1 else out / to for to in domains}
    inputs = {real(source) for source, _ in jobs.pairs}
    for folder in places.values():
        if there := [t for _, t in jobs.pairs if real(folder / t.relative_to(out)) in inputs]:
            raise BadArgument(f"{folder / there[0].relative_to(out)} is an input and a result; give another --out")
    with progress(len(domains) * len(jobs.pairs), "translating") as advance:
        for to, folder in places.items():
            work = _Work(model, to, arguments, reference, jobs.failed, advance)
            for source, target in jobs.pairs:
                work.take(source, folder / target.relative_to(out))
            work.finish()
            done += work.done
    many = f"{done} picture{'' if done == 1 else 's'}"
    print(f"{many} translated by {arguments.model} (to {' and '.join(domains)}) in {out}")
    return report(list(dict.fromkeys(jobs.failed)), "translated")


def _reference(model: Game, path: Path) -> Tensor:
    """A picture `(C, size, size)` in [-1, 1] whose style is wanted."""
    from PIL import Image, ImageOps

    from ganzoo.data.decoding import Unreadable
    from ganzoo.media.levels import floats_of

    if not model.guided:
        raise BadArgument(f"--reference: {type(model).__name__} translates by the picture alone; leave it out")
    channels, height, width = model.shape
    try:
        picture = ImageOps.fit(_in_channels(path, channels), (width, height), Image.Resampling.LANCZOS)
    except Unreadable as error:
        raise BadArgument(f"--reference {path}: {error}") from None
    return floats_of(picture)


def _in_channels(source: Path, channels: int) -> Image.Image:
    """A file's picture in grey or in colours."""
    return decoded(source).convert("L" if channels == 1 else "RGB")


class _Work:
    """Decodes pictures, translates those of one size together, and writes them."""

    def __init__(
        self,
        model: Game,
        to: str,
        asked: Any,
        reference: Tensor | None,
        failed: list[tuple[str, str]],
        advance: Callable[[int], None],
    ) -> None:
        self.model, self.to, self.size, self.batch_size = model, to, asked.size, asked.batch_size
        self.seed, self.reference = asked.seed, reference
        self.failed, self.advance = failed, advance
        self.channels = model.shapes_of(to)[0][0]
        self.waiting: dict[tuple[int, ...], list[tuple[Path, Path, Tensor]]] = {}
        self.done = 0
        warnings.filterwarnings("ignore", module="PIL")  # of what is read all the same, or refused with a reason

    def take(self, source: Path, target: Path) -> None:
        """Decodes a picture, and translates it when there are enough of its size, or too many in all."""
        from ganzoo.data.decoding import Unreadable
        from ganzoo.game.inference import at_a_time

        try:
            image = self._read(source)
        except Unreadable as error:
            self._fail([source], str(error))
            return
        shape = tuple(image.shape)
        self.waiting.setdefault(shape, []).append((source, target, image))
        if len(self.waiting[shape]) >= at_a_time(self.batch_size, shape[1:]):
            self._translate(shape)
        elif sum(map(len, self.waiting.values())) >= _AHEAD:
            self.finish()

    def finish(self) -> None:
        """Translates what waits."""
        for shape in list(self.waiting):
            self._translate(shape)

    def _read(self, source: Path) -> Tensor:
        """`(C, H, W)` in [-1, 1].

        Raises:
            Unreadable: saying why there is none.
        """
        from PIL import Image

        from ganzoo.data.decoding import Unreadable
        from ganzoo.media.levels import floats_of

        picture = _in_channels(source, self.channels)
        if self.size is not None:
            scale = self.size / min(picture.size)
            sides = (max(self.size, round(picture.width * scale)), max(self.size, round(picture.height * scale)))
            if max(sides) > 64 * self.size:
                raise Unreadable(f"its {picture.width}x{picture.height} pixels are too far from a square to be resized")
            picture = picture.resize(sides, Image.Resampling.LANCZOS) if sides != picture.size else picture
        if min(picture.size) < self.model.stride:
            found, advice = f"{picture.width}x{picture.height} pixels", f"--size {self.model.source_shape[-1]}"
            raise Unreadable(
                f"its {found} are smaller than {self.model.stride}, the least side that the model takes; enlarge it, "
                f"for instance by {advice}"
            )
        return floats_of(picture)

    def _translate(self, shape: tuple[int, ...]) -> None:
        """Translates and writes the waiting pictures of a shape."""
        import torch

        from ganzoo.files import atomic
        from ganzoo.media.images import to_pil
        from ganzoo.media.provenance import made_by, marks

        part = self.waiting.pop(shape)
        sources = [source for source, _, _ in part]
        try:
            # The same seed for each: a picture's translation does not depend on what else is translated
            images = torch.stack([image for _, _, image in part])
            style = None
            if self.reference is not None:
                style = Condition(reference=self.reference.expand(len(part), -1, -1, -1))
            seeds = [self.seed] * len(part)
            made = self.model.translate(images, to=self.to, seed=seeds, condition=style, batch_size=self.batch_size)
        except GanzooError as error:
            self._fail(sources, str(error))
            return
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            self._fail(sources, f"{shape[2]}x{shape[1]} pixels do not fit into the memory; make it smaller by --size")
            return
        for (source, target, _), picture in zip(part, to_pil(made), strict=True):
            try:
                with atomic(target) as draft, made_by(self.model, composite=True):
                    picture.save(draft, format="PNG", **marks("PNG"))
            except OSError as error:
                self._fail([source], f"{target} cannot be written ({error.strerror or error})")
                continue
            self.done += 1
            self.advance(1)

    def _fail(self, sources: list[Path], reason: str) -> None:
        self.failed += [(str(source), reason) for source in sources]
        self.advance(len(sources))
