"""How a model is fitted to few data or to other ones, apart from what its paper says: `adapt` in a recipe.

What is frozen and what gets adapters concerns the parameters of any family, and what a critic is shown any family of
images. The rest changes what a critic and a generator minimise: a family that names its critic and its scores, the
ability `Adversarial`, says in its losses where it belongs.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from ganzoo.nn.low_rank import adaptable, add_adapters
from ganzoo.objectives.augment import ADA, diff_augment
from ganzoo.schema import Count, NonNegative, Positive, PositiveFloat, Probability, check_ranges
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from ganzoo.game.game import Game

_LOSSES = ("apa", "lecam", "consistency", "fake_consistency", "latent", "latent_generator", "top_k", "r1", "r2")
_MEMORY = 0.99  # of LeCam's running means


@dataclass
class Adapt:
    """What is done beside the paper's algorithm; nothing unless it is asked for.

    Args:
        freeze: patterns of parameters that keep their values, such as `generator.*mapping*`.
        freeze_critic: how many of the critic's first layers keep theirs: FreezeD (Mo et al. 2020, arXiv:2002.10964). A
            layer is a weight of two dimensions or more, with what follows it until the next one.
        rank: of the adapters by which alone the generator's large weights, those of layers, learn (Hu et al. 2022,
            arXiv:2106.09685); they are merged into the weights wherever the model is saved. 0 for none.
        augment: what every critic sees: images augmented adaptively (`ada`, Karras et al. 2020, arXiv:2006.06676) or
            always (`diff`, Zhao et al. 2020, arXiv:2006.10738).
        apa: whether some of the real images are replaced by generated ones (Jiang et al. 2021, arXiv:2111.06849).
        p: the probability of ADA or of APA; none to adjust it by the sign of the critic's scores of real images.
        target: of that adjustment: the mean of the signs.
        images: real images in which p can go from 0 to 1.
        lecam: weight of LeCam's regularizer (Tseng et al. 2021, arXiv:2104.03310).
        consistency: weight of CR (Zhang et al. 2020, arXiv:1910.12027): real images, mirrored and shifted, are scored
            alike.
        fake_consistency: weight of the same for generated ones, with which it is bCR (Zhao et al. 2021,
            arXiv:2002.04724).
        latent: weight of zCR (Zhao et al. 2021) for the critic: samples of close latents are scored alike.
        latent_generator: and for the generator: they look different.
        latent_noise: by how much the latents are moved.
        top_k: the share of generated images, those scored highest, that the generator learns from at last (Sinha et al.
            2020, arXiv:2002.06224); none for all. Where gradients are accumulated, of each slice.
        r1: weight of an approximation of R1 without second derivatives (Lin et al. 2025, arXiv:2501.08316).
        r2: of R2.
        penalty_noise: by which that moves the images.
    """

    freeze: tuple[str, ...] = ()
    freeze_critic: Count = 0
    rank: Count = 0
    augment: Literal["ada", "diff"] | None = None
    apa: bool = False
    p: Probability | None = None
    target: Probability = 0.6
    images: Positive = 500_000
    lecam: NonNegative = 0.0
    consistency: NonNegative = 0.0
    fake_consistency: NonNegative = 0.0
    latent: NonNegative = 0.0
    latent_generator: NonNegative = 0.0
    latent_noise: PositiveFloat = 0.05
    top_k: Probability | None = None
    r1: NonNegative = 0.0
    r2: NonNegative = 0.0
    penalty_noise: PositiveFloat = 0.01

    def __post_init__(self) -> None:
        """Checks the ranges, and what contradicts itself."""
        check_ranges(type(self), vars(self), "adapt.")
        self.freeze = tuple(self.freeze)
        follows = "ada" if self.augment == "ada" else "apa" if self.apa else None
        for wrong, text in (
            (self.augment == "ada" and self.apa, "augment is ada and apa true, which follow one figure; choose one"),
            (self.p is not None and follows is None, f"p is {self.p}, which neither augment ada nor apa asks for"),
            (
                self.augment is not None and (self.consistency > 0 or self.fake_consistency > 0),
                f"augment is {self.augment} beside a consistency, which changes the images once more; choose one",
            ),
            (self.fake_consistency > 0 and not self.consistency, "fake_consistency is given without consistency"),
            (self.top_k == 0, "top_k is 0, which leaves the generator nothing to learn from; give a share such as 0.5"),
        ):
            if wrong:
                raise BadArgument(f"adapt.{text}")

    @property
    def adjusts(self) -> bool:
        """Whether a probability follows the critic's scores."""
        return (self.augment == "ada" or self.apa) and self.p is None

    @property
    def in_losses(self) -> list[str]:
        """The options that a family's losses take part in."""
        return [name for name in _LOSSES if getattr(self, name) not in (0, None, False)]


class Adaptation(nn.Module):
    """What adapting remembers while training: a probability that is adjusted, and means of scores.

    Args:
        options: as the recipe says them.
        channels: of the images; other than 1 and 3 have no colours to change.
    """

    real_mean: Tensor
    fake_mean: Tensor
    begun: Tensor

    def __init__(self, options: Adapt, channels: int = 3) -> None:
        super().__init__()
        self.options, self.shown = options, False
        colour = channels in (1, 3)
        self.groups = ("blit", "geometry", "color") if colour else ("blit", "geometry")
        self.policies = ("color", "translation", "cutout") if colour else ("translation", "cutout")
        if options.augment == "ada" or options.apa:
            target = None if options.p is not None else options.target
            self.control = ADA(self.groups, options.p or 0.0, target, options.images)
        if options.lecam:
            for name in ("real_mean", "fake_mean", "begun"):
                self.register_buffer(name, torch.zeros((), device="cpu"))

    def seen(self, images: Tensor) -> Tensor:
        """What a critic is shown in place of images `(N, C, H, W)`."""
        self.shown = True
        if self.options.augment == "ada":
            return self.control(images)
        return diff_augment(images, self.policies) if self.options.augment == "diff" else images

    @torch.no_grad()
    def remember(
        self, real_scores: Tensor, fake_scores: Tensor, reduce: Callable[[Tensor], Tensor], part: float = 1.0
    ) -> None:
        """Moves LeCam's running means, by the mean over all ranks; `part` is the scores' share of a whole batch."""
        means = reduce(torch.stack([real_scores.float().mean(), fake_scores.float().mean()]))
        finite = means.isfinite().all()
        share = torch.where(self.begun > 0, 1 - _MEMORY**part, torch.ones_like(self.begun))
        for name, mean in zip(("real_mean", "fake_mean"), means, strict=True):
            held = getattr(self, name)
            held.copy_(torch.where(finite, held.lerp(mean, share), held))
        self.begun.copy_(torch.where(finite, 1.0, self.begun))


def adapt(game: Game, options: Adapt) -> None:
    """Freezes, adds adapters, and checks that the game can do what is asked for; before its weights are counted.

    Raises:
        BadArgument: naming the option and what the family lacks; nothing is changed then.
    """
    _check(game, options)
    known = dict(game.named_parameters())
    still = {id(known[name]) for name in _frozen(game, options)}
    for player, each in game.players().items() if still else ():
        if all(id(value) in still or not value.requires_grad for value in each.parameters()):
            raise BadArgument(f"adapt.freeze leaves the {player} nothing to learn; name fewer parameters")
    large = list(adaptable(game.generator, options.rank, still)) if options.rank else []
    if options.rank and not large:
        raise BadArgument(f"adapt.rank is {options.rank}, and no weight of the generator is larger; lower it")
    for value in known.values():
        value.requires_grad_(value.requires_grad and id(value) not in still)
    if options.rank:
        add_adapters(game.generator, options.rank, large)
        for name, average in game._averages.items():
            if name == "generator":
                inner: Any = average
                add_adapters(inner.module, options.rank, large)
                average.load_state_dict({f"module.{k}": v for k, v in _start(game, average).items()})
                average.requires_grad_(False)


def _start(game: Game, average: nn.Module) -> dict[str, Tensor]:
    """An average's state, with the live adapters, whose change is 0 as yet."""
    live = game.generator.state_dict()
    own: Any = average
    return {k: live[k] if k.endswith((".up", ".down")) else v for k, v in own.module.state_dict().items()}


def _check(game: Game, options: Adapt) -> None:
    title = type(game).__name__
    shows = options.augment is not None or bool(options.in_losses)
    critics = [name for name in game.players() if name != game.leads]
    if (shows or options.freeze_critic) and (len(game.shape) != 3 or not critics):
        what = "augment" if options.augment else (options.in_losses or ["freeze_critic"])[0]
        raise BadArgument(f"adapt.{what}: {title} has no critic of images here; leave it out")
    if options.augment is not None and (game.augments or game.arguments.get("augment")):
        raise BadArgument(f"adapt.augment is {options.augment}, and {title} augments by itself; leave one out")
    adversarial = "adversarial" in game.abilities
    if options.in_losses and not adversarial:
        raise BadArgument(
            f"adapt.{options.in_losses[0]}: {title} does not name its critic's scores and losses (Adversarial); it can "
            "have adapt.freeze, freeze_critic, rank and augment"
        )
    if options.adjusts and getattr(game, "undecided", None) is None:
        raise BadArgument(
            f"adapt: {title}'s scores have no sign to adjust a probability by; give adapt.p, such as 0.2, to keep it"
        )
    normed = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for name in critics for m in _modules(game, name))
    if normed and (options.r1 or options.r2):
        raise BadArgument(
            f"adapt.{'r1' if options.r1 else 'r2'}: {title}'s critic normalizes over the batch, so that no image has a "
            "gradient of its own; leave it out"
        )
    if options.rank and not isinstance(getattr(game, "generator", None), nn.Module):
        raise BadArgument(f"adapt.rank: {title} has no network called generator")


def _modules(game: Game, player: str) -> list[nn.Module]:
    modules = game.players()[player].modules
    each = (modules,) if isinstance(modules, nn.Module) else modules
    return [inner for module in each for inner in module.modules()]


def _frozen(game: Game, options: Adapt) -> list[str]:
    """The names of the parameters that keep their values."""
    known = [name for name, _ in game.named_parameters() if not name.startswith("_averages.")]
    found = []
    for pattern in options.freeze:
        named = fnmatch.filter(known, pattern)
        if not named:
            raise BadArgument(f"adapt.freeze: no parameter is called {pattern}; they are {', '.join(known[:3])}, ...")
        found += named
    return found + (_first_layers(game, options.freeze_critic) if options.freeze_critic else [])


def _first_layers(game: Game, k: int) -> list[str]:
    """The parameters of the critic's first k layers, in the order in which an image passes them."""
    if "samples" not in game.abilities:
        raise BadArgument(
            f"adapt.freeze_critic: {type(game).__name__} has no single critic; name layers by adapt.freeze"
        )
    sampler: Any = game
    critic = getattr(game, sampler._critic)
    passed: list[str] = []
    names = {module: name for name, module in game.named_modules()}
    hooks = [
        module.register_forward_pre_hook(lambda module, _: passed.append(names[module]))
        for module in critic.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    copies = {name: buffer.clone() for name, buffer in critic.named_buffers()}
    own = {name: value for name, value in critic.named_parameters() if value.requires_grad}
    try:
        with torch.enable_grad():
            device = next(critic.parameters()).device
            labels = None if game.classes is None else torch.zeros(2, dtype=torch.long, device=device)
            scores = sampler.realness(torch.zeros(2, *game.shape, device=device), labels)
            slopes = torch.autograd.grad(scores.sum(), [*own.values()], allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
        for name, buffer in critic.named_buffers():
            buffer.copy_(copies[name])
    passed, before = list(dict.fromkeys(passed)), -1
    used = {name.rpartition(".")[0] for name, slope in zip(own, slopes, strict=True) if slope is not None}
    for inner, module in critic.named_modules():  # two layers computed as one are no calls of their own
        name = names[module]
        if name not in passed and inner in used:
            passed.insert(before + 1, name)
        before = passed.index(name) if name in passed else before
    modules = dict(game.named_modules())
    weighty = [any(p.dim() > 1 for p in modules[name].parameters(recurse=False)) for name in passed]
    if k >= sum(weighty):
        raise BadArgument(f"adapt.freeze_critic is {k}, and the critic has {sum(weighty)} layers; leave it some")
    layer, found = 0, []
    for name, heavy in zip(passed, weighty, strict=True):
        layer += heavy
        if layer <= k:
            found += [f"{name}.{each}" for each, _ in modules[name].named_parameters(recurse=False)]
    return found
