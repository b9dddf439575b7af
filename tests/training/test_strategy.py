"""When a run is on several processes, and how its strategy is found. What two ranks do stands in `test_ranks.py`."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.strategies import StrategyRegistry

from ganzoo.game import strategy
from ganzoo.game.strategy import GameDDP, parallel, register


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("devices", "accelerator", "gpus", "expected"),
    [
        (1, "cpu", 0, False),
        (2, "cpu", 0, True),
        ("2", "cpu", 0, True),
        ("1", "gpu", 8, False),
        ([0], "gpu", 8, False),
        ([0, 3], "gpu", 8, True),
        ((1, 2), "gpu", 8, True),
        ("0,3", "gpu", 8, True),
        ("3,", "gpu", 8, False),
        ("auto", "auto", 0, False),
        ("auto", "auto", 1, False),
        ("auto", "auto", 4, True),
        ("auto", "gpu", 4, True),
        ("auto", "cuda", 4, True),
        ("auto", "cpu", 4, False),
        (-1, "gpu", 4, True),
        ("-1", "gpu", 1, False),
        ("-1", "cpu", 4, False),
    ],
)
def test_devices_say_whether_there_are_several_processes(
    devices: object, accelerator: str, gpus: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert parallel(devices, accelerator, 1) is expected


def test_several_machines_are_several_processes() -> None:
    assert parallel(1, "cpu", 2)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_NTASKS"])
@pytest.mark.parametrize(("value", "expected"), [("8", True), ("1", False), ("", False)])
def test_launchers_say_whether_there_are_several_processes(
    name: str, value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert parallel(1, "cpu", 1) is expected


def test_the_strategy_is_registered_once_under_its_name() -> None:
    assert StrategyRegistry[strategy.NAME]["strategy"] is GameDDP
    register()
    assert StrategyRegistry.available_strategies().count("ddp_game") == 1
    assert isinstance(StrategyRegistry.get("ddp_game"), GameDDP)


def test_one_rank_reduces_nothing_and_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    GameDDP().reduce_gradients([parameter])
    assert torch.equal(parameter.grad, torch.tensor([1.0, 2.0]))


def test_reduced_gradients_are_means_laid_out_like_their_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two ranks, of which the other has gradients of 3 everywhere, and one for a parameter that has none here
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)

    def joined(buffer: torch.Tensor) -> None:
        buffer[: -len(parameters)] += 3
        buffer[-len(parameters) :] += torch.tensor([1.0, 1.0, 0.0])
        buffer[-len(parameters) - idle.numel() : -len(parameters)] -= 3

    monkeypatch.setattr(torch.distributed, "all_reduce", joined)
    mine, theirs, idle = (
        torch.nn.Parameter(torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)) for _ in range(3)
    )
    parameters = [mine, theirs, idle]
    mine.grad = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    before = mine.grad.clone()
    GameDDP().reduce_gradients(parameters)
    assert torch.allclose(mine.grad, (before + 3) / 2)
    assert theirs.grad is not None and torch.allclose(theirs.grad, torch.full_like(theirs, 1.5))
    assert idle.grad is None
    # A fused optimizer walks the two side by side in memory
    assert mine.grad.stride() == mine.stride() and theirs.grad.stride() == theirs.stride()
