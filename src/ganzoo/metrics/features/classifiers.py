"""The small classifiers that ship with ganzoo: feature networks for data that ImageNet networks do not suit.

A Fréchet distance needs a network that sees what people see in the data. For 8x8 digits and 32x32 clothes a
classifier of the data's own classes is such a network; it also gives class probabilities, for the Inception Score and
for the accuracy of conditional samples. `benchmarks/train_classifiers.py` trains both again; beside each file of
weights stands a card with its accuracy on the test split.
"""

from collections.abc import Sequence

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
