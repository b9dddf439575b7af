"""`ganzoo project`: the latents whose pictures are nearest to given ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli._pictures import add_inputs, out_of, sources
from ganzoo.cli.sample import loaded, progress
from ganzoo.types import BadArgument, BadData

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from torch import Tensor

HELP = "find the latents of pictures"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo project",
        description=(
            "Finds the latents whose pictures are nearest to given ones, and writes latents.safetensors and\n"
            "projection.png. Pictures of another size are cropped to a square and resized."
        ),
        epilog=(
            "examples:\n"
            "  ganzoo project mobilestylegan-ffhq me.jpg --out me/\n"
            "  ganzoo project stylegan2-fashion-mnist shoe.png --space w+ --film way.gif --out shoe/\n"
            "  ganzoo project stylegan2-fashion-mnist shoe.png --tune 350 --out shoe/   # and a model of its own"
        ),
    )
    add_inputs(made, "projected")
    made.add_argument("--space", type=str, default=None, help="z, w or w+ (default: w of a model with styles)")
    made.add_argument("--steps", type=int, default=1000, help="of the search (default: 1000)")
    made.add_argument("--starts", type=int, default=1, help="of which the best is kept (default: 1)")
    made.add_argument("--network", type=str, default=None, help="in whose features (default: VGG16, or MobileNetV2)")
    made.add_argument("--pixels", type=float, default=1.0, help="weight of pixels beside them (default: 1)")
    made.add_argument("--noise", type=str, default="learn", help="learn or const, where there are noise inputs")
    made.add_argument("--tune", type=int, default=0, help="steps of pivotal tuning, after which model/ is written too")
    made.add_argument("--film", type=str, default=None, help="a .gif, .webp or .mp4 of the way there, in the folder")
    made.add_argument("--resume", action="store_true", help="go on where it was interrupted")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Searches, and says how near it came."""
    out = out_of(arguments)
    for name, value, least in (("--steps", arguments.steps, 1), ("--tune", arguments.tune, 0)):
        if value < least:
            raise BadArgument(f"{name} is {value}; at least {least} is expected")
    from ganzoo.media.films import check_film, write_film

    if arguments.film is not None:
        check_film(out / arguments.film)
    model = loaded(arguments)
    from ganzoo.latent.latents import check_space
    from ganzoo.latent.projection import project, save_projection, tune, way_of
    from ganzoo.media.provenance import made_by

    check_space(model, "w" if arguments.space == "w+" else arguments.space)
    names, targets = read_pictures(arguments.inputs, out, model)
    with progress(arguments.steps + arguments.tune, True, "searching") as advance:
        found = project(
            model,
            targets,
            arguments.space,
            arguments.steps,
            network=arguments.network,
            pixels=arguments.pixels,
            noise=arguments.noise,
            starts=arguments.starts,
            state=out / "state.safetensors",
            resume=arguments.resume,
            progress=advance,
        )
        found = tune(found, arguments.tune, progress=advance) if arguments.tune else found
    save_projection(found, out)
    if arguments.tune:
        from ganzoo.folder import save

        save(found.model, out / "model")
    if arguments.film is not None:
        with made_by(model, composite=True):
            write_film(way_of(found), out / arguments.film, rate=12)
    distance = "LPIPS" if found.network == "vgg16_lpips" else f"squared distance in {found.network}"
    for name, far, error in zip(names, found.distances.tolist(), found.errors.tolist(), strict=True):
        print(f"{name}: {distance} {far:.4f}, mean absolute error {error:.4f} in [-1, 1]")
    print(f"{len(targets)} latents of {arguments.model} in {out}")
    return 0


def read_pictures(inputs: list[str], out: Path, model: Any) -> tuple[list[str], Tensor]:
    """Names, and pictures `(n, C, H, W)` in [-1, 1] of the model's shape, cropped to a square and resized to it.

    Raises:
        BadArgument: for a model that makes no pictures.
        BadData: for a file that is no picture.
    """
    import torch

    from ganzoo.data.decoding import Unreadable
    from ganzoo.latent.projection import read_target

    if len(model.shape) != 3:
        raise BadArgument(f"the model makes samples of shape {tuple(model.shape)}, and no pictures to be projected")
    side, found = model.shape[-1], []
    names = list(dict.fromkeys(str(source) for text in inputs for source, _ in sources(text, out)))
    for name in names:
        try:
            target, (width, height) = read_target(Path(name).read_bytes(), model)
        except (Unreadable, OSError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else error
            raise BadData(f"{name}: {reason}") from None
        if (width, height) != (side, side):
            print(f"{name}: {width}x{height} pixels, cropped to a square and resized to {side}")
        found.append(target)
    return names, torch.stack(found)
