"""HYPE's two tests as a page: a person says of pictures, one by one, whether they are real (see `metrics/hype.py`).

What is real only this side knows until the answer is there, and all pictures of a session are drawn before its first is
shown, so that no waiting tells. Where the paper masks with synthesised textures, spectra of real pictures with random
phases do; nobody qualifies by a tutorial.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from PIL import Image

from ganzoo.data.batch import Images
from ganzoo.latent.latents import generator_hash
from ganzoo.media.medium import medium_of
from ganzoo.metrics import hype
from ganzoo.types import BadArgument, GanzooError
from ganzoo.zoo.evaluating import source_of
from ganzoo.zoo.loading import load

_STATIC = Path(__file__).with_name("static")
_LIVE, _IDLE = 32, 900.0  # sessions at a time, and seconds after which one is given up
_POOL, _MASK_SIDE = 15, 128
_BODY = 4096  # bytes of a request


@dataclass
class _Judged:
    """A model and the real pictures that it is held against."""

    name: str
    model: Any
    real: Images

    @cached_property
    def generator(self) -> str:
        return generator_hash(self.model)


@dataclass
class _Session:
    """One person's pictures, in order: what each is, and its file."""

    about: _Judged
    mode: str
    pictures: list[tuple[int | None, int | None, str]]  # seed, index, picture
    masks: list[str]
    answers: list[hype.Judgement] = field(default_factory=list)
    exposure: int = hype.FIRST
    used: float = field(default_factory=time.monotonic)


class Judging:
    """Sessions of people who judge models.

    Args:
        real: a data set's name or a folder of pictures.
        models: names or folders of models that make pictures.
        log: a file of JSON lines to which each answer goes.
        pictures: of a session; None for the paper's 450 with limits of time and 100 without.

    Raises:
        BadArgument: for models that make no pictures, too few real ones, or a number that cannot be halved and parted.
    """

    def __init__(self, real: str, models: Sequence[str], log: str | Path, pictures: int | None = None) -> None:
        if not models:
            raise BadArgument("there is no model to judge; name one or more")
        if pictures is not None and (not 6 <= pictures <= 600 or pictures % 6):
            raise BadArgument(
                f"{pictures} pictures a session; 6, 12, ... up to 600 are expected, three parts with halves"
            )
        self.of = hype.PICTURES if pictures is None else dict.fromkeys(hype.PICTURES, pictures)
        self.log = Path(log)
        if self.log.is_dir():
            raise BadArgument(f"{self.log}: is a folder; give the name of a file in it")
        self.judged = [self._judged(name, real) for name in dict.fromkeys(models)]
        self._sessions: dict[str, _Session] = {}
        self._drawing = 0  # sessions whose pictures are being made
        self._begun: Counter[tuple[str, str]] = Counter()
        self._lock = RLock()

    def _judged(self, name: str, real: str) -> _Judged:
        model: Any = load(name)
        if "samples" not in model.abilities or len(model.shape) != 3:
            raise BadArgument(f"{name}: draws no pictures of its own; choose a model that samples pictures")
        opened = source_of(model, real).open("train")
        if tuple(opened.shape) != tuple(model.shape):
            raise BadArgument(
                f"{opened.name} has samples of shape {opened.shape}, and {name}'s are {tuple(model.shape)}"
            )
        if len(opened) < (most := max(self.of.values()) // 2):
            raise BadArgument(f"{opened.name} has {len(opened)} pictures; a session needs {most} real ones")
        return _Judged(name, model, opened)

    # ---------------------------------------------------------------- requests

    def begin(self, mode: Any) -> dict[str, Any]:
        """A new session, and its first picture; of the models, the one that was judged least."""
        if not isinstance(mode, str) or mode not in hype.PICTURES:
            raise BadArgument(f"mode is {str(mode)[:40]!r}; time or infinity is expected")
        with self._lock:
            now = time.monotonic()
            self._sessions = {key: each for key, each in self._sessions.items() if now - each.used < _IDLE}
            if len(self._sessions) + self._drawing >= _LIVE:
                raise BadArgument(f"{_LIVE} people judge at the moment; come back later")
            about = min(self.judged, key=lambda each: (self._begun[each.name, mode], secrets.randbelow(2**31)))
            self._begun[about.name, mode] += 1
            self._drawing += 1
        try:
            made, session = self._drawn(about, mode), secrets.token_urlsafe(12)
        finally:
            with self._lock:
                self._drawing -= 1
        with self._lock:
            self._sessions[session] = made
            return self._question(session)

    def answer(self, session: Any, number: Any, said: Any, shown: Any, took: Any) -> dict[str, Any]:
        """Takes down an answer, and shows the next picture, or says what came out."""
        with self._lock:
            mine = self._sessions.get(session) if isinstance(session, str) else None
            if mine is None:
                raise BadArgument("there is no such session, or it rested for too long; begin anew")
            i = len(mine.answers)
            timed = mine.mode == "time"
            if number != i or isinstance(number, bool) or not isinstance(said, bool):
                raise BadArgument(f"picture {str(number)[:20]} was answered; picture {i} is to be, with true or false")
            for ms in (took, shown) if timed else (took,):
                if isinstance(ms, bool) or not isinstance(ms, (int, float)) or not 0 <= ms < 1e9:
                    raise BadArgument(f"a time is {str(ms)[:20]}; milliseconds are expected")
            seed, index, _ = mine.pictures[i]
            real = mine.about.real
            answered = hype.Judgement(
                session=session,
                number=i,
                of=len(mine.pictures),
                mode=mine.mode,
                model=mine.about.name,
                generator=mine.about.generator,
                data=real.name,
                data_digest=real.digest,
                split=real.split,
                seed=seed,
                index=index,
                exposure=mine.exposure if timed else None,
                shown=float(shown) if timed else None,
                took=float(took),
                real=seed is None,
                said=said,
            )
            hype.write_judgement(self.log, answered)
            mine.answers.append(answered)
            mine.used = time.monotonic()
            if len(mine.answers) < len(mine.pictures):
                fresh = not len(mine.answers) % (len(mine.pictures) // hype.BLOCKS)
                mine.exposure = hype.FIRST if fresh else hype.next_exposure(mine.exposure, answered.right)
                return self._question(session) | ({"right": answered.right} if timed else {})
            del self._sessions[session]
        scores = hype.score(mine.answers)
        return {"done": True, "model": mine.about.name, "scores": [_told(each) for each in scores]}

    # ---------------------------------------------------------------- pictures

    def _drawn(self, about: _Judged, mode: str) -> _Session:
        """All pictures of a session: half of each block is real, in an order of its own."""
        rng = np.random.RandomState(secrets.randbelow(2**32))
        of = self.of[mode]
        seeds = rng.randint(0, 2**31, of // 2).tolist()
        indices = rng.choice(len(about.real), of // 2, replace=False).tolist()
        medium = medium_of(about.model.shape)

        def drawn(sample: Any) -> str:
            return _url(medium.frame(sample))

        made = [(seed, None, drawn(about.model.sample(1, seed=seed)[0])) for seed in seeds]
        real: list[Any] = [(None, i, drawn(np.array(about.real.values[i]))) for i in indices]
        blocks = hype.BLOCKS if mode == "time" else 1
        order: list[Any] = []
        for b in range(blocks):
            part = [*made[b::blocks], *real[b::blocks]]
            order += [part[i] for i in rng.permutation(len(part))]
        some = rng.choice(len(about.real), min(_POOL, len(about.real)), replace=False) if mode == "time" else ()
        masks = [_url(scrambled(medium.frame(np.array(about.real.values[i])), rng)) for i in some]
        return _Session(about, mode, order, masks)

    def _question(self, session: str) -> dict[str, Any]:
        mine = self._sessions[session]
        i, of = len(mine.answers), len(mine.pictures)
        asked = {"session": session, "number": i, "of": of, "picture": mine.pictures[i][2], "mode": mine.mode}
        if mine.mode == "infinity":
            return asked
        masks = [mine.masks[(hype.MASKS * i + k) % len(mine.masks)] for k in range(hype.MASKS)]
        return asked | {
            "exposure": mine.exposure,
            "masks": masks,
            "mask": hype.MASK,
            "countdown": i % (of // hype.BLOCKS) == 0,
        }


def scrambled(picture: Image.Image, rng: np.random.RandomState) -> Image.Image:
    """A picture of the same spectrum whose phases are random, so that nothing is to be recognised: a mask."""
    small = picture.resize((min(_MASK_SIDE, picture.width), min(_MASK_SIDE, picture.height)))
    values = np.asarray(small, np.float64)
    phases = np.angle(np.fft.fft2(rng.rand(*values.shape[:2])))
    phases = phases if values.ndim == 2 else phases[..., None]
    # The mean, whose phase is 0 in noise, stays
    mixed = np.fft.ifft2(np.abs(np.fft.fft2(values, axes=(0, 1))) * np.exp(1j * phases), axes=(0, 1)).real
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _told(score: Any) -> dict[str, Any]:
    low, high = score.details["interval"]
    return {"key": score.key, "value": round(score.value, 4), "interval": [round(low, 4), round(high, 4)]}


# ---------------------------------------------------------------- the page


def application(judging: Judging) -> Any:
    """The page and its two requests, as an ASGI application."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def file(request: Request) -> Response:
        name, kind = {"/": ("judge.html", "text/html"), "/judge.js": ("judge.js", "text/javascript")}[request.url.path]
        return Response((_STATIC / name).read_text(encoding="utf-8"), media_type=kind)

    async def asked(request: Request) -> Response:
        names = {"/begin": ("mode",), "/answer": ("session", "number", "said", "shown", "took")}[request.url.path]
        try:
            if int(request.headers.get("content-length", "-1")) not in range(_BODY):
                raise BadArgument(f"a request has up to {_BODY} bytes")
            given = json.loads(await request.body())
            if not isinstance(given, dict):
                raise BadArgument("a request is a table of JSON")
            ask: Any = judging.begin if request.url.path == "/begin" else judging.answer
            return JSONResponse(await run_in_threadpool(ask, *(given.get(name) for name in names)))
        except (GanzooError, ValueError, RecursionError) as error:
            told = str(error) if isinstance(error, GanzooError) else "a request is JSON"
            return JSONResponse({"error": told}, status_code=400)
        except OSError as error:
            return JSONResponse({"error": f"{judging.log}: cannot be written ({error.strerror})"}, status_code=500)

    pages = [Route(path, file) for path in ("/", "/judge.js")]
    return Starlette(routes=[*pages, *(Route(path, asked, methods=["POST"]) for path in ("/begin", "/answer"))])
