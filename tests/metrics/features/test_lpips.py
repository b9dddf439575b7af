"""Against torchmetrics' LPIPS with the same random VGG16 and the authors' linear weights."""

import torch

from ganzoo.metrics.features.lpips import VggLpips
from ganzoo.metrics.features.network import FeatureNetwork, describe
from ganzoo.metrics.functional.path import feature_distance


def test_the_distance_of_the_features_is_lpips() -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    torch.manual_seed(0)
    ours = VggLpips()
    theirs = _LPIPS(pretrained=True, net="vgg", pnet_rand=True, pnet_tune=True, eval_mode=True, resize=None)
    weights = ours.features.state_dict()
    layers = {
        key.split(".", 1)[1]: value for key, value in theirs.net.state_dict().items()
    }  # slice1.0.weight: 0.weight
    assert layers.keys() == {k for k in weights if k in layers} and len(layers) == 26
    for key, value in theirs.net.state_dict().items():
        value.copy_(weights[key.split(".", 1)[1]])
    one, two = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).mul(2).sub(1).split(1)
    with torch.no_grad():
        expected = float(theirs(one, two).flatten())
    found = feature_distance(FeatureNetwork(ours, describe("vgg16_lpips")))(one, two)
    assert found.shape == (1,)
    assert abs(float(found) - expected) < 1e-4 * expected


def test_large_images_are_averaged_down_first() -> None:
    ours = FeatureNetwork(VggLpips(), describe("vgg16_lpips"))
    small = torch.randint(0, 256, (1, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(ours(small), ours(large), atol=1e-5)
