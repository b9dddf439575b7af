"""Line drawings of pictures, for translation from edges to colours."""

import numpy as np
import numpy.typing as npt


def edges(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Edge pictures of `(N, C, H, W)`: each dilated by a 3x3 square, less itself; beyond the margin nothing counts."""
    height, width = values.shape[2:]
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    places = [(i, j) for i in range(3) for j in range(3)]
    dilated: npt.NDArray[np.uint8] = np.max([padded[:, :, i : i + height, j : j + width] for i, j in places], axis=0)
    return dilated - values


def outlines(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Black lines on white `(N, 1, H, W)` where colours of `(N, C, H, W)` meet: the clearest of the channels' edges."""
    return np.where(edges(values).max(1, keepdims=True) > 40, np.uint8(0), np.uint8(255))
