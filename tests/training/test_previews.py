"""Previews, real samples, and what loggers are shown."""

from __future__ import annotations

import importlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import fit, tiny
from PIL import Image
from toys import Toy

from ganzoo.media.images import grid
from ganzoo.media.medium import save_grid
from ganzoo.training.previews import SEED, Previews

RECIPE = """
seed_everything: 3
model: {class_path: DCGAN, init_args: {size: 8, channels: 1, latent: 8, width: 4}}
data: {class_path: Digits, init_args: {batch_size: 8}}
trainer: {max_steps: 12, accelerator: cpu, devices: 1}
engine: {log_every: 3}
run: {save_every: 6, preview_every: 5}
"""
STEPS = [0, 5, 10, 12]


def pictures(folder: Path) -> list[int]:
    return [int(path.stem) for path in sorted((folder / "previews").iterdir())]


def pixels(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_previews_come_at_the_start_at_multiples_and_at_the_end(tmp_path: Path) -> None:
    fit(tiny("wgan"), 12, Previews(tmp_path, 5))
    assert pictures(tmp_path) == STEPS


def test_a_preview_is_the_same_latents_by_the_model_of_its_step(tmp_path: Path) -> None:
    game = tiny("dcgan")
    expected = grid(game.sample(9, seed=SEED))
    fit(game, 4, Previews(tmp_path, 3, count=9))
    assert np.array_equal(pixels(tmp_path / "previews" / "00000000.png"), np.asarray(expected.convert("RGB")))
    save_grid(game.sample(9, seed=SEED), tmp_path / "now.png")
    assert np.array_equal(pixels(tmp_path / "previews" / "00000004.png"), pixels(tmp_path / "now.png"))
    assert not np.array_equal(pixels(tmp_path / "now.png"), pixels(tmp_path / "previews" / "00000000.png"))


@pytest.mark.parametrize("count", [1, 10, 64])
def test_reals_and_previews_hold_as_many_pictures_as_asked_for(tmp_path: Path, count: int) -> None:
    game = tiny("dcgan")
    fit(game, 1, Previews(tmp_path, 5, count=count))
    size = grid(game.sample(count)).size
    for path in (tmp_path / "reals.png", tmp_path / "previews" / "00000001.png"):
        with Image.open(path) as picture:
            assert picture.size == size, path


def test_reals_are_no_more_than_there_are(tmp_path: Path) -> None:
    game = tiny("dcgan")
    fit(game, 1, Previews(tmp_path, 5, count=100))  # of 64 in the data
    with Image.open(tmp_path / "reals.png") as picture:
        assert picture.size == grid(game.sample(64)).size


def test_points_are_drawn_too(tmp_path: Path) -> None:
    fit(Toy(), 2, Previews(tmp_path, 5))
    assert pictures(tmp_path) == [0, 2]
    assert pixels(tmp_path / "reals.png").std() > 0


def train(folder: Path, logger: str) -> Path:
    """Trains a recipe with a logger, in a process of its own because wandb starts some more."""
    (folder / "tiny.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "ganzoo", "train", "tiny.yaml", "--run.folder", "run", "--run.logger", logger]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WANDB_")},
        **{"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HOME": str(folder)},
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert pictures(folder / "run") == STEPS
    return folder / "run"


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def records(file: Path) -> Iterator[bytes]:
    """The records of wandb's file: a head of 7 bytes, then LevelDB's log of blocks of 32 KiB.

    A piece is a checksum (4 bytes), its length (2), its kind (1: whole, 2: first, 3: middle, 4: last) and its content.
    """
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    at, record = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # no piece's head fits here
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_a_run_is_written_for_wandb_without_an_account(tmp_path: Path) -> None:
    """Reads the run back from wandb's own file: every number of the log, at its step, and every preview."""
    pytest.importorskip("wandb")
    run = train(tmp_path, "wandb")
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")

    (file,) = run.rglob("*.wandb")
    rows: list[dict[str, Any]] = []
    for data in records(file):
        record = messages.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    numbers = {row["trainer/global_step"]: row for row in rows if "generator_loss" in row}
    written = [line for line in log_of(run) if "images_seen" in line]
    assert sorted(numbers) == [line["step"] for line in written] == [3, 6, 9, 12]
    for line in written:
        for key in ("generator_loss", "discriminator_loss", "images_seen"):
            assert numbers[line["step"]][key] == pytest.approx(line[key])
    key = "samples/filenames"
    shown = {row["trainer/global_step"]: row[key] for row in rows if key in row}
    assert sorted(shown) == STEPS
    for step, names in shown.items():
        (path,) = file.parent.glob(f"files/{names[0]}")
        assert np.array_equal(pixels(path), pixels(run / "previews" / f"{step:08d}.png"))
    assert any("reals/filenames" in row for row in rows)


def test_a_run_is_written_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = train(tmp_path, "tensorboard")
    import io

    events_of: Any = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")

    (file,) = run.rglob("events.out.tfevents.*")
    events = events_of.EventAccumulator(str(file.parent), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    written = [line for line in log_of(run) if "images_seen" in line]
    for key in ("generator_loss", "discriminator_loss", "images_seen"):
        scalars = events.Scalars(key)
        assert [scalar.step for scalar in scalars] == [line["step"] for line in written] == [3, 6, 9, 12]
        assert [scalar.value for scalar in scalars] == pytest.approx([line[key] for line in written], rel=1e-5)
    assert [image.step for image in events.Images("samples")] == STEPS
    for image in events.Images("samples"):
        with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
            shown = np.asarray(picture.convert("RGB"))
        assert np.array_equal(shown, pixels(run / "previews" / f"{image.step:08d}.png"))
    assert len(events.Images("reals")) == 1


@pytest.mark.parametrize("logger", ["wandb", "tensorboard"])
def test_a_logger_that_is_not_installed_says_how_to_get_it(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganzoo.cli import main

    for name in {"wandb": ["wandb._WANDB"], "tensorboard": ["_TENSORBOARD", "_TENSORBOARDX"]}[logger]:
        where = "lightning.pytorch.loggers." if logger == "wandb" else "lightning.fabric.loggers.tensorboard."
        monkeypatch.setattr(f"{where}{name}_AVAILABLE", False)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    command = ["train", str(tmp_path / "tiny.yaml"), "--run.folder", str(tmp_path / "run"), "--run.logger", logger]
    assert main(command) == 2
    assert f"pip install 'lightning-ganzoo[{logger}]'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "last.ckpt").exists()
