"""Perceptual features: LPIPS's form without its weights, by hand, on feature maps of a network that comes along."""

from __future__ import annotations

import torch
from helpers import close, pictures

from ganzoo.metrics.features.network import at_hand, feature_network
from ganzoo.metrics.features.perceptual import FeatureMaps, Perceptual


def test_a_distance_is_a_sum_over_feature_maps() -> None:
    features = Perceptual("digits_cnn")
    one, other = pictures(3, (1, 8, 8)), pictures(3, (1, 8, 8), 3)
    found = (features(one) - features(other)).square().sum(1)
    maps = FeatureMaps(feature_network("digits_cnn"))
    wanted = torch.zeros(3)
    for x, y in zip(maps(one), maps(other), strict=True):
        for i in range(3):
            for row in range(x.shape[2]):
                for column in range(x.shape[3]):
                    a, b = x[i, :, row, column], y[i, :, row, column]
                    a, b = a / (a.norm() ** 2 + 1e-10).sqrt(), b / (b.norm() ** 2 + 1e-10).sqrt()
                    wanted[i] += (a - b).square().sum() / (x.shape[2] * x.shape[3])
    assert close(found, wanted, 1e-4)
    assert not features.learned and features.name == "digits_cnn" and at_hand("digits_cnn")


def test_gradients_flow_and_sizes_are_brought_to_the_networks() -> None:
    features = Perceptual("digits_cnn")
    image = pictures(1, (1, 4, 4)).requires_grad_()
    features(image).square().sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert features(pictures(1, (1, 512, 512))).shape == features(pictures(1, (1, 256, 256))).shape
