"""Heads that turn: renders drawn here, whose azimuth and elevation are known, for codes that are to find them."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from ganzoo.data.batch import Data, Images
from ganzoo.schema import Count, Finite, Positive

_STREAMS = {"train": 0, "test": 1}
_LIGHT = np.array([-0.4, 0.6, 0.7]) / np.linalg.norm([-0.4, 0.6, 0.7])  # from the left, above and before
# parts of a head that looks along z: centres, half axes and lightness
_PARTS = (
    ((0.0, 0.0, 0.0), (0.62, 0.8, 0.68), 0.75),
    ((0.0, -0.05, 0.72), (0.12, 0.17, 0.2), 0.85),  # nose
    ((-0.26, 0.18, 0.52), (0.13, 0.11, 0.13), 0.12),  # eyes
    ((0.26, 0.18, 0.52), (0.13, 0.11, 0.13), 0.12),
    ((-0.64, 0.0, 0.0), (0.1, 0.2, 0.16), 0.65),  # ears
    ((0.64, 0.0, 0.0), (0.1, 0.2, 0.16), 0.65),
    ((0.0, 0.36, -0.12), (0.66, 0.54, 0.66), 0.3),  # hair
)


class Pose(NamedTuple):
    """How heads are turned, in degrees, `(N,)` each: azimuth to the viewer's right, and elevation upwards."""

    azimuth: npt.NDArray[np.float64]
    elevation: npt.NDArray[np.float64]


class Heads(Data):
    """Grey heads of seven ellipsoids, turned at random, as the faces of InfoGAN are (arXiv:1606.03657, section 7.2).

    Their classes are whether they look left, ahead or right, by thirds of the range; `poses` gives the very angles.

    Args:
        size: the pixels of a side.
        azimuth: the largest turn to either side, in degrees; turns are uniform.
        elevation: the largest turn upwards and downwards.
        n: renders for training; a fifth as many more for testing.
        seed: of the turns.
        **options: of every source; see `Data`.
    """

    def __init__(
        self,
        size: Annotated[int, Ge(8)] = 32,
        azimuth: Finite = 60.0,
        elevation: Finite = 30.0,
        n: Positive = 5_000,
        seed: Count = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.size, self.azimuth, self.elevation, self.n, self.seed = size, azimuth, elevation, n, seed

    def poses(self, split: str) -> Pose:
        """The angles of a split's renders, in their order."""
        if split == "all":
            return Pose(*(np.concatenate(both) for both in zip(self.poses("train"), self.poses("test"), strict=True)))
        count = self.n if split == "train" else max(self.n // 5, 1)
        rng = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([self.seed, _STREAMS[split]])))
        turns = rng.uniform(-1, 1, (2, count))
        return Pose(self.azimuth * turns[0], self.elevation * turns[1])

    def read(self, split: str) -> Images:
        """Draws a split; the same renders each time."""
        pose = self.poses(split)
        blocks = [Pose(*(angle[i : i + 256] for angle in pose)) for i in range(0, len(pose.azimuth), 256)]
        values = np.concatenate([render(block, self.size) for block in blocks])
        third = np.clip(np.floor((pose.azimuth / self.azimuth + 1) * 1.5), 0, 2).astype(np.int64)
        return Images("heads", values, third, ("left", "ahead", "right"), split, "CC0-1.0")


def render(pose: Pose, size: int) -> npt.NDArray[np.uint8]:
    """Heads `(N, 1, size, size)`, seen from before without perspective, lit from the upper left, before black.

    A ray through a pixel meets an ellipsoid where a quadratic in its depth is 0; the nearest of all parts is seen, as
    bright as its lightness times Lambert's cosine, and a fifth of it in the dark.
    """
    turn = _rotations(pose)  # (N, 3, 3), from the head to the viewer
    line = (2 * np.arange(size) + 1 - size) / size * 1.15
    plane = np.stack(np.broadcast_arrays(line[None, :], -line[:, None], 0.0), -1).reshape(-1, 3)  # (P, 3)
    start = np.einsum("nij,pi->npj", turn, plane)  # in the head's own axes
    along = turn[:, None, 2]  # the viewer's z, in the head's axes: (N, 1, 3)
    light = np.einsum("nij,i->nj", turn, _LIGHT)[:, None]
    depth = np.full(start.shape[:2], -np.inf)
    shade = np.zeros(start.shape[:2])
    for centre, axes, lightness in _PARTS:
        o, d = (start - np.array(centre)) / axes, along / axes
        a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
        inside = b * b - a * c
        t = (-b + np.sqrt(np.maximum(inside, 0))) / a  # the larger root is nearer to the viewer
        normal = (o + t[..., None] * d) / axes
        cosine = (normal * light).sum(-1) / np.linalg.norm(normal, axis=-1)
        seen = (inside > 0) & (t > depth)
        depth = np.where(seen, t, depth)
        shade = np.where(seen, lightness * (0.2 + 0.8 * np.maximum(cosine, 0)), shade)
    return np.rint(255 * shade).astype(np.uint8).reshape(-1, 1, size, size)


def _rotations(pose: Pose) -> npt.NDArray[np.float64]:
    """Turns `(N, 3, 3)`: upwards about the ears' axis, then to the side about the upright one."""
    a, e = (np.radians(angle) for angle in pose)
    one, none = np.ones_like(a), np.zeros_like(a)
    side = np.array([[np.cos(a), none, np.sin(a)], [none, one, none], [-np.sin(a), none, np.cos(a)]])
    up = np.array([[one, none, none], [none, np.cos(e), np.sin(e)], [none, -np.sin(e), np.cos(e)]])
    return np.einsum("ijn,jkn->nik", side, up)
