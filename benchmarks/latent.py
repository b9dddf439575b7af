"""What directions, arithmetic and projection reach on shipped models: `python benchmarks/latent.py [PART ...]`.

`attribute`: directions towards each class by one classifier, judged by another: `fashion_mnist_cnn`, and a logistic
regression on pixels of 10,000 training images. `arithmetic`: x + mean(c) - mean(a) for a sample x of class a.
`projection`: own
samples. `speed`, which needs `--peer`, a checkout of github.com/NVlabs/stylegan2-ada-pytorch: a step of projection at
256 pixels beside that of NVIDIA's projector with its reference operations, with equal networks of random weights, and
VGG16 of random weights for a loss; turn by turn, by the processor time of this process.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

import ganzoo
from ganzoo import latent
from ganzoo.data.fashion_mnist import FashionMNIST
from ganzoo.latent.latents import Latents
from ganzoo.media.levels import to_float
from ganzoo.metrics.features.network import feature_network


class Judge:
    """Another classifier: a logistic regression on pixels, two by two."""

    def __init__(self) -> None:
        images = FashionMNIST(size=32).open("train")
        assert images.labels is not None
        values = to_float(torch.from_numpy(np.array(images.values[:10_000])))
        self.model = LogisticRegression(C=0.01, max_iter=300).fit(self.pixels(values), images.labels[:10_000])

    def pixels(self, images: Tensor) -> np.ndarray:
        """What it looks at."""
        return functional.avg_pool2d(images, 2).flatten(1).numpy()

    def __call__(self, images: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities `(n, 10)`."""
        return torch.from_numpy(self.model.predict_log_proba(self.pixels(images)))


def attribute(judge: Judge, names: Sequence[str] = ("stylegan2-fashion-mnist", "dcgan-fashion-mnist")) -> None:
    """How often samples of another class become those of a class for a classifier that nothing was fitted to.

    Of w, where a class's mean tells what else a sample is: how often a moved sample is nearer, in pixels, to the sample
    of its own z and the class that it was moved to than to that of another z.
    """
    cnn = feature_network("fashion_mnist_cnn").probabilities
    tellers: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: judge(x).exp(), "fashion_mnist_cnn": cnn}
    for name in names:
        model: Any = ganzoo.load(name)
        options: dict[str, Any] = {"noise": "const"} if "styled" in model.abilities else {}
        before = latent.draw(model, range(10_000, 10_100), None)
        old = latent.images(model, before, **options)
        some = latent.images(model, latent.draw(model, range(2000), None), **options)
        for (one, tell), (other, ask) in itertools.permutations(tellers.items()):
            sure, first = tell(some), ask(old).argmax(1)
            found = latent.directions(model, "attribute", scores=sure, n=2000)
            became: dict[str, list[float]] = {"all classes": [], "a class and the rest": []}
            kept = []
            for k in range(10):
                others = first != k
                plane = latent.directions(model, "attribute", scores=(sure.argmax(1) == k).double(), n=2000, share=0.1)
                moved = [latent.towards(model, before, found, k), latent.towards(model, before, plane, 1)]
                for values, each in zip(became.values(), moved, strict=True):
                    made = latent.images(model, each, **options)
                    values += (ask(made).argmax(1) == k)[others].double().tolist()
                    if values is became["all classes"] and options:
                        own = model.sample(seeds=range(10_000, 10_100), labels=[k] * 100, **options)
                        kept += (
                            (made - own).flatten(1).norm(dim=1) < (made - own.roll(1, 0)).flatten(1).norm(dim=1)
                        ).tolist()
            text = ", ".join(f"{np.mean(values):.0%} by directions between {key}" for key, values in became.items())
            print(f"{name}, {found.space}, fitted to {one} (told apart in {found.facts['accuracy']:.0%}): of "
                  f"{len(became['all classes'])} samples of another class {other} takes for the class {text}"
                  + (f"; {np.mean(kept):.0%} keep their z" if kept else ""), flush=True)  # fmt: skip


def arithmetic(judge: Judge) -> None:
    """How often x + mean(c) - mean(a) is nearer to class c than x is."""
    tell = feature_network("fashion_mnist_cnn").probabilities
    model: Any = ganzoo.load("dcgan-fashion-mnist")
    start = latent.draw(model, range(2000))
    sure = tell(latent.images(model, start))
    of = {k: (sure[:, k] > 0.9).nonzero()[:, 0].tolist() for k in range(10)}
    rng, sums, x, wanted = np.random.RandomState(0), [], [], []
    for _ in range(200):
        a, c = rng.choice([k for k in of if len(of[k]) >= 8], 2, replace=False)
        three, four = rng.choice(of[c], 3, replace=False), rng.choice(of[a], 4, replace=False)
        result = latent.arithmetic(model, [[int(four[3])], three.tolist()], [four[:3].tolist()])
        sums.append(result.values)
        x.append(int(four[3]))
        wanted.append(int(c))
    images, before = latent.images(model, Latents(torch.cat(sums))), model.sample(seeds=x)
    rows = torch.arange(200)
    nearer = {}
    for name, belief in (("fashion_mnist_cnn", lambda x: tell(x).log()), ("the judge", judge)):
        after = belief(images)
        share = (after[rows, wanted] > belief(before)[rows, wanted]).double().mean()
        nearer[name] = (
            f"{share:.0%} (of the class itself {(after.argmax(1) == torch.tensor(wanted)).double().mean():.0%})"
        )
    print("dcgan-fashion-mnist, of 200 sums nearer to the class than x: " + ", ".join(f"for {k} {v}" for k, v in
          nearer.items()), flush=True)  # fmt: skip


def projection(judge: Judge) -> None:
    """Ten samples of a model in its own w, with its noise as it is."""
    model: Any = ganzoo.load("stylegan2-fashion-mnist")
    targets = model.sample(10, seed=100, noise="const")
    begin = time.process_time()
    found = latent.project(model, targets, "w", 500, noise="const")
    seconds = time.process_time() - begin
    near = int((found.errors < 0.02).sum())
    errors = " ".join(f"{each:.4f}" for each in found.errors.tolist())
    print(
        f"stylegan2-fashion-mnist, 500 steps, {found.network}: {near} of 10 below 0.02 ({errors}), {seconds:.0f} cpu-s"
    )


def speed(peer: Path, size: int = 256, base: int = 16384) -> None:
    """Seconds a step, theirs and ours."""
    from torchvision.models import vgg16  # type: ignore[import-untyped]

    torch.set_num_threads(1)
    trunk = vgg16(weights=None).features[:30].eval().requires_grad_(False)
    sys.path.insert(0, str(peer))
    sys.modules["legacy"], sys.modules["imageio"] = types.ModuleType("legacy"), types.ModuleType("imageio")
    projector, networks, util = map(importlib.import_module, ("projector", "training.networks", "dnnlib.util"))
    util.open_url = lambda url: contextlib.nullcontext()  # type: ignore[attr-defined]  # nothing is fetched

    class Loss:
        """Stands in for their VGG16, which is not to be had."""

        def eval(self) -> Loss:
            return self

        def to(self, device: torch.device) -> Loss:
            return self

        def __call__(self, images: Tensor, **_: Any) -> Tensor:
            return trunk(images / 127.5 - 1).flatten(1)

    torch.jit.load = lambda file: Loss()  # type: ignore[assignment,misc]
    synthesis = {"channel_base": base, "channel_max": 512, "num_fp16_res": 0, "conv_clamp": None}
    theirs = networks.Generator(512, 0, 512, size, 3, synthesis_kwargs=synthesis).eval()
    ours: Any = ganzoo.create("stylegan2", size=size, channel_base=base).eval()
    target = torch.randint(0, 256, (3, size, size), dtype=torch.uint8)
    image = (target / 127.5 - 1)[None]

    def see(images: Tensor) -> Tensor:
        return trunk(images).flatten(1)

    sides: dict[str, Callable[[int], Any]] = {
        "theirs": lambda n: projector.project(
            theirs, target, num_steps=n, w_avg_samples=10, device=torch.device("cpu")
        ),
        "ours": lambda n: latent.project(ours, image, "w", n, network=see, pixels=0.0),
    }
    for run in sides.values():
        run(2)  # what is only done once
    for _ in range(3):
        found = {}
        for name, run in sides.items():
            times = []
            for n in (2, 8):  # what comes before the first step is the same in both
                begin = time.process_time()
                run(n)
                times.append(time.process_time() - begin)
            found[name] = (times[1] - times[0]) / 6
        ratio = found["theirs"] / found["ours"]
        print(
            f"{size} px: {found['theirs']:.2f} cpu-s a step theirs, {found['ours']:.2f} ours: {ratio:.2f}", flush=True
        )


def main() -> None:
    """Runs the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {each.__name__: each for each in (attribute, arithmetic, projection)}
    parser.add_argument("parts", nargs="*", help=f"{', '.join(parts)} or speed")
    parser.add_argument("--peer", type=Path, help="for speed: NVIDIA's checkout")
    given = parser.parse_args()
    if given.peer is not None:
        speed(given.peer)
        return
    judge = Judge()
    for name in given.parts or parts:
        parts[name](judge)


if __name__ == "__main__":
    main()
