"""InfoGAN on heads that turn: how well its codes follow the azimuth and the elevation that nobody told it.

    OMP_NUM_THREADS=1 python benchmarks/turning.py --out docs/pictures/infogan-heads.png

Q reads the codes of the test split's renders, whose angles are known: rank correlations of each code with each angle.
The picture varies one code a row and holds the rest.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import ganzoo
from ganzoo.data.heads import Heads
from ganzoo.families.infogan import InfoGAN
from ganzoo.game.engine import Engine
from ganzoo.lectures.playing import play
from ganzoo.media.levels import to_float


def ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The place of each value among all, `(n,)`."""
    return np.argsort(np.argsort(values)).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--weight", type=float, default=1.0, help="lambda; 0 is the GAN without codes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to draw what the codes do")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    data = Heads(size=options.size, batch_size=64)
    game = InfoGAN(
        size=options.size, channels=1, categories=1, continuous=2, width=options.width, dense=0, weight=options.weight
    )
    images = 64 * options.steps
    game.engine = Engine(seed=options.seed, decay=(images // 2, images))
    begun = time.process_time()
    play(game, data, options.steps)
    seconds = time.process_time() - begun
    game.eval()
    test = data.open("test")
    with torch.no_grad():
        _, features = game.discriminator(to_float(test.batch(range(len(test))).images), with_features=True)
        codes = game.recogniser(features)[1].double().numpy()
    for k in range(2):
        said = ", ".join(
            f"{name} {np.corrcoef(ranks(codes[:, k]), ranks(angle))[0, 1]:+.2f}"
            for name, angle in zip(("azimuth", "elevation"), data.poses("test"), strict=True)
        )
        print(f"code {k}: {said}")
    print(f"{options.steps} steps of {options.size} pixels, seed {options.seed}: {seconds:.0f} s of one core")
    if options.out is not None:
        values = np.linspace(-1.2, 1.2, 8).tolist()
        rows = torch.cat([game.vary([seed], code, values)[0] for code in range(2) for seed in range(2)])
        ganzoo.save_grid(rows, options.out, columns=8)


if __name__ == "__main__":
    main()
