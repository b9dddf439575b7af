"""ganzoo's metrics beside their peers, on the same inputs, in one process, in turns.

    python benchmarks/metrics.py                     # everything, some 10 minutes on a core
    python benchmarks/metrics.py frechet --rounds 9

Each round runs every contestant once; the table gives the median over rounds of its time, and of the ratio to
ganzoo's time in the same round, with the smallest and largest ratio. CPU seconds are of the process, so that other
load on the machine does not count. Memory is the peak above what was resident before, from the kernel (Linux).

Peers: torchmetrics' and scipy's Fréchet distance from the same statistics; precision and recall by the scheme of
NVIDIA's code (a row block of all distances for each set, four products in all) written here from its description;
torch-fidelity's Inception network on the same random weights. Needs the packages torch-fidelity, scipy and
torchmetrics.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics import precision_recall
from ganzoo.metrics.features.inception import Inception
from ganzoo.metrics.features.network import FeatureNetwork, describe
from ganzoo.metrics.functional.frechet import frechet_distance_of_moments, moments
from ganzoo.metrics.functional.kernel import kernel_distance_full

Contestants = dict[str, Callable[[], Any]]


def peak_memory() -> int | None:
    """The peak resident size in bytes since `reset_peak`; None where the kernel does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def reset_peak() -> int | None:
    """Forgets the peak; returns the resident size now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return peak_memory()


def race(title: str, contestants: Contestants, rounds: int, agree: float) -> dict[str, Any]:
    """Runs all in turns; the first is ganzoo's. `agree` is how far apart, relatively, the results may be."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    walls: dict[str, list[float]] = {name: [] for name in contestants}
    memory: dict[str, int] = {}
    results: dict[str, Any] = {}
    first = next(iter(contestants))
    for number in range(rounds):
        # each starts equally often, so that what one leaves in the caches helps none in particular
        names = list(contestants)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            before = reset_peak()
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = contestants[name]()
            times[name].append(time.process_time() - cpu)
            walls[name].append(time.perf_counter() - wall)
            after = peak_memory()
            if before is not None and after is not None:
                memory[name] = max(memory.get(name, 0), after - before)
    print(f"\n{title}, {rounds} rounds")
    print(f"{'':34}{'cpu s':>9}{'wall s':>9}{'ratio (cpu)':>26}{'MB':>8}{'ratio':>7}")
    table: dict[str, Any] = {}
    for name in contestants:
        np.testing.assert_allclose(np.asarray(results[name]), np.asarray(results[first]), rtol=agree)
        ratios = [b / a for a, b in zip(times[first], times[name], strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        more = memory.get(name, 0) / max(memory.get(first, 0), 1)
        cpu, wall = statistics.median(times[name]), statistics.median(walls[name])
        spread = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(f"{name:34}{cpu:9.3f}{wall:9.3f}{spread:>26}{memory.get(name, 0) / 1e6:8.0f}{more:7.1f}")
        table[name] = {"cpu_s": cpu, "wall_s": wall, "ratio": middle, "least": low, "most": high}
        table[name] |= {"peak_bytes": memory.get(name), "memory_ratio": more}
    return {title: table}


def features(n: int, d: int, seed: int) -> Tensor:
    """Features as networks give them: not negative, correlated, of falling variances."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator) * torch.linspace(1, 0.05, d)[:, None] / d**0.5
    values: Tensor = torch.randn(n, d, generator=generator) @ mix + 0.02 * seed
    return values.clamp_min(0)


def frechet(rounds: int) -> dict[str, Any]:
    from scipy import linalg  # type: ignore[import-untyped]
    from torchmetrics.image.fid import _compute_fid

    x, y = moments(features(5000, 2048, 1)), moments(features(5000, 2048, 2))

    def by_scipy() -> float:
        s1, s2 = x.covariance.numpy(), y.covariance.numpy()
        root = linalg.sqrtm(s1 @ s2)
        gap = (x.mean - y.mean).numpy()
        return float(gap @ gap + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)

    contestants: Contestants = {
        "ganzoo": lambda: frechet_distance_of_moments(x, y),
        "torchmetrics": lambda: float(_compute_fid(x.mean, x.covariance, y.mean, y.covariance)),
        "scipy sqrtm": by_scipy,
    }
    return race("Fréchet distance from 2048-d statistics", contestants, rounds, agree=1e-5)


def nvidia_scheme(real: Tensor, generated: Tensor, k: int = 3, rows: int = 10_000) -> tuple[float, float]:
    """Precision and recall as NVIDIA's code goes about it: blocks of 10,000 rows against all columns.

    For each of the two manifolds: all distances within the set, the k-th smallest of each row beside the sample
    itself, and all distances from the other set's samples to it.
    """
    found = []
    for manifold, probes in ((real, generated), (generated, real)):
        radii = [torch.cdist(part, manifold).kthvalue(k + 1, dim=1).values for part in manifold.split(rows)]
        radius = torch.cat(radii)
        inside = [(torch.cdist(part, manifold) <= radius).any(dim=1) for part in probes.split(rows)]
        found.append(float(torch.cat(inside).float().mean()))
    return found[0], found[1]


def neighbours(rounds: int) -> dict[str, Any]:
    x, y = features(10_000, 2048, 1), features(10_000, 2048, 2)
    contestants: Contestants = {
        "ganzoo": lambda: precision_recall(x, y),
        "NVIDIA's scheme": lambda: nvidia_scheme(x, y),
    }
    # float32 decides a few of 10,000 samples otherwise than exact arithmetic
    return race("Precision and recall, k = 3, of 10,000 x 2048", contestants, rounds, agree=2e-3)


def kernel(rounds: int) -> dict[str, Any]:
    from torchmetrics.image.kid import poly_mmd

    x, y = features(1000, 2048, 1), features(1000, 2048, 2)
    contestants: Contestants = {
        "ganzoo": lambda: kernel_distance_full(x, y),
        "torchmetrics": lambda: float(poly_mmd(x, y)),
    }
    return race("Kernel distance of 1000 x 2048", contestants, rounds, agree=1e-2)


def extraction(rounds: int) -> dict[str, Any]:
    from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-untyped]
        FeatureExtractorInceptionV3,
    )

    torch.manual_seed(0)
    network = Inception()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(network.state_dict(), path)
        theirs = FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=str(path))
    ours = FeatureNetwork(network, describe("inception"))
    images = torch.randint(0, 256, (32, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    difference = (ours(images[:4]) - theirs(images[:4])[0]).abs().max() / theirs(images[:4])[0].abs().max()
    print(f"\nInception features differ by {float(difference):.1e} of their largest")
    assert difference < 1e-4

    def run(extract: Callable[[Tensor], Tensor]) -> float:
        with torch.no_grad():
            return float(torch.cat([extract(part) for part in images.split(16)]).double().mean())

    contestants: Contestants = {"ganzoo": lambda: run(ours), "torch-fidelity": lambda: run(lambda x: theirs(x)[0])}
    found = race(f"Inception features of {len(images)} images", contestants, rounds, agree=1e-4)
    for name, row in next(iter(found.values())).items():
        print(f"{name:34}{len(images) / row['cpu_s']:9.2f} images a cpu-s")
    return found


BENCHMARKS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "frechet": (frechet, 5),
    "neighbours": (neighbours, 3),
    "kernel": (kernel, 9),
    "extraction": (extraction, 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which; all by default")
    parser.add_argument("--rounds", type=int, help="of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {arguments.threads} thread(s)", end=", ")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found: dict[str, Any] = {}
    for name in arguments.names or BENCHMARKS:
        run, rounds = BENCHMARKS[name]
        found |= run(arguments.rounds or rounds)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
