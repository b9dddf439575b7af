"""What several tests share: tiny games, a data source of noise, quiet trainers, and noise that knows its sample."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganzoo.data.batch import Data, Images
from ganzoo.families.ppgn import known
from ganzoo.game import registry
from ganzoo.game.abilities import Samples, Translates, Upscales
from ganzoo.game.engine import Engine
from ganzoo.game.game import Game
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.nn.spectral import Normalized
from ganzoo.types import Batch

# Sizes at which any family is built in a moment; a family takes those that its signature has.
SMALL: dict[str, Any] = {
    "size": 8,
    "channels": 1,
    "width": 4,
    "latent": 6,
    "incompressible": 5,
    "hidden": [12, 12],
    "discriminator_hidden": [12],
    "categories": 3,
    "n_critic": 2,
    "unroll": 2,
    "features": 6,
    **{"widths": [4, 4], "start": 4, "stabilise": 1, "transition": 40},  # of networks that grow
    **{"style": 6, "channel_base": 64, "channel_max": 8, "mapping_layers": 2, "discriminator_layers": 2},  # StyleGANs
    **{"r1_every": 2, "path_every": 2, "layers": 3, "margin": 3},
    **{
        "discriminator_widths": [4, 4],
        "downsamplings": 1,
        "attention": 4,
        "discriminator_attention": 4,
    },  # residual networks
    **{"attention_after": [1], "discriminator_attention_after": [1], "standing": 2},  # biggan
    "growth": 3,
    **{"patch_layers": 1, "discriminator_width": 4, "blocks": 1},  # translations
    **{"units": [6, 4, 8], "image_maxout": [6, 2], "label_maxout": [3, 2], "joint_maxout": [5, 2]},  # cgan
}

OWN: dict[str, dict[str, Any]] = {
    "mobilestylegan": {"size": 16},  # two resolutions, which are half of it at most
    "ccgan": {"classes": 3},
    "ddgan": {"multipliers": [1, 2, 2]},  # normalizes over more than one pixel at 8
    "dfgan": {"text": 7},
    "gan_int_cls": {"text": 7, "described": 5},
    "discogan": {"size": 16, "every": 3},  # its critics' features begin behind the second layer
    "stargan_v2": {"hidden": 8, "max_width": 6},
    "anogan": {"search_steps": 3},
    "f_anogan": {"gan_images": 8},  # two batches
    "icgan": {"gan_images": 4, "layers": 2, "groups": [2, 1], "label_hidden": 5, "encoder_width": 4},
    "age_cgan": {"gan_images": 4, "layers": 2, "encoder_width": 4, "identity": None, "search_steps": 2},
    "cvae_gan": {"layers": 2, "encoder_width": 4, "classifier_width": 4},
    "ppgn": {"latent": 128, "steps": 2},  # of the network whose features it inverts
    "srgan": {"halvings": 2, "units": 5},
    "cut": {"nce_layers": [0, 4, 8, 12], "patches": 8, "projection": 4},
    "fastgan": {"size": 32},  # its critic ends at 8
    "projected_gan": {
        "maps": [3, 3],
        "seen": 32,
        "lr": 1e-5,
    },  # of the stand-in; Adam without momentum enlarges rounding
}


def benchmark(name: str) -> Any:
    """A script of `benchmarks/`, which finds the others beside it."""
    folder = str(Path(__file__).resolve().parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def tiny(name: str, **arguments: Any) -> Game:
    """A family at its smallest, with the weights of seed 0."""
    entry = registry.family(name)
    known = dict(inspect.signature(entry.cls).parameters)
    if "channel_base" in known:  # a StyleGAN's discriminator is as wide as its generator, whose size tests change
        known = {key: value for key, value in known.items() if key != "discriminator_widths"}
    few = {"classes": 3} if "classes" in known and known["classes"].default > 10 else {}
    chosen = {key: value for key, value in SMALL.items() if key in known} | few | OWN.get(name, {}) | arguments
    if "shape" in known and "shape" not in arguments and name != "unrolled":
        chosen["shape"] = [1, 8, 8]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        game: Game = entry.cls(**registry.check_arguments(entry, chosen))
    game.engine = Engine(log_every=1)
    return lend(game)


def stirred(game: Game) -> Game:
    """The game with biases, gains and strengths of noise that are not what a fresh network has, so that they count."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in game.parameters():
            if parameter.dim() < 2:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return game


def lend(game: Game) -> Game:
    """Gives a game small stand-ins for the helpers that it was not given, the same each time."""
    for role, helper in game.helpers.items():
        if not helper.given:
            with torch.random.fork_rng():
                torch.manual_seed(1)
                helper.give(STAND_INS[role](game))
    return game


class Maps(nn.Module):
    """Stands in for a feature network's maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 3, 3)

    def forward(self, images: Tensor, activated: bool = True) -> list[Tensor]:
        first = self.layer(images).relu() if activated else self.layer(images)
        return [first, first[:, :, ::2, ::2]]


def _teacher(game: Any) -> nn.Module:
    """A StyleGAN2 as a student's teacher."""
    given = {key: game.arguments[key] for key in ("size", "channels", "latent", "style", "classes", "mapping_layers")}
    with torch.random.fork_rng():
        made: Any = registry.family("stylegan2").cls(**given, channel_base=64, channel_max=8)
    return made.generator


STAND_INS: dict[str, Callable[[Any], nn.Module]] = {
    "teacher": _teacher,
    "features": lambda game: Maps(game.arguments["channels"]),
    "encoder": lambda game: FeatureMaps(known(game.arguments["network"])),  # which the package brings
}


class Noise(Data):
    """Random pictures, or points, of any shape.

    Args:
        shape: of a sample.
        batch_size: of training.
        n: samples of a split.
        classes: how many classes the labels have; None for no labels.
        targets: shape of the targets, for translation: random pictures without pairs, a few less; None for none.
        paired: whether the targets are as many, and count as pairs.
        text: length of the embeddings of captions; None for none.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        batch_size: int = 4,
        n: int = 64,
        classes: int | None = None,
        targets: tuple[int, ...] | None = None,
        paired: bool = False,
        text: int | None = None,
    ) -> None:
        super().__init__(batch_size)
        self.text = text
        self.sample_shape, self.n, self.classes, self.targets, self.paired = shape, n, classes, targets, paired

    def read(self, split: str) -> Images:
        rng = np.random.RandomState(0)
        labels = None if self.classes is None else rng.randint(self.classes, size=self.n).astype(np.int64)
        names = None if self.classes is None else tuple(f"class {i}" for i in range(self.classes))
        if len(self.sample_shape) == 1:
            values = rng.randn(self.n, *self.sample_shape).astype(np.float32)
        else:
            values = rng.randint(0, 256, (self.n, *self.sample_shape)).astype(np.uint8)
        if self.targets is None:
            texts = None if self.text is None else rng.randn(self.n, self.text).astype(np.float32)
            return Images("noise", values, labels, names, split, texts=texts)
        others = rng.randint(0, 256, (self.n if self.paired else self.n - 5, *self.targets)).astype(np.uint8)
        return Images("noise", values, labels, names, split, targets=others, paired=self.paired)


def data_for(game: Game, batch_size: int = 4) -> Noise:
    """Noise of the game's shapes."""
    targets = tuple(game.shape) if game.two_domains else None
    text = getattr(game, "text", None)
    classes = game.classes or (game.taught if game.labels_optional else None)
    return Noise(tuple(game.input_shape), batch_size, classes=classes, targets=targets, text=text)


def close(found: Tensor, wanted: Tensor, share: float = 1e-5, at_least: float = 0.0) -> bool:
    """Whether two tensors differ, as a whole, by at most a share of their size: not element by element.

    Args:
        found: the one.
        wanted: the other, of the same shape.
        share: of the norm.
        at_least: the norm that counts where that of `wanted` is smaller.
    """
    assert found.shape == wanted.shape
    one, other = found.detach().double(), wanted.detach().double()
    return float((one - other).norm()) <= share * max(float(other.norm()), at_least)


def pictures(n: int, shape: tuple[int, ...], first: int = 0) -> Tensor:
    """Noise `(n, *shape)` in [-1, 1]; picture i depends on `first + i` alone."""
    made = [np.random.RandomState(first + i).uniform(-1, 1, shape) for i in range(n)]
    return torch.from_numpy(np.stack(made).astype(np.float32))


def make(game: Game, n: int, seed: int = 0, **options: Any) -> Tensor:
    """Images of a model: samples, or what it makes of noise; image i depends on `seed + i` alone."""
    if isinstance(game, Translates):
        return game.translate(pictures(n, game.source_shape, seed), seed=seed, **options)
    if isinstance(game, Upscales):
        return game.upscale(
            pictures(n, (game.shape[0], *(side // game.scale for side in game.shape[1:])), seed), **options
        )
    assert isinstance(game, Samples)
    return game.sample(n, seed=seed, **options)


def trainer(steps: int, *callbacks: Callback, **settings: Any) -> L.Trainer:
    """A trainer that shows and writes nothing."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    return L.Trainer(
        **{
            "max_steps": steps,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
            "callbacks": list(callbacks),
            **settings,
        }
    )


def fit(game: Game, steps: int, *callbacks: Callback, batch_size: int = 4, ckpt: Any = None, **settings: Any) -> Any:
    """Trains a game on noise and gives the trainer."""
    made = trainer(steps, *callbacks, **settings)
    lend(game)
    made.fit(game, data_for(game, batch_size), ckpt_path=ckpt, weights_only=True)
    return made


def tensors(game: Game) -> dict[str, Tensor]:
    """All that training changes: parameters, buffers and the optimizers' states."""
    found = {name: value.detach().clone() for name, value in game.state_dict().items()}
    if game._trainer is not None:
        for i, optimizer in enumerate(game.trainer.optimizers):
            for j, state in optimizer.state_dict()["state"].items():
                found |= {f"optimizer {i}, parameter {j}, {k}": torch.as_tensor(v) for k, v in state.items()}
    return found


def digest(values: dict[str, Tensor]) -> str:
    """A hash of names and bits."""
    sha = hashlib.sha256()
    for name in sorted(values):
        sha.update(name.encode())
        sha.update(values[name].detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """The names at which two tables differ in any bit."""
    names = one.keys() | other.keys()
    return sorted(n for n in names if n not in one or n not in other or not torch.equal(one[n], other[n]))


def decouple(game: Game) -> None:
    """Puts layers that couple the samples of a batch, that draw, or that move at each slice, into evaluation mode."""
    for module in game.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, Normalized)):
            module.eval()


class Decoupled(Callback):
    """Keeps batch-coupled layers in evaluation mode while training."""

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        assert isinstance(pl_module, Game)
        decouple(pl_module)


class NoiseBySample(TorchFunctionMode):
    """Draws whose rows depend on the move, the draw within the loss, and the sample's place in the joined batch.

    So two ranks, slices of accumulation, and one process with the whole batch draw the same for each sample.
    """

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first, self.move, self.draw, self.start, self.n = first, 0, 0, 0, 0

    def begin(self, n: int) -> None:
        self.start, self.n, self.draw = self.start + self.n, n, 0

    def rows(self, n: int, make: Callable[[torch.Generator], Tensor], what: str) -> Tensor:
        """As many rows as the batch has samples, or some times as many: then each sample's in turn."""
        assert n % self.n == 0, f"{what}: {n} rows for a batch of {self.n}: lead with the batch"
        self.draw += 1
        made = []
        for i in range(n):
            place = self.first + self.start + i % self.n
            again = (i // self.n,) if i >= self.n else ()
            seed = int(np.random.SeedSequence((self.move, self.draw, place, *again)).generate_state(1)[0])
            made.append(make(torch.Generator().manual_seed(seed)))
        return torch.stack(made)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand, torch.randint) and self.n:
            make: Any = func
            shape = kwargs.get("size", args[-1] if func is torch.randint else args)
            shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list, torch.Size)) else shape
            rest = tuple(shape[1:])
            bounds = args[:-1] if func is torch.randint else ()
            return self.rows(shape[0], lambda g: make(*bounds, rest, generator=g), func.__name__)
        if func in (torch.Tensor.uniform_, torch.Tensor.normal_) and self.n:
            target = args[0]
            empty = torch.empty(target.shape[1:])
            drawn = self.rows(
                len(target), lambda g: func(empty.clone(), *args[1:], **kwargs, generator=g), func.__name__
            )
            return target.copy_(drawn)
        return func(*args, **kwargs)


@contextmanager
def noise_by_sample(game: Game, first: int) -> Iterator[None]:
    """Lets a game's losses draw by sample."""
    mode = NoiseBySample(first)
    move, ahead = game.move, game.ahead

    def counted(player: str, loss: Callable[..., Tensor], *args: Any, counts: bool = True) -> None:
        mode.move, mode.start, mode.n = mode.move + 1, 0, 0

        def wrapped(*parts: Any) -> Tensor:
            mode.begin(len(next(part.images for part in parts if isinstance(part, Batch))))
            with mode:
                return loss(*parts)

        wrapped.__name__ = loss.__name__
        move(player, wrapped, *args, counts=counts)

    def shared(make: Callable[..., Tensor], *args: Any) -> Tensor:
        mode.move, mode.start = mode.move + 1, 0
        mode.begin(len(args[0]))
        with mode:
            return ahead(make, *args)

    game.move, game.ahead = counted, shared  # type: ignore[method-assign]
    try:
        yield
    finally:
        del game.move, game.ahead


class Gradients(Callback):
    """Keeps each move's gradients, as the optimizer sees them, of the first batches."""

    def __init__(self) -> None:
        self.found: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Game)
        step = pl_module._step

        def kept(mover: Any, *rest: Any) -> tuple[Tensor, Tensor]:
            name = next(name for name, other in pl_module._states.items() if other is mover)
            for i, parameter in enumerate(mover.parameters):
                if parameter.grad is not None:
                    key = f"batch {pl_module.batches_seen}, move {pl_module._moves}, {name} {i}"
                    self.found[key] = parameter.grad.detach().clone()
            return step(mover, *rest)

        pl_module._step = kept  # type: ignore[method-assign,assignment]
