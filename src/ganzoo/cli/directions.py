"""`ganzoo directions`: ways through a model's latent space along which its pictures change in one respect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli.sample import loaded, numbers, progress
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "find directions in a model's latent space"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo directions",
        description="Finds directions and writes them into a file, for `ganzoo edit`.",
        epilog=(
            "examples:\n"
            "  ganzoo directions mobilestylegan-ffhq --method sefa --out faces.safetensors\n"
            "  ganzoo directions dcgan-fashion-mnist --method ganspace --count 5 --out clothes.safetensors\n"
            "  ganzoo directions dcgan-fashion-mnist --method voynov --steps 1000 --out clothes.safetensors\n"
            "  ganzoo directions stylegan2-fashion-mnist --method attribute --classifier fashion_mnist_cnn"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--method", type=str, default="sefa", help="sefa, ganspace, voynov or attribute (default: sefa)")
    made.add_argument("--out", type=str, default="directions.safetensors", help="the file")
    made.add_argument("--space", type=str, default=None, help="z or w (default: w of a model with styles)")
    made.add_argument("--count", type=int, default=None, help="how many (default: 10)")
    made.add_argument("--layers", type=str, default=None, help="of w that sefa looks at, such as 0-3 (default: all)")
    made.add_argument(
        "--layer", type=str, default=None, help="that ganspace looks at, for z, and voynov instead of pictures"
    )
    made.add_argument("--n", type=int, default=None, help="latents that ganspace and attribute look at")
    made.add_argument("--steps", type=int, default=None, help="that voynov trains for")
    made.add_argument("--resume", action="store_true", help="go on where voynov was interrupted, or to more steps")
    made.add_argument("--classifier", type=str, default=None, help="for attribute: a feature network or a model")
    made.add_argument("--class", type=str, default=None, dest="named", help="of the classifier (default: all)")
    made.add_argument("--device", type=str, default=None, help="cpu, cuda, mps; the best there is by default")
    return made


def run(arguments: Any) -> int:
    """Finds them, and says where they are."""
    given = {key: getattr(arguments, key) for key in ("space", "count", "layer", "n", "steps")}
    options = {key: value for key, value in given.items() if value is not None}
    if arguments.layers is not None:
        options["layers"] = numbers(arguments.layers, "--layers")
    if (arguments.method == "attribute") != (arguments.classifier is not None):
        raise BadArgument("--method attribute needs a --classifier, and others need none")
    if arguments.named is not None and arguments.classifier is None:
        raise BadArgument("--class is one of a --classifier's; give that too")
    if arguments.method == "voynov":
        options |= {"state": f"{arguments.out}.state", "resume": arguments.resume}
    elif arguments.resume:
        raise BadArgument(f"--resume is for --method voynov; {arguments.method} is found at once")
    from ganzoo.latent import directions
    from ganzoo.latent.latents import check_target

    check_target(arguments.out)
    model = loaded(arguments)

    if arguments.classifier is not None:
        from ganzoo.data.classes import class_index
        from ganzoo.zoo.helpers import classifier

        tell, names = classifier(arguments.classifier)
        names = names or model.class_names
        if arguments.named is None:
            options |= {"scores": tell, "name": "class", "values": names}
        else:
            k = class_index(arguments.named, names)
            options |= {"scores": lambda images: tell(images)[:, k], "name": names[k] if names else f"class {k}"}
    with progress(options.get("n", options.get("steps", 2000)), True, "looking") as advance:
        found = directions(model, arguments.method, progress=advance, **options)
    found.save(arguments.out)
    accuracy = f", told apart in {100 * found.facts['accuracy']:.1f} %" if "accuracy" in found.facts else ""
    print(f"{len(found)} directions in {found.space} of {arguments.model} by {found.method}{accuracy}: {arguments.out}")
    return 0
