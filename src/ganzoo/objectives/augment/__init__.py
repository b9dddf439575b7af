"""What a discriminator sees in place of the images, so that it cannot learn a small data set by heart.

ADA: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (arXiv:2006.06676). Every image
that the discriminator sees, real or generated, in both players' losses, goes through a chain of transforms, each
applied with probability p. While p < 1 they do not leak into what is generated (appendix C); p follows how far the
discriminator overfits.

DiffAugment: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training" (arXiv:2006.10738).

A family uses ADA in four places:

    self.augment = ADA()                                                   # in __init__
    self.discriminator(self.augment(images))                               # in every loss, R1's included
    self.augment.observe(real_logits)                                      # in the discriminator's loss
    if self.turn(every=4):                                                 # in training_step, after its move
        self.augment.adjust(partial(self.trainer.strategy.reduce, reduce_op="sum"))

and DiffAugment in one, `self.discriminator(diff_augment(images))`.

Everything here maps images `(N, C, H, W)`, nominally in [-1, 1], to images of the same shape in float32 or wider, not
clamped; draws from torch's global generator, the batch leading; does not make the host wait for the device; and is
differentiable twice with respect to the images.
"""

from ganzoo.objectives.augment.chain import BGC, GROUPS, TRANSFORMS, augment, strengths
from ganzoo.objectives.augment.control import ADA, overfitting, validation_overfitting
from ganzoo.objectives.augment.diff import POLICIES, diff_augment

__all__ = [
    "ADA",
    "BGC",
    "GROUPS",
    "POLICIES",
    "TRANSFORMS",
    "augment",
    "diff_augment",
    "overfitting",
    "strengths",
    "validation_overfitting",
]
