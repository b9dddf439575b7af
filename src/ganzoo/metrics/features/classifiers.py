"""The small classifiers that ship with ganzoo: feature networks for data that ImageNet networks do not suit.

A Fréchet distance needs a network that sees what people see in the data. For 8x8 digits and 32x32 clothes a
classifier of the data's own classes is such a network; it also gives class probabilities, for the Inception Score and
for the accuracy of conditional samples. `benchmarks/train_classifiers.py` trains them again; beside each file of
weights stands a card with its accuracy on the test split.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor, nn


class SmallClassifier(nn.Module):
    """A stack of 3x3 convolutions, each with BatchNorm and ReLU, averaged over space, and one linear layer.

    The features are the spatial averages, before the linear layer: `dimension` = the last width.

    Args:
        stages: the convolutions' widths, stage by stage; a 2x2 max pooling stands between two stages.
        channels: colour channels of the images.
        classes: how many classes.
    """

    def __init__(self, stages: Sequence[Sequence[int]], channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, widths in enumerate(stages):
            layers += [nn.MaxPool2d(2)] if i else []
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
        self.dimension = channels
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(N, dimension)` and logits `(N, classes)` of images `(N, C, H, W)` float32 in [-1, 1]."""
        features = self.trunk(images).mean(dim=(2, 3))
        return features, self.head(features)


def digits_cnn() -> SmallClassifier:
    """For scikit-learn's digits, `(N, 1, 8, 8)`: 64 features, 10 classes, random weights."""
    return SmallClassifier(stages=((32, 64), (64,)))


def fashion_mnist_cnn() -> SmallClassifier:
    """For Fashion-MNIST padded with its background to `(N, 1, 32, 32)`: 128 features, 10 classes, random weights."""
    return SmallClassifier(stages=((16,), (48,), (96,), (128,)))


# The words of the attributes that the avatars' classifier tells, in the order of its outputs; those of `Avatars`
AVATAR_ATTRIBUTES: Final = {
    "hair": ("short-hair", "long-hair"),
    "hair_colour": ("black-hair", "brown-hair", "blond-hair", "red-hair", "grey-hair", "white-hair"),
    "eyewear": ("no-glasses", "glasses", "sunglasses"),
    "beard": ("no-beard", "beard"),
    "skin": ("light-skin", "tan-skin", "dark-skin"),
    "mouth": ("smiling", "serious"),
    "clothes": ("red-clothes", "blue-clothes", "green-clothes"),
}
_AGES: Final = {"young": (0, 1, 2, 3), "middle-aged": (4,), "old": (5,)}  # by the colours of hair
AVATAR_CLASSES: Final = AVATAR_ATTRIBUTES | {"age": tuple(_AGES)}  # of every question that it answers


class AvatarClassifier(SmallClassifier):
    """For avatars brought to `(N, 3, 32, 32)`: 128 features, the classes of one attribute, random weights.

    All attributes share the weights, and differ in which outputs are looked at. Age is told by the colour of hair: the
    probability of an age is the sum of its colours'.

    Args:
        attribute: one of `AVATAR_CLASSES`; None for all outputs.
    """

    def __init__(self, attribute: str | None = None) -> None:
        counts = [len(words) for words in AVATAR_ATTRIBUTES.values()]
        super().__init__(stages=((16,), (32,), (64,), (128,)), channels=3, classes=sum(counts))
        firsts = dict(zip(AVATAR_ATTRIBUTES, accumulate(counts, initial=0), strict=False))
        everything = tuple(word for words in AVATAR_ATTRIBUTES.values() for word in words)
        self.class_names = AVATAR_CLASSES[attribute] if attribute else everything
        first = firsts.get(attribute or "hair", firsts["hair_colour"])
        groups = list(_AGES.values()) if attribute == "age" else [(k,) for k in range(len(self.class_names))]
        self.groups = [[first + k for k in group] for group in groups]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(N, 128)` and logits `(N, classes of the attribute)` of images `(N, 3, 32, 32)` in [-1, 1]."""
        features, logits = super().forward(images)
        return features, torch.stack([logits[:, group].logsumexp(1) for group in self.groups], 1)
