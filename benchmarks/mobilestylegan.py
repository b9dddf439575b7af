"""MobileStyleGAN in PyTorch, ONNX Runtime (`ganzoo export`) and OpenVINO: one thread, turn by turn, processor seconds.

Needs the extra `export`, `pip install openvino` and `pip install --no-deps random-face==2021.7.21.1`.

    python benchmarks/mobilestylegan.py --rounds 5
    python benchmarks/mobilestylegan.py --profile      # which operations cost
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ganzoo
from ganzoo.runtimes.running import ExportedModel


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


def onnx_runner(game: Any) -> Callable[[], np.ndarray[Any, Any]]:
    """What `ganzoo export --noise const` writes, in ONNX Runtime on one thread; from z, where theirs is from w."""
    with tempfile.TemporaryDirectory() as folder:
        ganzoo.export(game, Path(folder) / "faces.onnx", noise="const")
        model = ExportedModel(Path(folder) / "faces.onnx", threads=1)
    return lambda: model.sample([0], truncation=0.5)


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
    run, exported = openvino_runner(), onnx_runner(game)
    w = ws[:, 0].numpy()
    runs: dict[str, Callable[[], Any]] = {
        "torch": lambda: game.synthesize(ws).numpy(),
        "onnxruntime": exported,
        "openvino": lambda: run(w),
    }
    made = {name: each() for name, each in runs.items()}  # and all are warm
    rounds = [{name: cpu_seconds(each) for name, each in runs.items()} for _ in range(arguments.rounds)]
    made = {name: np.clip(each, -1, 1) for name, each in made.items()}  # as exported pictures are
    theirs = made["openvino"]
    result = {
        "cpu_seconds": {name: round(statistics.median(each[name] for each in rounds), 3) for name in runs},
        "ratios": {n: [round(each[n] / each["openvino"], 2) for each in rounds] for n in runs if n != "openvino"},
        "largest_difference_over_std": {n: float(np.abs(m - theirs).max() / theirs.std()) for n, m in made.items()},
        "torch": torch.__version__,
        **{name: importlib.metadata.version(name) for name in ("onnxruntime", "openvino")},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
