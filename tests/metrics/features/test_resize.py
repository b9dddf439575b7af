"""Against Pillow, torch-fidelity's port of TensorFlow's filter, and a filter by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.metrics.features.resize import RESIZERS, resize
from ganzoo.types import UnknownName

tensorflow = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")


def pictures(n: int, c: int, h: int, w: int) -> Any:
    return torch.randint(0, 256, (n, c, h, w), generator=torch.Generator().manual_seed(h)).float()


@pytest.mark.parametrize("size", [(8, 299), (32, 299), (400, 299), (299, 75)])
def test_the_legacy_filter_is_tensorflows(size: tuple[int, int]) -> None:
    before, after = size
    images = pictures(2, 3, before, before + 5)
    expected = tensorflow.interpolate_bilinear_2d_like_tensorflow1x(images, (after, after), align_corners=False)
    assert torch.allclose(resize(images, after, "tf_bilinear"), expected, atol=2e-4)


def test_the_legacy_filter_reads_from_the_upper_left() -> None:
    line = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    # output i reads at i / 2: 0, 0.5, 1 and, beyond the edge, the last pixel
    assert resize(line, 4, "tf_bilinear")[0, 0, 0].tolist() == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("before, after", [(32, 96), (28, 96), (100, 96), (300, 96), (64, 8)])
def test_the_clean_filter_is_pillows(before: int, after: int) -> None:
    images = pictures(1, 2, before, before)
    for plane, found in zip(images[0], resize(images, after, "pil_bicubic")[0], strict=True):
        picture = Image.fromarray(plane.numpy().astype(np.float32), mode="F")
        expected = np.asarray(picture.resize((after, after), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(found.numpy() - expected).max() < 2e-3  # of 255


def test_no_filter_touches_an_image_of_the_right_size() -> None:
    images = pictures(2, 1, 8, 8)
    for name in RESIZERS:
        assert resize(images, 8, name) is images


def test_filters_differ_from_one_another() -> None:
    images = pictures(1, 1, 50, 50)
    found = [resize(images, 20, name) for name in RESIZERS]
    assert all((a - b).abs().max() > 1 for i, a in enumerate(found) for b in found[:i])


def test_an_unknown_filter_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean pil_bicubic"):
        resize(pictures(1, 1, 4, 4), 8, "pil-bicubic")
