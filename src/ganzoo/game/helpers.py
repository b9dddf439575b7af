"""Frozen helpers: networks that a game's losses look through and nobody trains, such as a teacher or features.

A helper is found or given from above, is no player, and is never written into a model folder; `config.json` names it.
"""

from itertools import chain
from typing import Any

from torch import Tensor, nn

from ganzoo.types import BadArgument


class Helper:
    """A frozen network that a family names and does not make.

    It is no module of the game, so that neither the players nor the model folder nor Lightning's checkpoint hold it.

    Args:
        name: of a feature network, or of a model of the zoo.
        sha256: of its weights, where they must be exactly these.
    """

    def __init__(self, name: str, sha256: str | None = None) -> None:
        self.name, self.sha256 = name, sha256
        self._network: nn.Module | None = None

    def give(self, network: nn.Module) -> None:
        """Takes the network, in evaluation mode and without gradients of its own."""
        self._network = network.eval().requires_grad_(False)

    @property
    def given(self) -> bool:
        """Whether the network is there."""
        return self._network is not None

    @property
    def network(self) -> nn.Module:
        """The network.

        Raises:
            BadArgument: if it was not given.
        """
        if self._network is None:
            raise BadArgument(f"the helper {self.name} was not given; ganzoo.train finds it by its name")
        return self._network

    def __call__(self, images: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the network makes, on the images' device, to where it is moved; gradients flow through to the images."""
        network = self.network
        if next(chain(network.parameters(), network.buffers()), images).device != images.device:
            network.to(images.device)
        return network(images, *args, **kwargs)

    def to_dict(self) -> dict[str, str | None]:
        """As `config.json` names it."""
        return {"name": self.name, "sha256": self.sha256}
