"""What is said of runs that are broken on purpose, each in its way, and of healthy ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import ganzoo
from ganzoo.cli import main
from ganzoo.data.digits import Digits
from ganzoo.training.doctor import diversity, findings, read_log, same_previews
from ganzoo.types import BadModelFolder

SMALL: dict[str, dict[str, Any]] = {
    "gan": {"shape": (1, 8, 8), "hidden": (32,), "discriminator_hidden": (32,), "dropout": 0.0},
    "dcgan": {"size": 8, "channels": 1, "latent": 8, "width": 4},
}


def trained(
    folder: Path, steps: int = 60, spoil: Callable[[Any], object] = bool, family: str = "gan", **arguments: Any
) -> list[str]:
    """Trains a small model on digits and gives the names of what is found."""
    torch.manual_seed(0)
    game: Any = ganzoo.create(family, **{**SMALL[family], **arguments})
    spoil(game)
    game.engine.log_every = 5
    ganzoo.train(game, Digits(batch_size=16), folder=folder, max_steps=steps, preview_every=10)
    return [finding.name for finding in findings(read_log(folder), same_previews(folder))]


def resting(game: Any, name: str) -> None:
    """A player whose rate is 0."""
    players = game.players

    def slowed() -> Any:
        made = players()
        return made | {name: replace(made[name], optimizer=partial(torch.optim.SGD, lr=0.0))}

    game.players = slowed


def test_a_healthy_run_does_not_alarm(tmp_path: Path) -> None:
    assert trained(tmp_path / "run", 100) == []
    assert main(["doctor", str(tmp_path / "run")]) == 0


def test_an_average_that_stands_still(tmp_path: Path) -> None:
    def spoil(game: Any) -> None:
        game.engine.average, game.engine.rampup = 1e15, None

    assert "the average stands still" in trained(tmp_path / "run", spoil=spoil)


def test_a_generator_that_does_not_learn_loses(tmp_path: Path) -> None:
    found = trained(tmp_path / "run", 300, spoil=lambda game: resting(game, "generator"))
    assert "the critic has won" in found
    assert main(["doctor", str(tmp_path / "run")]) == 1


def test_a_rate_that_is_far_too_high(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = trained(tmp_path / "run", family="dcgan", lr=30.0)
    assert {"the critic has won", "collapse"} <= set(found)
    assert "the critic has won: discriminator_loss stands at" in capsys.readouterr().out, "it is said while it trains"


ROWS = [{"step": 50 * k, "discriminator_loss": 1.3, "generator_loss": 0.8, "images_seen": 800 * k} for k in range(40)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda k: {}, None),
        (lambda k: {"discriminator_loss": -20.0 * k, "generator_loss": 20.0 * k}, None),  # Wasserstein's have any size
        (lambda k: {"discriminator_loss": 0.3 * 0.95**k}, None),
        (lambda k: {"discriminator_loss": 1.3 * 0.8**k}, "the critic has won"),
        (lambda k: {"discriminator_loss": 0.0, "generator_loss": 23_124.0}, "the critic has won"),
        (lambda k: {"generator_loss": 2.0**k if k > 20 else 1.0}, "loss explosion"),
        (lambda k: {"generator_loss": None} if k == 30 else {}, "loss explosion"),
        (lambda k: {"generator_skipped": 2.0 * k}, "skipped moves"),
        (lambda k: {"augment_p": k / 40}, "leaking augmentation"),
        (lambda k: {"augment_p": k / 80}, None),
        (lambda k: {"overfitting": 0.95}, "the critic overfits"),
        (lambda k: {"overfitting": 0.6}, None),
        (lambda k: {"preview_diversity": 1 - k / 45}, "collapse"),
        (lambda k: {"preview_diversity": 0.02}, None),  # it has not begun to draw
        (lambda k: {"preview_diversity": 0.02, "images_seen": 8000 * k}, "collapse"),
        (lambda k: {"preview_diversity": 0.9}, None),
        (lambda k: {"fd2k_digits_cnn": 10.0 + abs(k - 20)}, "past its best"),
        (lambda k: {"fd2k_digits_cnn": 100.0 - k}, None),
    ],
)
def test_each_finding_has_its_figure(change: Callable[[int], dict[str, Any]], name: str | None) -> None:
    found = findings([{**row, **change(k)} for k, row in enumerate(ROWS)])
    assert [each.name for each in found] == ([] if name is None else [name])
    assert all(any(letter.isdigit() for letter in each.figure) and each.advice for each in found)


def test_diversity_is_1_of_data_and_0_of_copies() -> None:
    images = torch.rand(32, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert diversity(images, images) == pytest.approx(1)
    assert diversity(images[:1].expand(32, -1, -1, -1), images) == pytest.approx(0, abs=1e-6)
    points = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    assert diversity(3 * points, points) == pytest.approx(3)
    # of standard normal points in the plane, pairs lie sqrt(pi) apart on average
    line = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert diversity(points, line) == pytest.approx(torch.pi**0.5 / 2**0.5, rel=0.03)


def test_folders_without_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 1
    assert "give the folder of a run" in capsys.readouterr().err
    (tmp_path / "log.jsonl").write_text('junk\n{"step": 1}\n')
    with pytest.raises(BadModelFolder, match="line 1 is no line of a log"):
        read_log(tmp_path)
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1}) + '\n{"st')
    assert read_log(tmp_path) == [{"step": 1}]
