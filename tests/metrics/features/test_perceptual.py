"""The feature maps that perceptual losses look at."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganzoo.metrics.features.network import Description, FeatureNetwork, feature_network
from ganzoo.metrics.features.perceptual import FeatureMaps
from ganzoo.types import BadArgument


def test_the_last_maps_at_each_resolution_as_the_network_sees_the_images() -> None:
    network = feature_network("fashion_mnist_cnn")
    maps = FeatureMaps(network)
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    found = maps(images)
    assert [tuple(each.shape) for each in found] == [(3, 16, 32, 32), (3, 48, 16, 16), (3, 96, 8, 8), (3, 128, 4, 4)]
    assert torch.allclose(found[-1].mean((2, 3)), network(images), atol=1e-5), "the last one's means are the features"
    assert all(each.min() == 0 for each in found), "after the ReLU, before the pooling"


def test_gradients_flow_to_images_beyond_the_range() -> None:
    maps = FeatureMaps(feature_network("fashion_mnist_cnn"))
    images = (torch.randn(2, 1, 32, 32) * 3).requires_grad_()
    sum(each.square().mean() for each in maps(images)).backward()
    assert images.grad is not None and (images.grad.abs().amax((1, 2, 3)) > 0).all()


def test_grey_images_are_repeated_and_others_refused() -> None:
    description = Description("own", "", 4, 8, 3, "pil_bicubic", (127.5, 0.0, 63.75), (127.5, 255.0, 63.75))
    network = nn.Sequential()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU())
    maps = FeatureMaps(FeatureNetwork(network, description))
    grey = torch.full((1, 1, 8, 8), 0.5)
    seen = torch.tensor([0.5, 0.75, 2.0])[:, None, None].expand(1, 3, 8, 8)  # (x - offset) / scale of 191.25
    assert torch.allclose(maps(grey)[0], network.features[0](seen), atol=1e-5)
    assert [each.shape[-1] for each in maps(grey)] == [6, 3]
    with pytest.raises(BadArgument, match="images have 2 channels, and the feature network takes 3"):
        maps(torch.zeros(1, 2, 8, 8))
    with pytest.raises(BadArgument, match="points has no feature maps"):
        FeatureMaps(feature_network("points"))


def test_maps_before_they_are_activated() -> None:
    description = Description("own", "", 4, 8, 3, "pil_bicubic", (0.0,) * 3, (1.0,) * 3)
    network = nn.Sequential()
    network.features = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, 1, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 3, 1, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    )
    maps = FeatureMaps(FeatureNetwork(network, description))
    raw = maps(images := torch.rand(2, 3, 16, 16), activated=False)
    after = maps(images)
    assert [tuple(each.shape[1:]) for each in raw] == [(4, 16, 16), (5, 8, 8)], "none of the last pooling"
    assert all(each.min() < 0 for each in raw)
    assert all(torch.allclose(one.relu(), other, rtol=1e-5) for one, other in zip(raw, after, strict=False))
