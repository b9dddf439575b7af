"""The architecture is proved on random weights against torch-fidelity's, whose weights file the real ones come from."""

from typing import Any

import pytest
import torch
from torch import nn

from ganzoo.metrics.features.inception import Inception
from ganzoo.metrics.features.network import FeatureNetwork, describe

extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same random weights in both networks; ours with BatchNorm folded and channels last."""
    torch.manual_seed(0)
    ours = Inception()
    for module in ours.modules():  # statistics of every norm away from 0 and 1, so that folding is put to the test
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.7, 1.4)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    for module in ours.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(ours.state_dict(), path)
    theirs = extractor.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    return FeatureNetwork(ours, describe("inception")), theirs


@pytest.mark.parametrize("size", [32, 299, 320])
def test_features_and_logits_are_those_of_torch_fidelity(twins: Any, size: int) -> None:
    ours, theirs = twins
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected, logits = theirs(images)
    features, probabilities = ours.both(images)
    assert features.shape == (2, 2048)
    assert expected.std() > 1e-3  # the features are no constant
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()
    assert torch.allclose(probabilities, logits.softmax(1), atol=1e-4)


def test_the_names_of_all_tensors_are_those_of_the_published_file(twins: Any) -> None:
    _, theirs = twins
    assert Inception().state_dict().keys() == theirs.state_dict().keys()
