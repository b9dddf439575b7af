"""What is said of runs that are broken on purpose, each in its way, and of healthy ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.cli import main
from ganzoo.data.digits import Digits
from ganzoo.media.levels import to_float
from ganzoo.training import run as training_run
from ganzoo.training.checkpoints import newest
from ganzoo.training.doctor import Nearest, Novelty, Watching, Within, diversity, findings, read_log, same_previews
from ganzoo.training.previews import SEED, differences
from ganzoo.types import BadArgument, BadModelFolder, TrainingStopped

SMALL: dict[str, dict[str, Any]] = {
    "gan": {"shape": (1, 8, 8), "hidden": (32,), "discriminator_hidden": (32,), "dropout": 0.0},
    "dcgan": {"size": 8, "channels": 1, "latent": 8, "width": 4},
    "conditional_dcgan": {"size": 8, "channels": 1, "latent": 8, "width": 4, "classes": 10},
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
        (lambda k: {"generator_loss": None} if k > 37 else {}, "loss explosion"),
        (lambda k: {"generator_skipped": 2.0 * k}, "skipped moves"),
        (lambda k: {"augment_p": k / 40}, "leaking augmentation"),
        (lambda k: {"augment_p": k / 80}, None),
        (lambda k: {"overfitting": 0.95}, "the critic overfits"),
        (lambda k: {"overfitting": 0.6}, None),
        (lambda k: {"preview_diversity": 1 - k / 45}, "collapse"),
        (lambda k: {"preview_diversity": 0.02}, None),  # it has not begun to draw
        (lambda k: {"preview_diversity": 0.02, "images_seen": 8000 * k}, "collapse"),
        (lambda k: {"preview_diversity": 0.9}, None),
        (lambda k: {"preview_diversity": 0.9, "preview_diversity_within": 0.9 - k / 45}, "collapse within classes"),
        (lambda k: {"preview_diversity": 0.9, "preview_diversity_within": 0.02}, None),  # it has not begun to draw
        (
            lambda k: {"preview_diversity": 0.9, "preview_diversity_within": 0.2, "images_seen": 8000 * k},
            "collapse within classes",
        ),
        (lambda k: {"preview_diversity_within": 0.6, "images_seen": 8000 * k}, None),
        (lambda k: {"preview_nearest_within": 0.9 - k / 45}, "few pictures a class"),
        (lambda k: {"preview_nearest_within": 0.54, "images_seen": 8000 * k}, "few pictures a class"),
        (lambda k: {"preview_nearest_within": 0.54}, None),  # it has not begun to draw
        (lambda k: {"preview_nearest_within": 0.54 + 0.12 * (k % 3 == 0), "images_seen": 8000 * k}, None),
        (lambda k: {"preview_novelty": 1 - k / 45}, "memorization"),
        (lambda k: {"preview_novelty": 0.6}, None),
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


def test_diversity_within_classes_is_1_of_data_and_0_of_a_picture_a_class() -> None:
    source = Digits(batch_size=16)
    within, held = Within(source.open("train")), source.open("test").batch([*range(64)])
    images, labels = to_float(held.images), held.labels
    assert labels is not None
    assert within(images, labels) == pytest.approx(1, abs=0.15)
    one = torch.stack([images[(labels == k).nonzero()[0, 0]] for k in labels.tolist()])
    assert within(one, labels) == pytest.approx(0, abs=1e-6)
    assert diversity(one, images) > 0.8, "which the classes' own differences hide"
    assert within(images[:5], torch.arange(5)) is None


def test_nearest_in_classes_sees_few_pictures_in_many_shades_which_their_spread_does_not() -> None:
    source = Digits(batch_size=16)
    train, held = source.open("train"), source.open("test")
    nearest, within, labels = Nearest(train), Within(train), torch.arange(10).repeat_interleave(8)
    assert held.labels is not None

    def eight(first: int) -> torch.Tensor:
        places = [np.flatnonzero(held.labels == k) for k in range(10)]
        return to_float(held.batch([int(k) for of in places for k in of[first :: len(of) // 8][:8]]).images)

    def by_cosines(images: torch.Tensor) -> float:  # |a - b|^2 = 2 - 2 cos
        found = [np.corrcoef(images[8 * k : 8 * k + 8].flatten(1)) - 2 * np.eye(8) for k in range(10)]
        return float(np.mean([np.sqrt(2 - 2 * each.max(1)) for each in found]))

    one, other = eight(0), eight(1)
    known = [nearest(images, labels) or 0.0 for images in (one, other)]
    assert known == pytest.approx([1, 1], abs=0.15)
    assert known[0] / known[1] == pytest.approx(by_cosines(one) / by_cosines(other), rel=1e-4)
    two = one.view(10, 8, 1, 8, 8)[:, :2].repeat(1, 4, 1, 1, 1)
    shaded = (two * torch.linspace(0.3, 1, 8)[:, None, None, None]).flatten(0, 1)
    assert nearest(shaded, labels) == pytest.approx(0, abs=1e-3) and (within(shaded, labels) or 0) > 0.6
    assert nearest(one[:8], torch.full((8,), 11)) is None, "a class of which there are no eight real pictures"


@pytest.mark.parametrize("broken", [True, False])
def test_a_model_with_two_pictures_a_class_in_many_shades(
    broken: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(game: Any) -> None:
        data = Digits(batch_size=4).open("train")
        assert data.labels is not None
        rows = [k for of in range(10) for k in [*np.flatnonzero(data.labels == of)][:100]]
        bank = Copier(data.batch(rows).images)

        def forward(z: torch.Tensor) -> torch.Tensor:
            left = 2 if broken and game.batches_seen > 40 else 100
            shade = 0.2 + 0.8 * (z[:, 1] * 1e4).abs().frac()[:, None, None, None] if left == 2 else 1.0
            chosen: torch.Tensor = bank.bank[100 * z[:, 8:].argmax(1) + (z[:, 0] * 1e4).abs().long() % left]
            return shade * chosen

        bank.forward = forward  # type: ignore[method-assign]
        game.generator = bank
        resting(game, "generator")

    found = trained(tmp_path / "run", 80, spoil, family="conditional_dcgan")
    assert ("few pictures a class" in found) == broken and not {"collapse", "collapse within classes"} & set(found)
    rows = [row for row in read_log(tmp_path / "run") if "preview_nearest_within" in row]
    assert rows[0]["preview_nearest_within"] == pytest.approx(1, abs=0.15)
    figure = f"differ from the nearest of eight {rows[-1]['preview_nearest_within']:.2f} times as much as data do"
    assert (figure in capsys.readouterr().out) == broken, "it is said while it trains"


@pytest.mark.parametrize("broken", [True, False])
def test_a_model_with_one_picture_a_class(broken: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def spoil(game: Any) -> None:
        data = Digits(batch_size=4).open("train")
        assert data.labels is not None
        rows = [k for of in range(10) for k in [*np.flatnonzero(data.labels == of)][:20]]
        bank = Copier(data.batch(rows).images)
        bank.forward = lambda z: bank.bank[20 * z[:, 8:].argmax(1) + last(z)]  # type: ignore[method-assign]
        game.generator = bank
        resting(game, "generator")

        def last(z: torch.Tensor) -> torch.Tensor:
            return (z[:, 0] * 1e4).abs().long() % (1 if broken and game.batches_seen > 40 else 20)

    found = trained(tmp_path / "run", 80, spoil, family="conditional_dcgan")
    assert ("collapse within classes" in found) == broken and "collapse" not in found
    rows = [row for row in read_log(tmp_path / "run") if "preview_diversity" in row]
    assert all(row["preview_diversity"] > 0.8 for row in rows), "classes differ in both"
    figure = f"of one class differ from one another {rows[-1]['preview_diversity_within']:.2f} times as much as data do"
    assert (figure in capsys.readouterr().out) == broken, "it is said while it trains"


def test_previews_that_hold_too_few_of_a_class() -> None:
    torch.manual_seed(0)
    game: Any = ganzoo.create("conditional_dcgan", **SMALL["conditional_dcgan"])
    within = Within(Digits(batch_size=16).open("train"))
    samples = game.sample(2, seed=SEED)
    assert within(samples, torch.arange(2)) is None
    drawn = torch.tensor([0, 1, 2, 3, 5, 6, 7, 8]).repeat_interleave(8)
    assert differences(game, samples, within) == within(game.sample(64, seed=SEED, labels=drawn), drawn)


def test_folders_without_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 1
    assert "give the folder of a run" in capsys.readouterr().err
    (tmp_path / "log.jsonl").write_text('junk\n{"step": 1}\n')
    with pytest.raises(BadModelFolder, match="line 1 is no line of a log"):
        read_log(tmp_path)
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1}) + '\n{"st')
    assert read_log(tmp_path) == [{"step": 1}]


def test_novelty_is_1_of_held_out_pictures_and_0_of_copies() -> None:
    source = Digits(batch_size=16)
    train, held = source.open("train"), source.open("test")
    novelty = Novelty(train, held)
    assert novelty(to_float(held.batch([*range(0, len(held), 7)]).images)) == pytest.approx(1, abs=0.25)
    copies = to_float(train.batch([*range(16)]).images)
    assert novelty(copies) == pytest.approx(0, abs=1e-6)
    assert novelty(copies + 0.05 * torch.randn(copies.shape)) < 0.3
    assert Novelty(train, None)(to_float(held.batch([*range(64)]).images)) == pytest.approx(1, abs=0.25)


class Copier(torch.nn.Module):
    """A generator that knows its training pictures by heart."""

    def __init__(self, pictures: torch.Tensor) -> None:
        super().__init__()
        self.bank = torch.nn.Parameter(to_float(pictures))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        chosen: torch.Tensor = self.bank[(z[:, 0] * 1e4).abs().long() % len(self.bank)]
        return chosen


def test_a_model_that_gives_its_training_pictures_back(tmp_path: Path) -> None:
    def spoil(game: Any) -> None:
        game.generator = Copier(Digits(batch_size=4).open("train").batch([*range(20)]).images)
        resting(game, "generator")

    assert "memorization" in trained(tmp_path / "run", family="dcgan", spoil=spoil)
    rows = [row for row in read_log(tmp_path / "run") if "preview_diversity" in row]
    assert 0.7 < rows[-1]["preview_diversity"] < 1.3, "twenty digits differ about as much as all do"


def failing(game: Any, after: int) -> Any:
    """A game whose loss explodes after so many batches, with the random streams that it began with."""
    loss = game.generator_loss

    def generator_loss(*arguments: Any) -> torch.Tensor:
        broken = game.batches_seen > after and game.engine.offset == 0
        value: torch.Tensor = loss(*arguments) + (1e7 if broken else 0.0)
        return value

    game.generator_loss = generator_loss
    return game


def small(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    game: Any = ganzoo.create("dcgan", **SMALL["dcgan"])
    game.engine.log_every = 2
    return game


def run(game: Any, folder: Path, **options: Any) -> Any:
    return ganzoo.train(
        game, Digits(batch_size=8), folder=folder, **{"max_steps": 60, "preview_every": 10, "save_every": 5, **options}
    )


def test_a_run_that_fails_goes_back_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    game = failing(small(), 35)
    trained = run(game, tmp_path / "run", watch={"rollback": 2, "slower": 0.5})
    assert trained.steps == 60 and (game.engine.offset, game.engine.slowed) == (1, 0.5)
    said = capsys.readouterr().out
    assert "back to step" in said and "loss explosion" in said
    (change,) = map(json.loads, (tmp_path / "run" / "changes.jsonl").read_text().splitlines())
    assert change["changes"] == {"engine.offset": 1, "engine.slowed": 0.5} and 0 < change["step"] <= 35
    steps = [row["step"] for row in read_log(tmp_path / "run")]
    assert steps == sorted(steps) and findings(read_log(tmp_path / "run")) == []
    assert {group["lr"] for group in game.trainer.optimizers[0].param_groups} == {1e-4}, "half of 2e-4"


def test_what_goes_on_after_a_rollback_is_what_would_have_gone_on(tmp_path: Path) -> None:
    whole = failing(small(), 35)
    run(whole, tmp_path / "whole", watch={"rollback": 1})
    cut = failing(small(), 35)
    run(cut, tmp_path / "cut", watch={"rollback": 1}, max_steps=50)
    again = failing(small(), 35)
    run(again, tmp_path / "cut", resume=True, max_steps=60)
    assert again.engine.offset == 1, "as the folder's changes say"
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    plain = small()
    run(plain, tmp_path / "plain")
    assert not torch.equal(plain.generator.main[0].weight, whole.generator.main[0].weight), "other random numbers"


def test_rolling_back_ends(tmp_path: Path) -> None:
    game = small()
    loss = game.generator_loss
    game.generator_loss = lambda *arguments: loss(*arguments) + (1e7 if game.batches_seen > 35 else 0.0)
    game.generator_loss.__name__ = "generator_loss"
    with pytest.raises(TrainingStopped, match=r"went back 1 times, as often as watch\.rollback allows"):
        run(game, tmp_path / "run", watch=Watching(rollback=1))
    early = failing(small(), 20)
    with pytest.raises(TrainingStopped, match="no good checkpoint to go back to yet"):
        run(early, tmp_path / "early", watch={"rollback": 1, "findings": ["loss explosion"]}, save_every=1000)


def test_the_failed_course_gives_no_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[str]] = []
    back = training_run._back

    def watched(game: Any, folder: Path, *rest: Any) -> Any:
        before = newest(folder)
        made = back(game, folder, *rest)
        found.append(sorted(path.name for path in folder.glob("*.ckpt")))
        assert before is not None and made[1].step < before.step
        return made

    monkeypatch.setattr(training_run, "_back", watched)
    run(failing(small(), 35), tmp_path / "run", watch={"rollback": 1})
    assert found == [["good.ckpt", "last.ckpt", "previous.ckpt"]], "what waited to be good was of the failed course"
    facts = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    assert facts["training"]["engine"]["offset"] == 1


def test_it_goes_back_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert run(failing(small(), 35), tmp_path / "run", watch={"rollback": 1}).steps == 60


def test_a_full_disk_is_nothing_to_go_back_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> Any:
        raise TrainingStopped("the last save failed")

    monkeypatch.setattr(training_run, "_attempt", stop)
    monkeypatch.setattr(training_run, "_back", lambda *_: pytest.fail("it went back"))
    with pytest.raises(TrainingStopped, match="the last save failed"):
        run(small(), tmp_path / "run", watch={"rollback": 2})


def test_one_move_that_was_skipped_is_no_explosion(tmp_path: Path) -> None:
    game = small()
    loss = game.generator_loss

    def generator_loss(*arguments: Any) -> torch.Tensor:
        value: torch.Tensor = loss(*arguments) * (float("nan") if game.batches_seen == 15 else 1.0)
        return value

    game.generator_loss = generator_loss
    run(game, tmp_path / "run", watch={"rollback": 1})
    rows = read_log(tmp_path / "run")
    assert game.engine.offset == 0 and [each.name for each in findings(rows)] == ["skipped moves"]
    rows = [row for row in rows if "generator_loss" in row]
    assert all(row["generator_loss"] is not None for row in rows) and rows[-1]["generator_skipped"] == 1
    old = [{"step": i, "generator_loss": None if i == 3 else 1.0} for i in range(400)]
    assert findings(old) == [] and findings(old[:5])[0].name == "loss explosion"


def test_few_lines_tell_nothing_and_a_model_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(small(), tmp_path / "run", max_steps=6)
    assert main(["doctor", str(tmp_path / "run")]) == 0
    assert "its log has 3 of the 10 lines that tell how a run goes" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "run" / "last")]) == 1
    assert "is a model, and runs have logs" in capsys.readouterr().err


def test_a_healthy_run_never_goes_back(tmp_path: Path) -> None:
    watched, plain = small(), small()
    run(watched, tmp_path / "watched", watch={"rollback": 3})
    run(plain, tmp_path / "plain")
    assert watched.engine.offset == 0 and not (tmp_path / "watched" / "changes.jsonl").exists()
    assert torch.equal(watched.generator.main[0].weight, plain.generator.main[0].weight)


def test_rollbacks_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="which one process can have"):
        run(small(), tmp_path / "run", watch={"rollback": 1}, devices=2)
    with pytest.raises(BadArgument, match=r"watch\.slower is 1\.5"):
        run(small(), tmp_path / "run", watch={"rollback": 1, "slower": 1.5})
    assert not (tmp_path / "run").exists()
