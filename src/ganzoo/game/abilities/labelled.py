"""Drawing images of labels whose vector stands beside z."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.game.abilities.samples import Samples
from ganzoo.types import Condition


class Labelled(Samples):
    """A family whose generator takes z with a vector of labels beside it; `vectors` says which."""

    labelled = True

    def vectors(self, labels: Tensor) -> Tensor:
        """Classes `(n,)` as vectors `(n, classes)`, one-hot unless overridden."""
        assert self.classes is not None
        return F.one_hot(labels, self.classes)

    def beside(self, z: Tensor, labels: Tensor) -> Tensor:
        """What the generator is given, `(n, latent + classes)`."""
        return torch.cat([z, self.vectors(labels).to(z)], 1)

    def drawn(self, z: Tensor, labels: Tensor) -> Tensor:
        """G(z, y) by the live generator."""
        return self.generator(self.beside(z, labels))

    def generate(self, z: Tensor, condition: Condition) -> Tensor:
        """G(z, y)."""
        assert condition.labels is not None
        return self.averaged(self.beside(z, condition.labels))
