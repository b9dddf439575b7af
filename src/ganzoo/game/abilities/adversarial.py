"""A critic that scores images one by one, and losses of these scores: what `adapt` can add to and choose from."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ganzoo.game.abilities.samples import Samples
from ganzoo.objectives import limited
from ganzoo.types import Batch


class Adversarial(Samples):
    """A family that says in its losses what is real, which scores its critic gave, and which samples count.

    The critic's scores are `realness`. In the critic's loss a family takes `real(batch)` for the batch's images, shows
    the critic `seen(images)`, and adds `regularizers`; in the generator's it takes the `hardest` scores and adds
    `spread`. Without `adapt` all of these do nothing.

    Attributes:
        undecided: the score between real and generated; None where scores have no such place, as those of a Wasserstein
            critic.
    """

    ability = "adversarial"
    undecided: float | None = 0.0

    def live(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The live generator's images of `z` `(n, latent)`, of classes `(n,)` where there are some."""
        return self.generator(z) if self.classes is None else self.generator(z, labels)

    def real(self, batch: Batch) -> Tensor:
        """The batch's images, of which APA replaces each by a generated one with its probability.

        Jiang et al. 2021, "Deceive D: Adaptive Pseudo Augmentation for GAN Training with Limited Data"
        (arXiv:2111.06849).
        """
        if not self.adaptation.options.apa:
            return batch.images
        with torch.no_grad():
            fake = self.live(self.noise(batch), batch.labels).to(batch.images)
        chosen = torch.rand(len(fake), 1, 1, 1, device=fake.device) < self.adaptation.control.p
        return torch.where(chosen, fake, batch.images)

    def regularizers(
        self,
        real: Tensor,
        fake: Tensor,
        real_scores: Tensor,
        fake_scores: Tensor,
        *,
        real_labels: Tensor | None = None,
        fake_labels: Tensor | None = None,
    ) -> Tensor:
        """What `adapt` adds to the critic's loss, a scalar.

        Args:
            real: images `(N, C, H, W)`, before anything that the critic is shown in their place.
            fake: generated images `(M, C, H, W)`.
            real_scores: that the critic gave.
            fake_scores: that the critic gave.
            real_labels: of the real images, where the critic is told.
            fake_labels: of the generated ones.
        """
        adaptation, options = self.adaptation, self.adaptation.options
        fake, total = fake.detach(), real_scores.new_zeros((), dtype=torch.float32)
        if options.adjusts:
            assert self.undecided is not None
            adaptation.control.observe(real_scores - self.undecided)
        if options.lecam:
            reduce = partial(self.trainer.strategy.reduce, reduce_op="mean")
            adaptation.remember(real_scores, fake_scores, reduce, 1 / max(self.engine.accumulate, self._slices))
            term = limited.lecam(real_scores, fake_scores, adaptation.real_mean, adaptation.fake_mean)
            total = total + options.lecam * term
        kinds = ((real, real_labels, options.consistency), (fake, fake_labels, options.fake_consistency))
        for images, labels, weight in kinds:
            if weight:
                moved = self.realness(limited.flip_and_shift(images), labels)
                total = total + weight * limited.consistency(self.realness(images, labels), moved)
        for images, labels, weight in ((real, real_labels, options.r1), (fake, fake_labels, options.r2)):
            if weight:
                critic = partial(self.realness, labels=labels)
                total = total + weight * limited.approximate_penalty(critic, images, options.penalty_noise)
        if options.latent:
            with torch.no_grad():
                one, other = self._neighbours(len(fake), fake_labels)
            total = total + options.latent * limited.consistency(*(self.realness(x, fake_labels) for x in (one, other)))
        return total

    def hardest(self, scores: Tensor) -> Tensor:
        """The scores `(N, ...)` of generated images by which the generator learns: those of top-k training, or all."""
        least = self.adaptation.options.top_k
        return scores if least is None else limited.hardest(scores, limited.top_k_share(self.images_seen, least))

    def spread(self, n: int, labels: Tensor | None = None) -> Tensor:
        """What `adapt` adds to the generator's loss, zCR's -E (G(z) - G(z'))^2: close latents' images are to differ."""
        weight = self.adaptation.options.latent_generator
        if not weight:
            return torch.zeros((), device=self.device)
        return -weight * limited.consistency(*self._neighbours(n, labels))

    def _neighbours(self, n: int, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images of n latents, and of latents close to them."""
        z = self.prior.draw(n, self.device)
        moved = z + self.adaptation.options.latent_noise * torch.randn(z.shape, device=z.device)
        return self.live(z, labels), self.live(moved, labels)
