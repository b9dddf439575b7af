"""Learning to draw, and then to find what was drawn: a GAN first, then encoders with its generator as it is."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from torch.optim import Optimizer

from ganzoo.game.abilities.encodes import Encodes
from ganzoo.game.abilities.samples import Samples
from ganzoo.game.engine import Parameters, Player
from ganzoo.types import Batch


class Inverts(Samples, Encodes):
    """A family whose discriminator and generator learn first; once they are done, encoders invert the generator.

    Attributes:
        gan_images: how many images the first phase sees.
        n_critic: updates of the discriminator to one of the generator.
        adam: by which discriminator and generator learn.
        encoder_optimizer: by which encoders do.
    """

    averages: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    gan_images: int
    n_critic: int = 1
    adam: Callable[[Parameters], Optimizer]
    encoder_optimizer: Callable[[Parameters], Optimizer]

    def encoders(self) -> dict[str, Callable[[Batch], Tensor]]:
        """The players of the second phase, `encoder` the first, and what each minimises."""
        return {"encoder": self.encoder_loss}

    def players(self) -> dict[str, Player]:
        """Discriminator and generator, and then the encoders."""
        kinds = dict.fromkeys(("discriminator", "generator"), self.adam)
        kinds |= dict.fromkeys(self.encoders(), self.encoder_optimizer)
        return {name: Player(getattr(self, name), optimizer) for name, optimizer in kinds.items()}

    @property
    def drawing(self) -> bool:
        """Whether discriminator and generator still learn."""
        return self.images_seen <= self.gan_images

    @property
    def leads(self) -> str:  # type: ignore[override]
        """The player whose updates count."""
        return "generator" if self.drawing else "encoder"

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """A batch for the GAN; once it is done, for the encoders, with the generator as it samples."""
        if not self.drawing:
            self.generator.eval()
            for name, loss in self.encoders().items():
                self.move(name, loss, batch)
            return
        self.move("discriminator", self.discriminator_loss, batch)
        if self.turn(every=self.n_critic):
            self.move("generator", self.generator_loss, batch)
