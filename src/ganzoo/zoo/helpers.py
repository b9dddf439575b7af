"""Where helpers and classifiers come from: feature networks and models of the zoo, by their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING

from ganzoo import folder as folders
from ganzoo.data.fashion_mnist import CLASSES
from ganzoo.types import BadArgument, GanzooError, UnknownName, nearest, quoted
from ganzoo.zoo import loading

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.game.game import Game

_CLASSES = {"fashion_mnist_cnn": CLASSES}  # of networks that do not say them


def resolve_helpers(game: Game) -> None:
    """Gives a game the frozen networks that its losses look through, where nobody gave them yet.

    A helper's name is that of a feature network, whose feature maps it then is, or else of a model or its folder, whose
    averaged generator it is.
    """
    for role, helper in game.helpers.items():
        if helper.given:
            continue
        try:
            network, digest = _find(helper.name)
        except GanzooError as error:
            raise BadArgument(f"{role} {helper.name}: {error}") from None
        if helper.sha256 is not None and digest != helper.sha256:
            raise BadArgument(
                f"{role} {helper.name}: the sha256 of its weights is {digest[:12]}..., not {helper.sha256[:12]}...; "
                "give that of the weights that are meant"
            )
        helper.give(network)


def _find(name: str) -> tuple[nn.Module, str]:
    """A network by its name, and the sha256 of its weights."""
    from ganzoo.metrics.features.network import NETWORKS, feature_network
    from ganzoo.metrics.features.perceptual import FeatureMaps

    if name in NETWORKS:
        network = feature_network(name)
        return FeatureMaps(network), network.description.sha256
    model = loading.load(name)
    assert model.provenance is not None
    return model.averaged, model.provenance["sha256"][folders.MODEL]


def classifier(name: str) -> tuple[Callable[[Tensor], Tensor], tuple[str, ...] | None]:
    """What tells classes: a feature network of this name that has some, or else a model that classifies.

    Several, as in `avatars_beard+avatars_eyewear`, tell every combination, such as `beard glasses`, by the product of
    what each says; their classes must have names.

    Returns:
        A function of images `(n, C, H, W)` in [-1, 1] to probabilities `(n, classes)`, and the classes' names where
        they are known.

    Raises:
        BadArgument: for what tells no classes.
    """
    if name.count("+") == 0:
        return _classifier(name)
    found = [_classifier(each.strip()) for each in name.split("+")]
    for each, (_, names) in zip(name.split("+"), found, strict=True):
        if names is None:
            raise BadArgument(f"the classes of {each} have no names, by which combinations are told; name it alone")

    def tell(images: Tensor) -> Tensor:
        parts = [each(images) for each, _ in found]
        return reduce(lambda one, other: (one[:, :, None] * other[:, None]).flatten(1), parts)

    return tell, tuple(map(" ".join, product(*(names or () for _, names in found))))


def _classifier(name: str) -> tuple[Callable[[Tensor], Tensor], tuple[str, ...] | None]:
    """That of one name."""
    from ganzoo.metrics.features.network import NETWORKS, feature_network

    if name in NETWORKS:
        if not NETWORKS[name].classes:
            raise BadArgument(f"the network {name} tells no classes; choose one that does, or a model that classifies")
        network = feature_network(name)
        return network.probabilities, getattr(network.module, "class_names", _CLASSES.get(name))
    try:
        model = loading.load(name)
    except UnknownName:
        there = [each for each, network in NETWORKS.items() if network.classes]
        hint = nearest(name, there, f"networks that do are {', '.join(there)}")
        raise UnknownName(f"no network and no model tells classes under the name {quoted(name)}{hint}") from None
    classify = model.classify  # of a model that cannot, this says so
    return lambda images: classify(images).softmax(1), model.class_names
