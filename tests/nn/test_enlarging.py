"""Pictures made small, against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import pictures
from PIL import Image

from ganzoo.nn.enlarging import bicubic


@pytest.mark.parametrize("scale", [0.25, 0.5, 3.0])
def test_bicubic_is_pillows(scale: float) -> None:
    image = pictures(1, (1, 24, 32))
    made = bicubic(image, scale)[0, 0]
    height, width = made.shape
    wanted = Image.fromarray(image[0, 0].numpy()).resize((width, height), Image.Resampling.BICUBIC)
    assert np.abs(made.numpy() - np.clip(np.asarray(wanted), -1, 1)).max() < 1e-5
    assert torch.equal(bicubic(torch.ones(1, 1, 3, 3), 0.1), torch.ones(1, 1, 1, 1))
