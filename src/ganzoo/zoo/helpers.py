"""Where helpers and classifiers come from: feature networks and models of the zoo, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganzoo import folder as folders
from ganzoo.types import BadArgument, GanzooError
from ganzoo.zoo import loading

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.game.game import Game


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

    Returns:
        A function of images `(n, C, H, W)` in [-1, 1] to probabilities `(n, classes)`, and the classes' names where
        they are known.

    Raises:
        BadArgument: for what tells no classes.
    """
    from ganzoo.metrics.features.network import NETWORKS, feature_network

    if name in NETWORKS:
        if not NETWORKS[name].classes:
            raise BadArgument(f"the network {name} tells no classes; choose one that does, or a model that classifies")
        network = feature_network(name)
        return network.probabilities, getattr(network.module, "class_names", None)
    model = loading.load(name)
    classify = model.classify  # of a model that cannot, this says so
    return lambda images: classify(images).softmax(1), model.class_names
