"""`ganzoo arithmetic`: 'man with glasses' - 'man' + 'woman', with means of latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli.sample import labels_of, loaded, numbers, options_of, with_sampling
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "add and subtract means of latents"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo arithmetic",
        description=(
            "DCGAN's figure 7: each row shows some samples and the mean of their latents; beside them stands the sum\n"
            "of the means, with noise around it. Samples are named by seeds, or by a class of a classifier's."
        ),
        epilog=(
            "examples:\n"
            "  ganzoo arithmetic mobilestylegan-ffhq --plus 3,14,15 --minus 2,7,1 --plus 8,9,0 --out panel.png\n"
            "  ganzoo arithmetic dcgan-fashion-mnist --classifier fashion_mnist_cnn --plus boot --minus sneaker\n"
            "  ganzoo arithmetic sngan-avatars-32 --classifier avatars_beard+avatars_eyewear --plus 'beard glasses'\n"
            "      --minus 'beard no-glasses' --plus 'no-beard no-glasses'"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--plus", type=str, action="append", default=[], help="seeds such as 3,14,15, or a class; again")
    made.add_argument("--minus", type=str, action="append", default=[], help="what is taken off")
    made.add_argument(
        "--classifier", type=str, default=None, help="whose classes --plus and --minus name; or some, joined by +"
    )
    made.add_argument("--space", type=str, default="z", help="z, or w of a model with styles (default: z)")
    made.add_argument("--out", type=str, default="arithmetic.png", help="a .png (.jpg, .webp, ...)")
    return with_sampling(made)


def run(arguments: Any) -> int:
    """Draws the panel, and says where it is."""
    from ganzoo.media.medium import check_picture, save_grid

    if not arguments.plus:
        raise BadArgument("--plus is missing; `ganzoo arithmetic --help` shows examples")
    check_picture(arguments.out)
    labels = labels_of(arguments, 1)
    if arguments.classifier is None:
        plus, minus = ([numbers(text, name) for text in given]
                       for given, name in ((arguments.plus, "--plus"), (arguments.minus, "--minus")))  # fmt: skip
        model = loaded(arguments)
    else:
        from ganzoo.data.classes import class_index
        from ganzoo.latent.means import recognized
        from ganzoo.zoo.helpers import classifier

        tell, names = classifier(arguments.classifier)
        wanted = [[class_index(text, names) for text in given] for given in (arguments.plus, arguments.minus)]
        model = loaded(arguments)
        plus, minus = ([recognized(model, tell, k) for k in classes] for classes in wanted)
    from ganzoo.latent.means import panel
    from ganzoo.media.provenance import made_by

    options = options_of(arguments)
    made, columns = panel(model, plus, minus, arguments.space, labels, arguments.batch_size, **options)
    with made_by(model, [seed for part in (*plus, *minus) for seed in part]):
        save_grid(made, arguments.out, columns)
    terms = [f"{sign} {','.join(map(str, seeds))}" for sign, part in (("+", plus), ("-", minus)) for seeds in part]
    print(f"seeds {' '.join(terms)} of {arguments.model} in {arguments.out}")
    return 0
