"""`ganzoo upscale`: pictures become larger by a whole factor."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli._pictures import add_inputs, decoded, out_of, plan, progress, report
from ganzoo.cli.sample import loaded
from ganzoo.types import BadArgument, GanzooError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from PIL import Image

    from ganzoo.game.game import Game

HELP = "make pictures larger with a model"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo upscale",
        description=(
            "Makes pictures of any format, mode and size larger, part by part, and writes them as PNG under their own\n"
            "names. A camera's rotation is applied, transparency is enlarged apart, a colour profile is kept.\n"
            "Those that cannot be enlarged are listed at the end; the others are."
        ),
        epilog=(
            "examples:\n"
            "  ganzoo upscale real-esrgan-x4plus photo.jpg\n"
            "  ganzoo upscale real-esrgan-animevideo-v3 frames/ --out large/\n"
            "  ganzoo upscale runs/mine 'scans/**/*.png' --tile 128"
        ),
    )
    add_inputs(made, "upscaled")
    made.add_argument("--tile", type=int, default=None, help="pixels of a part's side; fewer need less memory")
    made.add_argument("--overlap", type=int, default=None, help="pixels that parts share with their neighbours")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Enlarges, says where the pictures are, and lists those that failed; 1 where some did."""
    out = out_of(arguments)
    for name, value, least in (("tile", arguments.tile, 1), ("overlap", arguments.overlap, 0)):
        if value is not None and value < least:
            raise BadArgument(f"--{name} is {value}; at least {least} is expected")
    jobs = plan(arguments.inputs, out)
    if not jobs.pairs:
        return report(jobs.failed, "enlarged")
    model = loaded(arguments)
    try:
        _ = model.upscale
    except BadArgument as error:
        raise BadArgument(f"{arguments.model}: {error}") from None
    warnings.filterwarnings("ignore", module="PIL")  # of what is read all the same, or refused with a reason
    done = 0
    with progress(len(jobs.pairs), "enlarging") as advance:
        for source, target in jobs.pairs:
            reason = _enlarge(model, source, target, arguments.tile, arguments.overlap)
            if reason is None:
                done += 1
            else:
                jobs.failed.append((str(source), reason))
            advance(1)
    print(f"{done} picture{'' if done == 1 else 's'} enlarged {model.scale} times by {arguments.model} in {out}")
    return report(jobs.failed, "enlarged")


def _enlarge(model: Game, source: Path, target: Path, tile: int | None, overlap: int | None) -> str | None:
    """Enlarges one picture; gives the reason where that fails."""
    from ganzoo.data.decoding import Unreadable
    from ganzoo.files import atomic
    from ganzoo.media.provenance import made_by, marks

    try:
        picture = decoded(source, background=None)
    except Unreadable as error:
        return str(error)
    profile = picture.info.get("icc_profile")
    colors = isinstance(profile, bytes) and profile[16:20] == (b"GRAY" if picture.mode == "L" else b"RGB ")
    try:
        made = _made(model, picture, tile, overlap)
        with atomic(target) as draft, made_by(model, composite=True):
            made.save(draft, format="PNG", icc_profile=profile if colors else None, **marks("PNG"))
    except GanzooError as error:
        return str(error)
    except OSError as error:
        return f"{target} cannot be written ({error.strerror or error})"
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return f"{picture.width}x{picture.height} pixels do not fit into the memory; give a smaller --tile"
    return None


def _made(model: Game, picture: Image.Image, tile: int | None, overlap: int | None) -> Image.Image:
    """A picture in mode `L`, `RGB` or `RGBA`, larger, in the same mode."""
    import numpy as np
    import torch
    from PIL import Image

    from ganzoo.media.images import to_pil
    from ganzoo.media.levels import to_float

    if picture.mode == "RGBA":
        *_, alpha = picture.split()
        made = _made(model, picture.convert("RGB"), tile, overlap)
        low, high = alpha.getextrema()
        # As the picture itself, so that its outlines lie where those of the colours do; what is all one stays so
        made.putalpha(_made(model, alpha, tile, overlap) if low != high else Image.new("L", made.size, low))
        return made
    values = torch.from_numpy(np.array(picture.convert("L" if model.shape[0] == 1 else "RGB")))
    image = to_float(values[None, None] if values.ndim == 2 else values.permute(2, 0, 1)[None])
    # Pasted part by part: the large picture is in memory once, in 8 bits
    canvas = Image.new(picture.mode, (model.scale * picture.width, model.scale * picture.height))
    for top, left, part in model.upscaled_tiles(image, tile, overlap):
        canvas.paste(to_pil(part)[0].convert(picture.mode), (left, top))
    return canvas
