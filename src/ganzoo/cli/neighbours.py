"""`ganzoo neighbours`: samples beside the training pictures that are nearest to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.cli.sample import labels_of, loaded, numbers, options_of, with_sampling

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "samples beside their nearest training pictures"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo neighbours",
        description="Draws a row a sample: the sample, and then the training pictures nearest to it.",
        epilog=(
            "examples:\n"
            "  ganzoo neighbours dcgan-fashion-mnist --seeds 0-7 --out neighbours.png\n"
            "  ganzoo neighbours dcgan-fashion-mnist --network fashion_mnist_cnn\n"
            "  ganzoo neighbours runs/mine --data photos/ --k 3"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--data", type=str, default=None, help="a source or a folder (default: the training data)")
    made.add_argument("--seeds", type=str, default="0-7", help="of the samples (default: 0-7)")
    made.add_argument("--k", type=int, default=5, help="neighbours of each (default: 5)")
    made.add_argument("--network", type=str, default=None, help="in whose features (default: in pixels)")
    made.add_argument("--out", type=str, default="neighbours.png", help="a .png (.jpg, .webp, ...)")
    return with_sampling(made)


def run(arguments: Any) -> int:
    """Draws them, and says how near they are."""
    from ganzoo.media.medium import check_picture, save_grid

    seeds = numbers(arguments.seeds, "--seeds")
    labels = labels_of(arguments, len(seeds))
    check_picture(arguments.out)
    model = loaded(arguments)
    from ganzoo.latent.nearest import neighbours
    from ganzoo.media.provenance import made_by
    from ganzoo.zoo.evaluating import source_of

    real = source_of(model, arguments.data).open("train")
    samples = model.sample(seeds=seeds, labels=labels, batch_size=arguments.batch_size, **options_of(arguments))
    beside, distances, rows = neighbours(samples, real, arguments.k, arguments.network)
    with made_by(model, seeds, composite=True):  # real pictures stand beside them
        save_grid(beside.flatten(0, 1), arguments.out, columns=arguments.k + 1)
    where = arguments.network or "pixels"
    for seed, far, row in zip(seeds, distances[:, 0].tolist(), rows[:, 0].tolist(), strict=True):
        print(f"seed {seed}: nearest is number {row} of {real.name}, {far:.4g} away in {where}")
    print(f"{len(seeds)} samples of {arguments.model} in {arguments.out}")
    return 0
