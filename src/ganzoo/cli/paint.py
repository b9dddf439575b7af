"""`ganzoo paint`: a picture that has the colours of some strokes, and is as it was everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser, refuse
from ganzoo.cli._pictures import decoded
from ganzoo.cli.project import read_pictures
from ganzoo.cli.sample import loaded, progress
from ganzoo.types import BadArgument, BadData

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "paint on a picture, and let the model make sense of it"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo paint",
        description=(
            "Finds the picture nearest to some strokes that is as it was elsewhere. A photograph begins at what the\n"
            "model's encoder says of it, or at its projection, and keeps all that does not change."
        ),
        epilog=(
            "examples:\n"
            "  ganzoo paint dcgan-fashion-mnist --seed 3 --strokes strokes.png --out painted.png\n"
            "  ganzoo paint bigan-fashion-mnist --photo shoe.png --strokes strokes.png --out painted.png\n"
            "  ganzoo paint mobilestylegan-ffhq --photo me.jpg --latents me/latents.safetensors --strokes strokes.png"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--strokes", type=str, required=True, help="a picture, transparent where nothing was painted")
    made.add_argument("--photo", type=str, default=None, help="a picture of yours to paint on")
    made.add_argument("--latents", type=str, default=None, help="of the photograph, as `ganzoo project` writes them")
    made.add_argument(
        "--seed", type=int, default=None, help="of the picture, where there is no photograph (default: 0)"
    )
    made.add_argument("--steps", type=int, default=200, help="of the search (default: 200)")
    made.add_argument("--out", type=str, default="painted.png", help="before and after: a .png (.jpg, .webp, ...)")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Paints, and says where the picture is."""
    if arguments.steps < 1:
        raise BadArgument(f"--steps is {arguments.steps}; at least 1 is expected")
    if arguments.latents is not None and arguments.photo is None:
        raise BadArgument("--latents are those of a photograph; give it with --photo")
    if arguments.photo is not None:
        refuse(arguments, "--photo", "seed")
    from ganzoo.media.medium import check_picture, save_grid

    check_picture(arguments.out)
    model = loaded(arguments)
    import torch

    from ganzoo.data.decoding import Unreadable
    from ganzoo.latent import draw, encoded, images, load_latents, paint
    from ganzoo.latent.latents import check_space
    from ganzoo.latent.projection import read_strokes
    from ganzoo.media.provenance import made_by

    space = check_space(model, None)
    try:
        picture = decoded(Path(arguments.strokes), background=None)
    except Unreadable as error:
        raise BadData(f"{arguments.strokes}: {error}") from None
    if picture.mode != "RGBA":
        raise BadArgument(f"{arguments.strokes} is painted all over; strokes lie on a transparent ground")
    strokes, mask = read_strokes(picture, model)
    photo = None if arguments.photo is None else read_pictures([arguments.photo], Path(arguments.out), model)[1]
    if photo is None:
        at = draw(model, [arguments.seed or 0], space)
    else:
        at = encoded(model, photo) if arguments.latents is None else load_latents(arguments.latents, model)
    before = images(model, at) if photo is None else photo
    with progress(arguments.steps, True, "searching") as advance:
        _, after = paint(
            model, at, strokes, mask, arguments.steps, photo=None if photo is None else photo[0], progress=advance
        )
    with made_by(model, composite=True):
        save_grid(torch.cat([before, after]), arguments.out, columns=2)
    print(f"before and after in {arguments.out}")
    return 0
