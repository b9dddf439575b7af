"""MobileStyleGAN in PyTorch against OpenVINO on the same graph: one thread, turn by turn, in seconds of the processor.

Needs `pip install openvino` and `pip install --no-deps random-face==2021.7.21.1`.

    python benchmarks/mobilestylegan.py --rounds 5
    python benchmarks/mobilestylegan.py --profile      # which operations cost
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ganzoo


def data_folder() -> Path:
    """Where the package's graphs lie; nothing of it is imported."""
    files = importlib.metadata.distribution("random-face").files or ()
    return next(Path(str(file.locate())).parent for file in files if file.name == "SynthesisNetwork.xml")


def openvino_runner() -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """The graph in OpenVINO, in float32 and on one thread."""
    import openvino  # type: ignore[import-not-found, import-untyped, unused-ignore]

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(str(data_folder() / "SynthesisNetwork.xml"), "CPU", options)
    return lambda w: compiled([w])[0]


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    game: Any = ganzoo.load("mobilestylegan-ffhq")
    ws = game.map(game.draw([0])[0], truncation=0.5)
    if arguments.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            game.synthesize(ws)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
        return
    run = openvino_runner()
    w = ws[:, 0].numpy()
    theirs, ours = run(w), game.synthesize(ws).numpy()  # and both are warm
    times: dict[str, list[float]] = {"torch": [], "openvino": []}
    for _ in range(arguments.rounds):
        times["torch"].append(cpu_seconds(lambda: game.synthesize(ws)))
        times["openvino"].append(cpu_seconds(lambda: run(w)))
    ratios = [one / other for one, other in zip(times["torch"], times["openvino"], strict=True)]
    result = {
        "cpu_seconds": {name: round(statistics.median(values), 3) for name, values in times.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "largest_difference_over_std": float(np.abs(ours - theirs).max() / theirs.std()),
        "torch": torch.__version__,
        "openvino": importlib.metadata.version("openvino"),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
