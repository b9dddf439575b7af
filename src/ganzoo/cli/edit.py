"""`ganzoo edit`: pictures moved along directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser, refuse
from ganzoo.cli.sample import labels_of, loaded, numbers, options_of, progress, with_sampling
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "move pictures along directions"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo edit",
        description="A contact sheet: a row a direction and latent, from one strength to its opposite, or to a value.",
        epilog=(
            "examples:\n"
            "  ganzoo edit mobilestylegan-ffhq --directions faces.safetensors --index 0-2 --seeds 4 --out sheet.png\n"
            "  ganzoo edit stylegan2-fashion-mnist --directions boot.safetensors --strength 2 --layers 0-3\n"
            "  ganzoo edit stylegan2-fashion-mnist --directions classes.safetensors --to boot --seeds 0-5\n"
            "  ganzoo edit stylegan2-ffhq --directions age.safetensors --latents me/latents.safetensors"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--directions", type=str, required=True, help="the file that `ganzoo directions` wrote")
    made.add_argument("--index", type=str, default=None, help="of directions, such as 0-4 (default: all)")
    made.add_argument("--seeds", type=str, default=None, help="of the pictures that are moved (default: 0)")
    made.add_argument("--latents", type=str, default=None, help="a file of latents instead, as `ganzoo project` writes")
    made.add_argument("--to", type=str, default=None, help="a value of the attribute that the directions are of")
    made.add_argument("--strength", type=float, default=None, help="in standard deviations (default: 3)")
    made.add_argument("--pictures", type=int, default=5, help="in a row (default: 5)")
    made.add_argument("--layers", type=str, default=None, help="of w that are moved, such as 0-3 (default: all)")
    made.add_argument("--out", type=str, default="sheet.png", help="a .png (.jpg, .webp, ...)")
    return with_sampling(made)


def run(arguments: Any) -> int:
    """Draws the sheet, and says where it is."""
    from ganzoo.media.medium import check_picture, save_grid

    if arguments.pictures < 1:
        raise BadArgument(f"--pictures is {arguments.pictures}; at least 1 is expected")
    if arguments.latents is not None:
        refuse(arguments, "--latents", "seeds", "labels")
    if arguments.to is not None:
        refuse(arguments, "--to", "index", "strength")
    seeds = numbers("0" if arguments.seeds is None else arguments.seeds, "--seeds")
    labels, options = labels_of(arguments, len(seeds)), options_of(arguments)
    layers = None if arguments.layers is None else numbers(arguments.layers, "--layers")
    check_picture(arguments.out)
    model = loaded(arguments)
    import torch

    from ganzoo.latent import draw, images, load_directions, load_latents, sheet, towards
    from ganzoo.media.provenance import made_by

    found = load_directions(arguments.directions, model)
    indices = [*range(len(found))] if arguments.index is None else numbers(arguments.index, "--index")
    if arguments.latents is not None:
        latents = load_latents(arguments.latents, model)
    else:
        keys = ("truncation", "truncation_cutoff") if found.space == "w" else ()
        mapping = {key: options.pop(key) for key in keys if key in options}
        latents = draw(model, seeds, found.space, labels, **mapping)
    if arguments.to is not None:
        shares = torch.linspace(0, 1, arguments.pictures).tolist()
        moved = [towards(model, latents, found, arguments.to, share, layers) for share in shares]
        each = [images(model, one, batch_size=arguments.batch_size, **options) for one in moved]
        with made_by(model, () if arguments.latents is not None else seeds):
            save_grid(torch.stack(each, 1).flatten(0, 1), arguments.out, columns=arguments.pictures)
        print(f"{len(latents)} samples on the way to {arguments.to} in {arguments.out}")
        return 0
    strength = 3.0 if arguments.strength is None else arguments.strength
    strengths = torch.linspace(-strength, strength, arguments.pictures).tolist()
    with progress(len(indices) * len(latents), True, "moving") as advance:
        made = sheet(
            model,
            latents,
            found,
            strengths,
            indices,
            layers,
            advance,
            batch_size=arguments.batch_size,
            **options,
        )
    with made_by(model, () if arguments.latents is not None else seeds):
        save_grid(made.flatten(0, 2), arguments.out, columns=arguments.pictures)
    print(f"{len(indices)} directions from -{strength:g} to {strength:g} in {arguments.out}")
    return 0
