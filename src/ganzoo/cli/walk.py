"""`ganzoo walk`: a film of the way from latent to latent, or of a run's previews."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser, refuse
from ganzoo.cli.sample import labels_of, loaded, numbers, options_of, progress, with_sampling
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "a film from latent to latent, or of a run"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo walk",
        description="Walks from the latent of each seed to that of the next; or shows a run's previews one by one.",
        epilog=(
            "examples:\n"
            "  ganzoo walk dcgan-fashion-mnist --seeds 3,7,12 --out walk.gif\n"
            "  ganzoo walk mobilestylegan-ffhq --seeds 3,7 --space w --truncation 0.5 --out faces.mp4\n"
            "  ganzoo walk dcgan-fashion-mnist --seeds 3,7 --steps 8 --no-loop --out strip.png\n"
            "  ganzoo walk --run runs/my-run --rate 4 --out training.webp"
        ),
    )
    made.add_argument("model", type=str, nargs="?", help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--run", type=str, default=None, help="the folder of a run whose previews are shown instead")
    made.add_argument("--seeds", type=str, default=None, help="such as 3,7,12 (default: 0-3)")
    made.add_argument("--steps", type=int, default=None, help="pictures from a seed to the next (default: 30)")
    made.add_argument("--space", type=str, default=None, help="z, or w of a model with styles (default: z)")
    made.add_argument("--method", type=str, default=None, help="slerp or linear (default: arcs in z, lines in w)")
    made.add_argument("--loop", action=BooleanOptionalAction, default=None, help="end where it began (default: yes)")
    made.add_argument("--rate", "--fps", type=float, default=24.0, help="pictures a second (default: 24)")
    made.add_argument("--out", type=str, default="walk.gif", help="a .mp4, .gif or .webp, or a .png for a strip")
    return with_sampling(made)


def run(arguments: Any) -> int:
    """Writes the film, and says where it is."""
    if (arguments.model is None) == (arguments.run is None):
        raise BadArgument("name a model, or a run's folder with --run; `ganzoo walk --help` shows examples")
    if arguments.run is not None:
        drawn = ("labels", "truncation", "truncation_cutoff", "noise", "batch_size", "device")
        refuse(arguments, "--run", "seeds", "steps", "space", "method", "loop", *drawn)
        from ganzoo.media.films import write_film
        from ganzoo.training.previews import frames, previews_of

        count = write_film(frames(previews_of(Path(arguments.run))), arguments.out, arguments.rate)
        print(f"{count} previews of {arguments.run} in {arguments.out}")
        return 0
    seeds = numbers("0-3" if arguments.seeds is None else arguments.seeds, "--seeds")
    steps = 30 if arguments.steps is None else arguments.steps
    loop = arguments.loop is not False
    labels = labels_of(arguments, len(seeds))
    model = loaded(arguments)
    from ganzoo.latent import walk

    total = steps * (len(seeds) if loop else len(seeds) - 1)
    with progress(total, True, "walking") as advance:
        count = walk(
            model,
            seeds,
            arguments.out,
            steps,
            "z" if arguments.space is None else arguments.space,
            arguments.method,
            loop=loop,
            rate=arguments.rate,
            labels=labels,
            batch_size=arguments.batch_size,
            progress=advance,
            **options_of(arguments),
        )
    print(f"{count} pictures of {arguments.model} in {arguments.out}")
    return 0
