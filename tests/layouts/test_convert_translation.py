"""Generators and discriminators of pytorch-CycleGAN-and-pix2pix: parity, other configurations, and what is refused.

Configurations that no fixture has are compared with networks that are written here in the layout of such files: a
`Sequential` whose numbers are those of the tensors' names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_files import answers, distance, fixture
from torch import Tensor, nn

import ganzoo
from ganzoo.layouts import Converted, check_shapes, open_file, recognise
from ganzoo.layouts.layout import open_ledger
from ganzoo.layouts.translation import _critic
from ganzoo.nn import translation
from ganzoo.types import BadArgument, BadCheckpoint
from ganzoo.zoo.converting import convert

LIMIT = 1e-4  # of the fixtures' README
Tensors = dict[str, Tensor]


def test_parity_of_a_generator_of_residual_blocks() -> None:
    arrays, _ = answers("cyclegan_pix2pix.resnet9_in")
    game = converted(fixture("cyclegan_pix2pix.resnet9_in.pth"), "cyclegan")
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        assert distance(game.averaged(x), arrays["y_eval"]) < LIMIT
        assert distance(game.averaged.train()(x), arrays["y_train_mode"]) < LIMIT
    assert distance(game.translate(x.clamp(-1, 1)), arrays["y_eval"]) < LIMIT
    assert type(game).__name__ == "CycleGAN" and game.domains == ("b",)
    assert (game.arguments["blocks"], game.arguments["width"], game.arguments["channels"]) == (9, 8, 3)


def test_parity_of_a_u_net_and_its_discriminator() -> None:
    arrays, _ = answers("cyclegan_pix2pix.unet128_in")
    file = fixture("cyclegan_pix2pix.unet128_in.pth")
    game = converted(file, "pix2pix")
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        assert distance(game.averaged(x), arrays["y_eval"]) < LIMIT
    assert distance(game.translate(x.clamp(-1, 1)), arrays["y_eval"]) < LIMIT
    assert type(game).__name__ == "Pix2Pix" and game.stride == 128
    layout = recognise(open_file(file))
    assert layout.join is not None
    whole = built(layout.join(open_file(Path(f"{file}.D.pth")), layout.convert(open_file(file))))
    y = torch.from_numpy(arrays["y_eval"])
    with torch.no_grad():
        assert distance(whole.discriminator(torch.cat([x, y], 1)), arrays["d_out"]) < LIMIT


@pytest.mark.parametrize("name", ["resnet9_in", "unet128_in"])
@pytest.mark.parametrize(("part", "layers", "answer"), [("D", 3, "d_out"), ("P", 0, "pixel_out")])
def test_parity_of_discriminators_of_one_image(name: str, part: str, layers: int, answer: str) -> None:
    file = fixture(f"cyclegan_pix2pix.{name}.pth.{part}.pth")
    if (name, part) == ("unet128_in", "D"):
        pytest.skip("this one judges pairs")
    arrays, _ = answers(f"cyclegan_pix2pix.{name}")
    with open_ledger(open_file(file), "") as ledger:
        given, sizes, tensors = _critic(ledger, Converted("cyclegan", {"normalization": "instance"}, {}))
    assert (given, sizes["patch_layers"]) == (3, layers)
    network = translation.PatchDiscriminator(3, sizes["discriminator_width"], layers)
    network.load_state_dict(tensors)
    with torch.no_grad():
        assert distance(network(torch.from_numpy(arrays["y_eval"])), arrays[answer]) < LIMIT


def converted(file: Path, family: str) -> Any:
    """The family with the file's generator, in evaluation mode; `convert` would draw pictures of it too."""
    made = recognise(open_file(file), family).convert(open_file(file))
    game: Any = ganzoo.create(made.family, **made.arguments)
    check_shapes(open_file(file), made.inference, game.inference_tensors())
    game.generator.load_state_dict({key.removeprefix("generator."): value for key, value in made.inference.items()})
    return game.eval()


def built(made: Converted) -> Any:
    """The family with every network of a conversion, in evaluation mode."""
    game: Any = ganzoo.create(made.family, **made.arguments)
    assert made.players is not None
    for name in game.networks():
        own = {key.partition(".")[2]: value for key, value in made.players.items() if key.startswith(f"{name}.")}
        getattr(game, name).load_state_dict(own)
    return game.eval()


# ------------------------------------------------------------------------------------------------ other configurations


def norm(kind: str, width: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(width) if kind == "batch" else nn.InstanceNorm2d(width, affine=kind == "instance-affine")


class Residual(nn.Module):
    def __init__(self, width: int, kind: str, dropout: bool, key: str) -> None:
        super().__init__()
        self.key, bias = key, kind not in ("batch", "none")
        layers: list[nn.Module] = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias), norm(kind, width)]
        layers += [nn.ReLU(), *([nn.Dropout(0.5)] if dropout else []), nn.ReflectionPad2d(1)]
        self.add_module(key, nn.Sequential(*layers, nn.Conv2d(width, width, 3, bias=bias), norm(kind, width)))

    def forward(self, x: Tensor) -> Tensor:
        return x + getattr(self, self.key)(x)


def resnet(
    channels: int, width: int, blocks: int, kind: str, dropout: bool = False, key: str = "conv_block", made: int = 0
) -> Any:
    bias = kind not in ("batch", "none")
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3),
        nn.Conv2d(channels, width, 7, bias=bias),
        norm(kind, width),
        nn.ReLU(),
    ]
    for inner in (2 * width, 4 * width):
        layers += [nn.Conv2d(inner // 2, inner, 3, 2, 1, bias=bias), norm(kind, inner), nn.ReLU()]
    layers += [Residual(4 * width, kind, dropout, key) for _ in range(blocks)]
    for outer in (2 * width, width):
        layers += [nn.ConvTranspose2d(2 * outer, outer, 3, 2, 1, 1, bias=bias), norm(kind, outer), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, made or channels, 7), nn.Tanh()]
    return Named(nn.Sequential(*layers))


class Nested(nn.Module):
    """A level of the U-Net: down, what lies within, up; what it was given beside what it makes."""

    def __init__(self, outer: int, inner: int, kind: str, within: nn.Module | None) -> None:
        super().__init__()
        bias = kind not in ("batch", "none")
        down: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        down += [] if within is None else [norm(kind, inner), within]
        inputs = inner if within is None else 2 * inner
        up = [nn.ReLU(), nn.ConvTranspose2d(inputs, outer, 4, 2, 1, bias=bias), norm(kind, outer)]
        self.model = nn.Sequential(*down, *up)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([nn.functional.leaky_relu(x, 0.2), self.model(x)], 1)


def unet(source: int, channels: int, width: int, depth: int, kind: str) -> Any:
    within: nn.Module | None = None
    for i in reversed(range(1, depth)):
        within = Nested(width * min(2 ** (i - 1), 8), width * min(2**i, 8), kind, within)
    assert within is not None
    first, last = (
        nn.Conv2d(source, width, 4, 2, 1, bias=kind not in ("batch", "none")),
        nn.ConvTranspose2d(2 * width, channels, 4, 2, 1),
    )
    holder = Named(nn.Sequential(first, within, nn.ReLU(), last, nn.Tanh()))
    return Named(holder)


class Named(nn.Module):
    """Puts `model.` before the names of what it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def lively(network: nn.Module, seed: int) -> nn.Module:
    """Weights, gains and statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) - (0.5 if tensor.dim() > 1 else -0.3))
    return network.eval()


@pytest.mark.parametrize(
    ("channels", "width", "blocks", "kind", "dropout", "key"),
    [
        (3, 4, 6, "instance", False, "conv_block"),
        (1, 3, 2, "batch", False, "conv_block"),
        (3, 2, 1, "batch", True, "conv_block"),
        (2, 4, 3, "instance", True, "conv_block"),
        (3, 3, 9, "instance-affine", False, "block"),
        (3, 4, 2, "none", False, "conv_block"),
        (1, 2, 2, "none", True, "conv_block"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_residual_blocks_in_any_configuration(
    channels: int, width: int, blocks: int, kind: str, dropout: bool, key: str, prefix: str, tmp_path: Path
) -> None:
    theirs = lively(resnet(channels, width, blocks, kind, dropout, key), seed=width)
    torch.save({f"{prefix}{name}": value for name, value in theirs.state_dict().items()}, tmp_path / "g.pth")
    game = converted(tmp_path / "g.pth", "cyclegan")
    x = torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, (2, channels, 16, 24)).astype(np.float32))
    with torch.no_grad():
        assert distance(game.averaged(x), theirs(x)) < LIMIT
    found = {name: game.arguments[name] for name in ("channels", "width", "blocks", "normalization", "dropout")}
    assert found == dict(zip(found, (channels, width, blocks, kind, dropout), strict=True))


@pytest.mark.parametrize(
    ("source", "channels", "width", "depth", "kind"),
    [
        (3, 3, 2, 5, "batch"),
        (1, 3, 1, 6, "instance"),
        (3, 1, 2, 7, "instance-affine"),
        (2, 2, 1, 8, "batch"),
        (3, 3, 2, 5, "none"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_u_nets_of_any_depth(
    source: int, channels: int, width: int, depth: int, kind: str, prefix: str, tmp_path: Path
) -> None:
    theirs = lively(unet(source, channels, width, depth, kind), seed=depth)
    state = {f"{prefix}{name}": value for name, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "g.pth", _use_new_zipfile_serialization=bool(prefix))
    game = converted(tmp_path / "g.pth", "pix2pix")
    side = 2**depth
    x = torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, (2, source, side, side)).astype(np.float32))
    with torch.no_grad():
        assert distance(game.averaged(x), theirs(x)) < LIMIT
        theirs.train()  # as published test runs do, one image at a time
        tested = torch.cat([theirs(image) for image in x.split(1)])
    assert distance(game.translate(x), tested) < LIMIT
    found = {name: game.arguments[name] for name in ("source_channels", "channels", "width", "depth", "normalization")}
    assert found == dict(zip(found, (source, channels, width, depth, kind), strict=True))


def test_statistics_that_old_files_carry_are_left_out(tmp_path: Path) -> None:
    """Before PyTorch 0.4, instance normalization kept running statistics; the authors' code drops them when loading."""
    theirs = lively(resnet(3, 2, 1, "instance"), seed=0)
    state = dict(theirs.state_dict())
    for name in ("model.2", "model.5", "model.8", "model.10.conv_block.2", "model.10.conv_block.6", "model.12"):
        state |= {f"{name}.running_mean": torch.zeros(8), f"{name}.running_var": torch.ones(8)}
        state[f"{name}.num_batches_tracked"] = torch.tensor(3)
    torch.save(state, tmp_path / "g.pth")
    made = recognise(open_file(tmp_path / "g.pth")).convert(open_file(tmp_path / "g.pth"))
    assert made.arguments["normalization"] == "instance" and not any("running" in key for key in made.inference)


def test_batch_normalization_of_old_files_lacks_a_count(tmp_path: Path) -> None:
    theirs = lively(unet(3, 3, 1, 3, "batch"), seed=0)
    state = {name: value for name, value in theirs.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "g.pth")
    assert converted(tmp_path / "g.pth", "pix2pix").arguments["depth"] == 3


@pytest.mark.parametrize(
    ("layers", "kind"), [(0, "batch"), (0, "instance"), (1, "instance"), (4, "batch"), (0, "none"), (2, "none")]
)
def test_discriminators_of_any_depth(layers: int, kind: str, tmp_path: Path) -> None:
    """The layer numbers of such a file are those of the family's own `Sequential`."""
    theirs = lively(translation.PatchDiscriminator(5, 3, layers, kind), seed=layers)  # type: ignore[arg-type]
    part = "model" if layers else "net"
    state = {name.replace("main", part): value for name, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "d.pth")
    torch.save(lively(unet(3, 2, 1, 6, kind), seed=0).state_dict(), tmp_path / "g.pth")
    layout = recognise(open_file(tmp_path / "g.pth"))
    assert layout.join is not None
    whole = built(layout.join(open_file(tmp_path / "d.pth"), layout.convert(open_file(tmp_path / "g.pth"))))
    x = torch.rand(1, 5, 64, 64)
    with torch.no_grad():
        assert torch.equal(whole.discriminator(x), theirs(x))
    assert (whole.arguments["patch_layers"], whole.arguments["discriminator_width"]) == (layers, 3)


def critic(channels: int, kind: str, seed: int, folder: Path, layers: int = 2) -> tuple[nn.Module, Path]:
    """A discriminator of patches in a file of its own."""
    network = lively(translation.PatchDiscriminator(channels, 3, layers, kind), seed)  # type: ignore[arg-type]
    path = folder / f"latest_net_D_{seed}.pth"
    torch.save({name.replace("main", "model"): value for name, value in network.state_dict().items()}, path)
    return network, path


@pytest.mark.parametrize(("source", "channels", "kind"), [(3, 3, "instance"), (3, 1, "batch"), (1, 3, "none")])
@pytest.mark.parametrize("late", [False, True])
def test_four_files_make_a_cyclegan_that_can_be_trained_on(
    source: int, channels: int, kind: str, late: bool, tmp_path: Path
) -> None:
    """G_A, G_B, D_A and D_B; discriminators may come before the inverse."""
    theirs = [resnet(source, 2, 1, kind, made=channels), resnet(channels, 2, 1, kind, made=source)]
    theirs = [lively(network, seed) for seed, network in enumerate(theirs)]
    for network, name in zip(theirs, "AB", strict=True):
        torch.save(network.state_dict(), tmp_path / f"latest_net_G_{name}.pth")
    (judge, first), (inverse_judge, second) = (critic(c, kind, i, tmp_path) for i, c in ((2, channels), (3, source)))
    inverse = tmp_path / "latest_net_G_B.pth"
    more = [first, second, inverse] if late else [inverse, first, second]
    convert(tmp_path / "latest_net_G_A.pth", to=tmp_path / "model", more=more)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert game.domains == ("b", "a") and game.arguments["identity"] == (0.5 if source == channels else 0.0)
    x, y = (torch.rand(2, c, 16, 16) * 2 - 1 for c in (source, channels))
    game.eval()
    with torch.no_grad():
        assert distance(game.generator(x), theirs[0](x)) < LIMIT
        assert distance(game.inverse(y), theirs[1](y)) < LIMIT
        assert distance(game.discriminator(y), judge(y)) < LIMIT
        assert distance(game.inverse_discriminator(x), inverse_judge(x)) < LIMIT
    assert distance(game.translate(y, to="a"), theirs[1](y)) < LIMIT
    three = [path for path in more if path != second]
    with pytest.raises(BadCheckpoint, match=r"lacks inverse_discriminator\.main"):
        convert(tmp_path / "latest_net_G_A.pth", to=tmp_path / "other", more=three)


@pytest.mark.parametrize("asked", [None, "pix2pix"])
def test_residual_blocks_with_a_discriminator_of_pairs_are_pix2pixs(asked: str | None, tmp_path: Path) -> None:
    theirs = lively(resnet(1, 2, 2, "batch", dropout=True, made=3), seed=0)
    torch.save(theirs.state_dict(), tmp_path / "latest_net_G.pth")
    judge, path = critic(4, "batch", 1, tmp_path)
    convert(tmp_path / "latest_net_G.pth", asked, to=tmp_path / "model", more=[path])
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert type(game).__name__ == "Pix2Pix" and game.arguments["architecture"] == "resnet" and game.stride == 4
    x = torch.rand(2, 1, 16, 16) * 2 - 1
    game.eval()
    with torch.no_grad():
        y = theirs(x)
        assert distance(game.generator(x), y) < LIMIT
        assert distance(game.discriminator(torch.cat([x, y], 1)), judge(torch.cat([x, y], 1))) < LIMIT
    assert distance(game.translate(x, statistics="running"), y) < LIMIT


def test_what_does_not_join_is_refused(tmp_path: Path) -> None:
    def file(name: str, network: nn.Module) -> Path:
        torch.save(network.state_dict(), tmp_path / name)
        return tmp_path / name

    contents = open_file(file("g.pth", resnet(3, 2, 1, "instance", made=1)))
    layout = recognise(contents)
    made = layout.convert(contents)
    assert layout.join is not None
    for path, said in (
        (file("same.pth", resnet(3, 2, 1, "instance", made=1)), "expected the inverse"),
        (file("wide.pth", resnet(1, 4, 1, "instance", made=3)), "expected the inverse"),
        (critic(3, "instance", 1, tmp_path)[1], "takes 3 channels; expected 1, or 4 of two images"),
        (critic(1, "batch", 2, tmp_path)[1], "has batch normalization and the generator instance"),
    ):
        with pytest.raises(BadCheckpoint, match=said) as caught:
            layout.join(open_file(path), made)
        assert "\n" not in str(caught.value)
    judged = layout.join(open_file(critic(1, "instance", 3, tmp_path)[1]), made)
    with pytest.raises(BadCheckpoint, match="the family has one for both"):
        layout.join(open_file(critic(3, "instance", 4, tmp_path, layers=3)[1]), judged)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("model.14.weight"), r"lacks 'model\.14\.weight'"),
        (lambda s: s.pop("model.1.bias"), r"lacks 'model\.1\.bias'"),
        (lambda s: s.update({"model.30.weight": torch.zeros(2)}), r"does not know: 'model\.30\.weight'"),
        (lambda s: s.update({"model.4.weight": torch.zeros(4, 3, 3, 3)}), r"'model\.4\.weight' is \[4, 3, 3, 3\]"),
        (lambda s: s.update({"model.18.weight": torch.zeros(3, 9, 7, 7)}), r"'model\.18\.weight' is \[3, 9, 7, 7\]"),
        (
            lambda s: s.update({"model.18.weight": torch.zeros(1, 2, 7, 7)}),
            r"'model\.18\.bias' is \[3\]; expected \[1\]",
        ),
        (lambda s: s.update({"model.1.bias": torch.zeros(3)}), r"'model\.1\.bias' is \[3\]; expected \[2\]"),
        (lambda s: s.update({"model.2.weight": torch.ones(2)}), r"lacks 'model\.2\.bias'"),
    ],
)
def test_a_file_that_lies_is_refused(change: Any, said: str, tmp_path: Path) -> None:
    state = dict(resnet(3, 2, 1, "instance").state_dict())
    change(state)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(BadCheckpoint, match=said) as caught:
        convert(tmp_path / "g.pth", to=tmp_path / "model")
    assert "\n" not in str(caught.value) and not (tmp_path / "model").exists()


def test_a_converted_file_loads_and_translates_one_way(tmp_path: Path) -> None:
    theirs = lively(resnet(3, 1, 1, "instance"), seed=1)
    torch.save(theirs.state_dict(), tmp_path / "g.pth")
    convert(tmp_path / "g.pth", to=tmp_path / "model")
    model: Any = ganzoo.load(tmp_path / "model")
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert distance(model.translate(x), theirs(x)) < LIMIT
    assert model.domains == ("b",)
    with pytest.raises(BadArgument, match="the inverse was not loaded"):
        model.inverse(x)


def test_another_family_is_named(tmp_path: Path) -> None:
    torch.save(resnet(3, 2, 1, "instance").state_dict(), tmp_path / "g.pth")
    with pytest.raises(BadCheckpoint, match=r"of the family cyclegan; expected one of the family stylegan2"):
        convert(tmp_path / "g.pth", "stylegan2", to=tmp_path / "model")


def test_a_discriminator_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    torch.save(unet(3, 3, 1, 5, "instance").state_dict(), tmp_path / "g.pth")
    layout, contents = recognise(open_file(tmp_path / "g.pth")), open_file(tmp_path / "g.pth")
    assert layout.join is not None
    for channels, kind, said in (
        (6, "batch", "has batch normalization and the generator instance"),
        (4, "instance", "takes 4 channels; expected 6, of two images"),
    ):
        network = translation.PatchDiscriminator(channels, 2, 3, kind)  # type: ignore[arg-type]
        state = {name.replace("main", "model"): value for name, value in network.state_dict().items()}
        torch.save(state, tmp_path / "d.pth")
        with pytest.raises(BadCheckpoint, match=said):
            layout.join(open_file(tmp_path / "d.pth"), layout.convert(contents))
    with pytest.raises(BadCheckpoint, match="is no discriminator of patches or pixels"):
        layout.join(contents, layout.convert(contents))
