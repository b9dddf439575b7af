"""What holds for every family, and that a new one costs two files."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from emoji_files import prepared
from helpers import data_for, fit, make, pictures, tensors, tiny
from picture_files import cifar, class_folders
from PIL import Image
from toys import TRANSLATION, installed

import ganzoo
from ganzoo import folder as checkpoint
from ganzoo import schema
from ganzoo.cli import main
from ganzoo.data import mnist
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.game.abilities import Samples, Translates, Upscales
from ganzoo.game.engine import Absent, Engine
from ganzoo.game.game import Game
from ganzoo.media.levels import to_uint8
from ganzoo.types import BadArgument, BadData
from ganzoo.zoo import loading, runs
from ganzoo.zoo.runs import plan_of

FAMILIES = registry.list_families()
RECIPES = Path(__file__).resolve().parents[2] / "recipes"

every_family = pytest.mark.parametrize("name", FAMILIES)


# --------------------------------------------------------------------------------------------------------- the file


@every_family
def test_the_file_is_one_paper(name: str) -> None:
    entry = registry.family(name)
    text = inspect.getsource(sys.modules[entry.cls.__module__])
    doc = ast.get_docstring(ast.parse(text)) or ""
    assert re.search(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})", doc), "the docstring names the paper by its arXiv id"
    assert re.search(r"\b(19|20)\d\d\b", doc)
    assert str(entry.year) in doc and entry.url.startswith("https://") and entry.idea.endswith(".")
    assert any(found in entry.url for found in re.findall(r"(?:arXiv|doi):([\w./-]*\d)", doc))


@every_family
def test_the_class_stands_directly_under_its_abilities_and_imports_no_family(name: str) -> None:
    entry = registry.family(name)
    for base in entry.cls.__bases__:  # what it can do
        assert issubclass(base, Game) and base.__module__.startswith("ganzoo.game.abilities."), base
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[entry.cls.__module__]))):
        imported = []
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        others = [each for each in imported if f"{each}.".startswith("ganzoo.families.")]
        assert all(f"{each}.".startswith(f"{entry.cls.__module__}.") for each in others), others


@every_family
def test_every_argument_has_a_default_and_a_line_in_the_docstring(name: str) -> None:
    cls = registry.family(name).cls
    doc = inspect.getdoc(cls) or ""
    for parameter in inspect.signature(cls).parameters.values():
        assert parameter.default is not parameter.empty
        assert re.search(rf"^ +{parameter.name}: \S", doc, re.MULTILINE), parameter.name


# ------------------------------------------------------------------------------------------ sampling and translating


def lively(name: str) -> Game:
    """A tiny game whose images fill their range: fresh ones are nearly 0, and anything would agree with them."""
    game = tiny(name)
    for module in game.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # statistics of what was seen, not mostly the initial ones
    fit(game, 2)
    *_, last = (p for p in game.average_module(game.inference[0]).parameters() if p.dim() > 1)
    with torch.no_grad():
        last.mul_(0.5 / make(game, 16).std())
        for _ in range(20):  # what all images have in common, as ALI's are begun with, is not in these weights
            if make(game, 16).std() < 0.2:
                last.mul_(2)
    return game


@every_family
def test_samples_have_the_shape_and_the_range(name: str) -> None:
    game = lively(name)
    images = make(game, 3, seed=1)
    assert images.shape == (3, *game.shape) and images.dtype == torch.float32 and images.device.type == "cpu"
    assert images.isfinite().all() and images.std() > 0.1
    assert len(game.shape) == 1 or (images.min() >= -1 and images.max() <= 1)
    assert not images.requires_grad


@every_family
def test_an_image_is_its_seeds_alone_at_any_batch_size(name: str) -> None:
    game = lively(name)
    together = make(game, 5, seed=7)
    for size in (1, 2, 5, 100):
        assert _levels(make(game, 5, seed=7, batch_size=size), together) <= 1
    for i in range(5):
        assert _levels(make(game, 1, seed=7 + i)[0], together[i]) <= 1
    if not isinstance(game, Samples):
        return
    latents, labels = game.draw(range(7, 12))
    for i in range(5):
        latent, label = game.draw([7 + i])
        assert torch.equal(latent[0], latents[i]), "latents are equal to the bit"
        assert labels is None or (label is not None and torch.equal(label[0], labels[i]))
    assert not torch.equal(latents[0], latents[1])


def _levels(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference in 8-bit levels; of points, in thousandths."""
    if one.shape[-1] == 2:
        return float((one - other).abs().max() * 1e3)
    return float((to_uint8(one).int() - to_uint8(other).int()).abs().max())


@every_family
def test_labels(name: str) -> None:
    game = tiny(name)
    if not isinstance(game, Samples):
        return
    if game.classes is None:
        with pytest.raises(BadArgument, match="has no classes"):
            game.sample(2, labels=[0, 0])
        return
    last = game.classes - 1
    one_for_all, one_each = game.sample(2, labels=last), game.sample(2, labels=[last, last])
    assert torch.equal(one_for_all, one_each)
    assert torch.equal(game.sample(2, labels=torch.tensor([0, last]))[1], one_each[1])
    assert not torch.equal(game.sample(1, labels=0), game.sample(1, labels=last))
    drawn = game.draw(range(100))[1]
    assert drawn is not None
    held = drawn if drawn.ndim == 1 else drawn.nonzero()[:, 1]  # of attributes an image has several
    assert set(held.tolist()) == set(range(game.classes)), "every class is drawn"
    wrongs: list[Any] = [[0, 0, 0], [game.classes, 0], [-1, 0], [0.5, 0.5], [[0, 0]]]
    for wrong in wrongs:
        with pytest.raises(BadArgument, match=r"labels? "):
            game.sample(2, labels=wrong)


@every_family
def test_wrong_requests_for_samples(name: str) -> None:
    game = tiny(name)
    if not isinstance(game, Samples):
        with pytest.raises(BadArgument, match=r"draws no images of its own; give it (some with translate|small ones)"):
            game.sample(2)
        return
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"n": 0}, "0 samples"),
        ({"n": 1.5}, "1.5 samples"),
        ({}, "it is not said how many"),
        ({"n": 3, "seeds": [1, 2]}, "are of 3 and 2 samples"),
        ({"z": torch.zeros(2, game.latent + 1)}, r"z has shape \(2, "),
        ({"n": 2, "seed": -1}, "seed -1 is out of range"),
        ({"n": 2, "seed": 1.5}, "seed 1.5 is out of range"),
        ({"n": 2, "batch_size": 1.5}, "batch size is 1.5; at least 1"),
        ({"z": np.zeros((2, game.latent))}, "z is a ndarray; a tensor"),
        ({"n": 2, "seed": 2**32 - 1}, "seed 4294967296 is out of range"),
        ({"n": 2, "batch_size": 0}, "batch size is 0"),
    ]
    for arguments, said in wrongs:
        with pytest.raises(BadArgument, match=said):
            game.sample(**arguments)
    assert game.sample(1, seed=2**32 - 1).shape[0] == 1


@every_family
def test_domains(name: str) -> None:
    """Each maps images of sides that the network does not know, as if they had been padded and cropped by hand."""
    entry, game = registry.family(name), tiny(name)
    assert (entry.task == "translation") == isinstance(game, Translates)
    if not isinstance(game, Translates):
        with pytest.raises(BadArgument, match=r"does not translate images; (it draws some with sample|give it small)"):
            game.translate(torch.zeros(1, *game.shape))
        return
    height, width = 2 * game.stride + game.stride // 2, 3 * game.stride + 1
    for to in game.domains:
        start, end = game.shapes_of(to)
        images = pictures(3, (start[0], height, width))
        kept = images.clone()
        made = game.translate(images, to=to)
        assert made.shape == (3, end[0], height, width) and made.abs().max() <= 1 and torch.equal(images, kept)
        for size in (1, 2):
            assert _levels(game.translate(images, to=to, batch_size=size), made) <= 1
        down, across = -height % game.stride, -width % game.stride
        frame = [(down // 2, down - down // 2), (across // 2, across - across // 2)]
        padded = torch.from_numpy(np.pad(images.numpy(), [(0, 0), (0, 0), *frame], mode="reflect"))
        whole = game.translate(padded, to=to)
        assert _levels(whole[:, :, down // 2 :, across // 2 :][:, :, :height, :width], made) <= 1
    first = game.translate(pictures(1, game.source_shape))
    assert torch.equal(first, game.translate(pictures(1, game.source_shape), to=game.domains[0]))
    assert game.translate(pictures(1, game.source_shape).double()).dtype == torch.float32


@every_family
def test_wrong_requests_for_translations(name: str) -> None:
    game = tiny(name)
    if not isinstance(game, Translates):
        return
    good, stride = pictures(2, game.source_shape), game.stride
    wrongs: list[tuple[torch.Tensor, dict[str, Any], str]] = [
        (good, {"to": "up"}, f"does not translate to 'up'; {game.domains[0]}"),
        (good, {"batch_size": 0}, "batch size is 0"),
        (good, {"seed": -1}, "seed -1 is out of range"),
        (good, {"colour": 1}, "has no colour"),
        (good, {"seeds": [1, 2]}, "has no seeds"),
        (good[0], {}, "images have shape"),
        (good[:0], {}, "images have shape"),
        (good.repeat(1, 5, 1, 1), {}, "images have shape"),
        (good * 3, {}, r"values in \[-1, 1\] are expected"),
        (good * float("nan"), {}, "images hold nan"),
        ((good * 100).long(), {}, "images are torch.int64; floats"),
    ]
    if stride > 1:
        wrongs.append((good[:, :, : stride - 1], {}, f"expects sides of at least {stride}"))
    for images, options, said in wrongs:
        with pytest.raises(BadArgument, match=said):
            game.translate(images, **options)


@every_family
def test_enlarging(name: str) -> None:
    """Any sides, in tiles or whole, and as if the network had got them alone."""
    entry, game = registry.family(name), tiny(name)
    assert (entry.task == "super-resolution") == isinstance(game, Upscales)
    if not isinstance(game, Upscales):
        with pytest.raises(BadArgument, match="does not enlarge images; "):
            game.upscale(torch.zeros(1, *game.shape))
        return
    images = pictures(2, (game.shape[0], 11, 14))
    kept, made = images.clone(), game.upscale(images, tile=100)
    assert made.shape == (2, game.shape[0], 11 * game.scale, 14 * game.scale) and made.abs().max() <= 1
    assert torch.equal(images, kept)
    tiled = game.upscale(images, tile=5, overlap=14)
    assert (tiled - made).abs().max() < 1e-5
    wrongs: list[tuple[torch.Tensor, dict[str, Any], str]] = [
        (images, {"tile": 0}, "tile is 0"),
        (images, {"overlap": -1}, "overlap -1"),
        (images, {"batch_size": 0}, "batch size is 0"),
        (images * 3, {}, r"values in \[-1, 1\] are expected"),
        (images[0], {}, "images have shape"),
    ]
    for given, options, said in wrongs:
        with pytest.raises(BadArgument, match=said):
            game.upscale(given, **options)


def _numpy_state() -> Any:
    state: Any = np.random.get_state()
    return state[1]


@every_family
@pytest.mark.parametrize("training", [True, False])
def test_sampling_leaves_everything_as_it_was(name: str, training: bool) -> None:
    game = tiny(name)
    game.train(training)
    modes = [module.training for module in game.modules()]
    before, rng, numpy_rng = tensors(game), torch.get_rng_state(), _numpy_state()
    make(game, 3)
    assert modes == [module.training for module in game.modules()]
    assert all(torch.equal(value, before[key]) for key, value in tensors(game).items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert np.array_equal(_numpy_state(), numpy_rng)
    assert torch.is_grad_enabled()


# -------------------------------------------------------------------------------------------------- save and load


@every_family
@pytest.mark.parametrize("average", [None, 10.0])
def test_what_is_saved_is_what_loads(name: str, average: float | None, tmp_path: Path) -> None:
    game = tiny(name)
    game.engine = Engine(average=average, log_every=1)
    fit(game, 3)
    assert bool(game._averages) == (average is not None)
    write_model(game, tmp_path / "model", {"name": f"{name}-noise"})

    loaded = ganzoo.load(tmp_path / "model")
    assert type(loaded) is type(game) and not loaded.training
    _equal(loaded.inference_tensors(), game.inference_tensors())
    assert _levels(make(loaded, 4), make(game, 4)) <= 1
    assert loaded.card is not None and (loaded.card.name, loaded.card.family) == (f"{name}-noise", name)
    assert loaded.provenance is not None and loaded.provenance["from"] == "folder"
    assert len(loaded.provenance["sha256"]["model.safetensors"]) == 64

    whole = ganzoo.load(tmp_path / "model", players=True)
    _equal(whole.inference_tensors(), game.inference_tensors())
    _equal(whole.player_tensors(), game.player_tensors())
    if average is not None:
        live, averaged = whole.player_tensors(), whole.inference_tensors()
        assert any(not torch.equal(live[key], averaged[key]) for key in averaged), "the average is not the live network"
    fit(whole.train(), 2)
    moved = whole.player_tensors()
    before = game.player_tensors()
    for player in whole.players().values():
        names = {id(parameter): key for key, parameter in _parameters(whole)}
        learning = [names[id(parameter)] for parameter in player.parameters()]
        assert any(not torch.equal(moved[key], before[key]) for key in learning), "what was loaded can go on learning"


def _parameters(game: Game) -> list[tuple[str, torch.nn.Parameter]]:
    return [(f"{n}.{k}", p) for n in game.networks() for k, p in getattr(game, n).named_parameters()]


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys() and one
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


@every_family
def test_a_network_that_was_not_loaded_says_so(name: str, tmp_path: Path) -> None:
    write_model(tiny(name), tmp_path / "model", {})
    loaded = ganzoo.load(tmp_path / "model")
    absent = [each for each in loaded.networks() if each not in loaded.inference]
    assert absent or "discriminator" in loaded.inference  # where that classifies
    for each in absent:
        assert isinstance(getattr(loaded, each), Absent)
        with pytest.raises(BadArgument, match=rf"the {each} was not loaded; .*players=True"):
            getattr(loaded, each)(torch.zeros(1))


@every_family
def test_arguments_survive_json(name: str) -> None:
    game = tiny(name)
    given = json.loads(json.dumps(game.arguments, allow_nan=False))
    assert given == game.arguments
    again = ganzoo.create(name, **given)
    assert again.arguments == game.arguments
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in game.state_dict().items()}
    defaults = {p.name: p.default for p in inspect.signature(type(game)).parameters.values()}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    registry.check_arguments(registry.family(name), plain)  # the paper's own values pass the check


@every_family
def test_a_family_can_be_made_without_memory(name: str) -> None:
    """`load` makes it so, and holds the file's shapes against it before anything is read."""
    entry = registry.family(name)
    with torch.device("meta"):
        game = entry.cls(**registry.check_arguments(entry, tiny(name).arguments))
    state = game.state_dict()
    assert state and all(tensor.is_meta for tensor in state.values())
    assert {key: tensor.shape for key, tensor in state.items()} == {
        key: tensor.shape for key, tensor in tiny(name).state_dict().items()
    }


@every_family
def test_wrong_arguments_are_named(name: str) -> None:
    with pytest.raises(BadArgument, match=rf"{name} has no argument 'lr_'; did you mean lr"):
        ganzoo.create(name, lr_=1.0)
    with pytest.raises(BadArgument, match=rf"{name}: lr is 'fast'; a number is expected"):
        ganzoo.create(name, lr="fast")
    with pytest.raises(BadArgument, match=rf"{name}: lr is -0.1; at least 0 is expected"):
        ganzoo.create(name, lr=-0.1)
    with pytest.raises(BadArgument, match=rf"{name}: lr is nan; "):
        ganzoo.create(name, lr=float("nan"))


def least(annotation: Any) -> int:
    """The least that an argument may be; 1 where its annotation does not say."""
    parts = (annotation, *get_args(annotation))
    return min(
        (bound.ge for part in parts for bound in getattr(part, "__metadata__", ()) if hasattr(bound, "ge")), default=1
    )


@every_family
def test_every_size_of_a_network_is_at_least_one(name: str) -> None:
    parameters = schema.parameters(registry.family(name).cls)
    for key, value in tiny(name).arguments.items():
        if type(value) is int and value > 0 and least(parameters[key].annotation) > 0:
            with pytest.raises(BadArgument, match=f"{key} is 0; at least 1( or null)? is expected"):
                ganzoo.create(name, **{key: 0})


# ------------------------------------------------------------------------------------------------------------ recipes


@every_family
def test_every_family_has_a_recipe(name: str) -> None:
    assert _recipes(name), f"recipes/{name}/ holds no recipe"


def _recipes(name: str) -> list[Path]:
    return sorted((RECIPES / name).glob("*.yaml"))


@pytest.mark.parametrize("recipe", [f"{p.parent.name}/{p.stem}" for p in sorted(RECIPES.glob("*/*.yaml"))])
def test_every_recipe_resolves(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.nn.init, "orthogonal_", lambda tensor, *_, **__: tensor)  # half a minute of BigGAN's
    path = RECIPES / f"{recipe}.yaml"
    text = path.read_text()
    assert text.startswith("# ") and f"#   ganzoo train recipes/{recipe}.yaml" in text, "the header says the command"
    given = ["--trainer.accelerator", "cpu"]
    theirs = re.search(r"class_path: (Folder|Pairs|Unpaired|TorchVision)\b", text)
    classes = re.search(r"classes: (\d+)", text)
    if theirs and theirs[1] == "TorchVision":
        cifar(tmp_path / "photos", monkeypatch)
        given += ["--data.init_args.root", str(tmp_path / "photos")]
    elif theirs and classes:
        given += ["--data.init_args.root", str(class_folders(tmp_path / "photos", int(classes[1])))]
    elif theirs:
        given += ["--data.init_args.root", str(_pictures(tmp_path / "photos", 12))]
    if theirs and theirs[1] in ("Pairs", "Unpaired"):
        given += ["--data.init_args.targets", str(_pictures(tmp_path / "others", 12))]
    if re.search(r"class_path: Emoji", text):
        given += ["--data.init_args.root", str(prepared(tmp_path / "emoji"))]
    if "mnist10k" in text:
        rows = np.random.RandomState(0).randint(0, 10, (50, 785)).astype(np.uint8)
        (tmp_path / "mnist10k.bin").write_bytes(rows.tobytes())
        monkeypatch.setattr(mnist, "_SHA256", hashlib.sha256(rows.tobytes()).hexdigest())
        given += ["--data.init_args.root", str(tmp_path)]
    if "init_from: stylegan2-ffhq-256" in text:  # which would be fetched: the sizes stand in for it
        monkeypatch.setattr(loading, "recipe_of", lambda _: ("StyleGAN2", {"size": 256, "channel_max": 8}))
        monkeypatch.setattr(runs, "start_from", lambda game, model: [])
    first = re.search(r"init_from: runs/(\w+)-([\w-]+)/last", text)
    if first:  # what another recipe trains before: its model's sizes stand in for it
        model = yaml.safe_load((RECIPES / first[1] / f"{first[2]}.yaml").read_text())["model"]
        monkeypatch.setattr(loading, "recipe_of", lambda _: (model["class_path"], model["init_args"]))
        monkeypatch.setattr(runs, "start_from", lambda game, model: [])
    try:
        plan = plan_of(path, given)
    except BadData as missing:
        pytest.skip(f"the data are not on this machine: {missing}")
    assert registry.family_of(type(plan.game)).name == path.parent.name
    assert plan.table["trainer"]["max_steps"] > 0
    assert (plan.run.license is None) == (theirs is not None), "whose pictures, whose license"
    images = plan.data.open("train")
    assert tuple(images.shape) == tuple(plan.game.input_shape)


def _pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for i in range(count):
        Image.fromarray(rng.randint(0, 256, (40, 50, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


# ------------------------------------------------------------------------------------------- a new family: two files

TOY = '''"""Toy GAN: least squares instead of the logarithm, as an example of a family in one file.

Mao et al. 2017, "Least Squares Generative Adversarial Networks", arXiv:1611.04076.

    L_D = 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2        L_G = 1/2 E (D(G(z)) - 1)^2        z ~ N(0, 1)
"""

from functools import partial

import torch
from torch.optim import Adam

from ganzoo.nn.mlp import MLP
from ganzoo.objectives import losses
from ganzoo.game.engine import Player
from ganzoo.game.abilities import Samples
from ganzoo.schema import NonNegative, Positive
from ganzoo.game.priors import Normal
from ganzoo.game.registry import register


@register(paper="Mao et al., Least Squares GANs", year=2017, url="https://arxiv.org/abs/1611.04076")
class ToyGAN(Samples):
    """Least squares give a gradient to samples far on the right side too.

    Args:
        size: side of an image.
        channels: of an image.
        latent: length of z.
        width: of the hidden layer.
        lr: learning rate.
    """

    def __init__(
        self, size: Positive = 8, channels: Positive = 1, latent: Positive = 4, width: Positive = 8,
        lr: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        self.shape, self.prior, self.adam = (channels, size, size), Normal(latent), partial(Adam, lr=lr)
        self.generator = MLP((latent,), self.shape, (width,), last=torch.nn.Tanh())
        self.discriminator = MLP(self.shape, (), (width,))

    def players(self):
        return {name: Player(getattr(self, name), self.adam) for name in ("discriminator", "generator")}

    def training_step(self, batch, batch_idx):
        self.move("discriminator", self.discriminator_loss, batch)
        self.move("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch):
        fake = self.generator(self.noise(batch))
        return losses.least_squares_discriminator(self.discriminator(batch.images), self.discriminator(fake))

    def generator_loss(self, batch):
        fake = self.generator(self.noise(batch))
        return losses.least_squares_generator(self.discriminator(fake))
'''

TOY_RECIPE = """# The toy GAN on the digits.
#
#   ganzoo train recipes/toygan/digits.yaml
model:
  class_path: ToyGAN
data:
  class_path: Digits
trainer:
  max_steps: 4
  accelerator: cpu
run:
  license: apache-2.0
"""


TOY_TRANSLATION_RECIPE = """# The toy translation on folders.
#
#   ganzoo train recipes/toytranslation/folders.yaml
model:
  class_path: ToyTranslation
data:
  class_path: Pairs
  init_args:
    root: {left}
    targets: {right}
    size: 8
    source_channels: 3
    channels: 1
    batch_size: 2
trainer:
  max_steps: 4
  accelerator: cpu
"""


@pytest.fixture
def toygan(tmp_path: Path) -> Iterator[Path]:
    """Two files and nothing else; gives the folder of recipes."""
    recipes = tmp_path / "recipes"
    (recipes / "toygan").mkdir(parents=True)
    (recipes / "toygan" / "digits.yaml").write_text(TOY_RECIPE)
    with installed(tmp_path / "families", "toygan", TOY):
        yield recipes


@pytest.fixture
def toytranslation(tmp_path: Path) -> Iterator[Path]:
    """The same of a family that translates."""
    recipes = tmp_path / "recipes"
    for side in ("left", "right"):
        _pictures(tmp_path / side, 12)
    (recipes / "toytranslation").mkdir(parents=True)
    recipe = TOY_TRANSLATION_RECIPE.format(left=tmp_path / "left", right=tmp_path / "right")
    (recipes / "toytranslation" / "folders.yaml").write_text(recipe)
    with installed(tmp_path / "families", "toytranslation", TRANSLATION):
        yield recipes


def test_a_new_family_costs_two_files(
    toygan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganzoo.list_families() == sorted([*FAMILIES, "toygan"])
    assert ganzoo.create("toygan", width=3).sample(2).shape == (2, 1, 8, 8)

    run = tmp_path / "run"
    assert main(["train", str(toygan / "toygan" / "digits.yaml"), "--run.folder", str(run)]) == 0
    model = ganzoo.load(run)
    assert type(model).__name__ == "ToyGAN" and model.card is not None and model.card.name == "toygan-digits"
    assert main(["sample", str(run), "--seeds", "0-3", "--out", str(tmp_path / "grid.png"), "--device", "cpu"]) == 0
    assert main(["verify", str(run)]) == 0
    assert "golden picture within 0 levels" in capsys.readouterr().out
    assert Image.open(tmp_path / "grid.png").size[0] > 8


def test_a_new_translation_costs_two_files(
    toytranslation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    assert main(["train", str(toytranslation / "toytranslation" / "folders.yaml"), "--run.folder", str(run)]) == 0
    words = ["translate", str(run), str(tmp_path / "left"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 0
    assert len(list((tmp_path / "out").iterdir())) == 12
    assert main(["verify", str(run)]) == 0
    assert "golden picture within 0 levels" in capsys.readouterr().out
    assert main(["sample", str(run), "--out", str(tmp_path / "grid.png"), "--device", "cpu"]) == 2
    assert "give it some with translate" in capsys.readouterr().err


@pytest.mark.parametrize("toy", ["toygan", "toytranslation"])
def test_the_checks_of_every_family_cover_a_new_one(
    toy: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "RECIPES", request.getfixturevalue(toy))
    covered = 0
    for check in list(globals().values()):
        marks = [mark for mark in getattr(check, "pytestmark", ()) if mark.name == "parametrize"]
        if not any(mark.args[0] == "name" for mark in marks):
            continue
        given: list[dict[str, Any]] = [{"name": toy}]
        for mark in marks:
            if mark.args[0] != "name":
                given = [{**each, mark.args[0]: value} for each in given for value in mark.args[1]]
        for number, arguments in enumerate(given):
            if "tmp_path" in inspect.signature(check).parameters:
                arguments["tmp_path"] = tmp_path / f"{check.__name__}-{number}"
                arguments["tmp_path"].mkdir()
            check(**arguments)
            covered += 1
    assert covered >= 19


def test_a_family_must_say_what_game_needs(toygan: Path) -> None:
    """A check that cannot fail is none: the same file with a fault is found."""
    file = toygan.parent / "families" / "toygan.py"
    file.write_text(TOY.replace("arXiv:1611.04076", "a journal").replace("        lr: learning rate.\n", ""))
    with pytest.raises(AssertionError):
        test_the_file_is_one_paper("toygan")
    with pytest.raises(AssertionError, match="lr"):
        test_every_argument_has_a_default_and_a_line_in_the_docstring("toygan")


def test_data_for_every_family_reaches_every_loss() -> None:
    for name in FAMILIES:
        game = tiny(name)
        images = data_for(game).open("train")
        assert tuple(images.shape) == tuple(game.input_shape)
        assert game.two_domains == (images.targets is not None)
        assert images.targets is None or images.targets.shape[1:] == tuple(game.shape)


def test_the_shipped_names_are_their_families() -> None:
    for name, folder in checkpoint.shipped_folders().items():
        family = json.loads((folder / checkpoint.CONFIG).read_text())["family"]
        assert name.startswith(family.replace("_", "-"))
