"""The control of ADA: how far the discriminator overfits, and the p that holds it at its target."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from ganzoo.objectives.augment.chain import BGC, augment, strengths
from ganzoo.objectives.augment.tensors import wide
from ganzoo.types import BadArgument


def overfitting(real_logits: Tensor) -> Tensor:
    """The heuristic r_t = E sign D(x) over training images: 0 without overfitting, 1 with nothing else (eq. 1).

    Args:
        real_logits: of real, augmented images, of any shape. A logit that is not a number counts as 0.

    Returns:
        A scalar in [-1, 1], without a graph.
    """
    return _sign(real_logits).mean()


def validation_overfitting(train_logits: Tensor, validation_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The heuristic r_v = (E D_train - E D_validation) / (E D_train - E D_generated) (eq. 1): needs a validation set.

    Args:
        train_logits: of training images, of any shape.
        validation_logits: of images that are not trained on.
        fake_logits: of generated images.

    Returns:
        A scalar, without a graph: 0 without overfitting, 1 where validation images are taken for generated ones.
    """
    train, validation, fake = (wide(x.detach()).mean() for x in (train_logits, validation_logits, fake_logits))
    return (train - validation) / (train - fake)


class ADA(nn.Module):
    """Adaptive discriminator augmentation: `chain.augment` with a p that holds the overfitting r_t at its target.

    It has no parameters; p and what is summed for it are buffers, so that a checkpoint holds them. They are made on the
    CPU whatever the default device, so that a model that is built without memory has them.

    Args:
        transforms: names of transforms or groups, or a table of their strengths; see `strengths`.
        p: where the probability begins, in [0, 1].
        target: of r_t; None keeps p as it is.
        images: real images, over all ranks, in which p can go from 0 to 1: the speed of the control.

    Attributes:
        p: the probability, a float32 scalar.
        r_t: the overfitting that the last adjustment found, a float32 scalar.

    Raises:
        BadArgument: for a value out of range or an unknown transform.
    """

    p: Tensor
    r_t: Tensor
    sums: Tensor

    def __init__(
        self,
        transforms: Mapping[str, float] | Iterable[str] = BGC,
        p: float = 0.0,
        target: float | None = 0.6,
        images: int = 500_000,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise BadArgument(f"ADA: p={p} is no probability; give a number in [0, 1]")
        if target is not None and not -1 < target < 1:
            raise BadArgument(f"ADA: target={target}: r_t lies in [-1, 1]; give a number between, such as 0.6")
        if images < 1:
            raise BadArgument(f"ADA: images={images}: give the images in which p can go from 0 to 1, such as 500000")
        self.strengths, self.target, self.images = strengths(transforms), target, images
        self.register_buffer("p", torch.tensor(float(p), device="cpu"))
        self.register_buffer("r_t", torch.zeros((), device="cpu"))
        self.register_buffer("sums", torch.zeros(2, device="cpu"))  # of sign D(x), and of images

    def forward(self, images: Tensor) -> Tensor:
        """Augments images `(N, C, H, W)`."""
        return augment(images, self.p, self.strengths)

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        """Notes what the discriminator says of real, augmented images: logits `(N, ...)`, the batch leading."""
        signs = _sign(real_logits).flatten(1).mean(1) if real_logits.dim() > 1 else _sign(real_logits)
        self.sums += torch.stack([signs.sum(), torch.full_like(signs.sum(), len(signs))])

    @torch.no_grad()
    def adjust(self, reduce: Callable[[Tensor], Tensor] | None = None) -> None:
        """Moves p by sign(r_t - target) · n / `images` for the n images observed since the last time, within [0, 1].

        Args:
            reduce: sums a tensor over all ranks, which all call this; None on one process.
        """
        signs, n = (self.sums if reduce is None else reduce(self.sums.clone())).unbind()
        self.r_t.copy_(torch.where(n > 0, signs / n.clamp(min=1), self.r_t))
        if self.target is not None:
            self.p += torch.sign(signs - self.target * n) * n / self.images
            self.p.clamp_(0, 1)
        self.sums.zero_()


def _sign(logits: Tensor) -> Tensor:
    return (logits.detach() > 0).float() - (logits.detach() < 0).float()
