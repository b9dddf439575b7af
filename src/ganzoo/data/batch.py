"""The contract of every data source: `Images`, one opened split, and `Data`, which feeds it to training without end.

The order of training is stateless. The data set is an endless stream of concatenated permutations, the one of epoch e
drawn from (seed, e); batch b of all ranks together takes positions b·B·w to (b+1)·B·w of it (B per rank, w ranks), rank
r the r-th part. So a resumed run goes on where it stopped without any saved sampler, and w ranks see what one process
with a batch of w·B would see. The targets of pairs come with their images; those of unpaired data come from
permutations of their own, drawn in the same way.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, wraps
from typing import Any, ClassVar, Final, NamedTuple, cast

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Sampler

from ganzoo.media.levels import to_float
from ganzoo.media.medium import media
from ganzoo.schema import Count, Positive, check_ranges
from ganzoo.types import BadArgument, BadData, Batch, Condition

SPLITS: Final = ("train", "test", "all")
VALIDATION: Final = "validation"  # a further split, which some data can be asked for

_Indices = Sequence[int] | npt.NDArray[np.integer[Any]] | Tensor

# Which stream a seed is for, so that order, flips and cuts do not share their numbers; unpaired targets have their own
_ORDER, _FLIP, _CUT = 1, 2, 3
_TARGETS = 3  # added to the three
_KEPT = 7  # of the choice of validation samples


def pad_to(values: npt.NDArray[np.uint8], size: int, fill: int = 0) -> npt.NDArray[np.uint8]:
    """Centres `(N, C, H, W)` on a square of `size` pixels filled with `fill`; pixels are never resampled.

    Where the difference is odd, the extra row or column goes to the bottom or right.

    Raises:
        BadArgument: if `size` is smaller than the images.
    """
    height, width = values.shape[2:]
    if size < max(height, width):
        raise BadArgument(f"size={size} is smaller than the images of {height}x{width} pixels; ask for more.")
    if height == width == size:
        return values
    padded = np.full((*values.shape[:2], size, size), fill, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    padded[:, :, top : top + height, left : left + width] = values
    return padded


@dataclass(frozen=True, eq=False)
class Images:
    """One opened split of a data set.

    Args:
        name: the data set, in lower case with hyphens.
        values: uint8 `(N, C, H, W)`, in memory or mapped from a file; or float32 points `(N, 2)`.
        labels: class indices `(N,)` int64; or attributes, 0 or 1, `(N, K)` int64; or None.
        classes: the names of the classes, or of the attributes, by index; None without labels.
        split: one of the source's `splits`.
        license: of the data, as an SPDX identifier where it has one.
        targets: for translation, the other domain's images: uint8 `(M, C', H, W)`; None elsewhere.
        paired: whether the k-th target is the counterpart of the k-th image; else M is a number of its own.
        texts: embeddings of captions `(N, d)` float32; None elsewhere.

    Raises:
        BadData: if the arrays do not have these types and shapes, or a label has no class.
    """

    name: str
    values: npt.NDArray[Any]
    labels: npt.NDArray[np.int64] | None = None
    classes: tuple[str, ...] | None = None
    split: str = "all"
    license: str = "unknown"
    targets: npt.NDArray[np.uint8] | None = None
    paired: bool = True
    texts: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        values, labels, texts = self.values, self.labels, self.texts
        if not any(values.dtype == each.stored and each.fits(self.shape) for each in media()):
            known = " or ".join(f"{each.stored} (N, {each.form})" for each in media())
            raise BadData(f"{self.name}: values must be {known}, not {values.dtype} {values.shape}.")
        if (labels is None) != (self.classes is None):
            raise BadData(f"{self.name}: labels and classes go together; give both or neither.")
        if labels is not None and self.classes is not None:
            n, k = len(values), len(self.classes)
            if labels.dtype != np.int64 or labels.shape not in ((n,), (n, k)):
                found = f"{labels.dtype} {labels.shape}"
                raise BadData(f"{self.name}: labels must be int64 ({n},), or ({n}, {k}) for attributes, not {found}.")
            if labels.size and not (labels.min() >= 0 and labels.max() < (k if labels.ndim == 1 else 2)):
                span = f"{labels.min()} to {labels.max()}"
                what = f"there are {k} classes" if labels.ndim == 1 else "attributes are 0 or 1"
                raise BadData(f"{self.name}: labels run from {span}, but {what}.")
        if self.targets is not None:
            self._check_targets(self.targets)
        if texts is not None and (texts.dtype != np.float32 or texts.ndim != 2 or len(texts) != len(values)):
            found = f"{texts.dtype} {texts.shape}"
            raise BadData(f"{self.name}: texts must be float32 ({len(values)}, d), not {found}.")

    def _check_targets(self, targets: npt.NDArray[np.uint8]) -> None:
        values = self.values
        if targets.dtype != np.uint8 or targets.ndim != 4 or targets.shape[2:] != values.shape[2:]:
            found, side = f"{targets.dtype} {targets.shape}", "x".join(map(str, values.shape[2:]))
            raise BadData(f"{self.name}: targets must be uint8 (M, C, H, W) of {side} pixels, not {found}.")
        if self.paired and len(targets) != len(values):
            raise BadData(f"{self.name}: {len(values)} images and {len(targets)} targets are not pairs.")
        if len(values) and not len(targets):
            raise BadData(f"{self.name}: there is no target for its {len(values)} images.")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: `(C, H, W)`, or `(2,)` for points."""
        return tuple(self.values.shape[1:])

    @cached_property
    def digest(self) -> str:
        """The sha256 (64 hex digits) of values, labels, classes, targets and texts: the same for the same content."""
        sha = hashlib.sha256()
        more = [array for array in (self.targets, self.texts) if array is not None]
        for array in (self.values, self.labels, *more):
            if array is None:
                sha.update(b"none\n")
                continue
            sha.update(f"{array.dtype.str} {array.shape}\n".encode())
            for start in range(0, len(array), 4096):  # in parts, for a mapped file larger than the memory
                sha.update(np.ascontiguousarray(array[start : start + 4096]).data)
        sha.update(json.dumps(self.classes).encode())
        if self.targets is not None:
            sha.update(b"pairs" if self.paired else b"no pairs")
        return sha.hexdigest()

    def batch(self, indices: _Indices, partners: _Indices | None = None) -> Batch:
        """Gathers the samples at `indices` into tensors of their own; uint8 stays uint8 (see `to_float`).

        Attributes become vectors `(n, K)` of floats.

        Args:
            indices: of the images and labels, and of the targets where they are pairs.
            partners: of unpaired targets; where None, `indices` again, counted round.
        """
        at = np.asarray(indices, dtype=np.int64)
        images = torch.from_numpy(np.asarray(self.values[at]))
        labels = None if self.labels is None else torch.from_numpy(self.labels[at])
        labels = labels.float() if labels is not None and labels.ndim == 2 else labels
        text = None if self.texts is None else torch.from_numpy(self.texts[at])
        condition = Condition(labels, text)
        if self.targets is None:
            return Batch(images, condition=condition)
        if not self.paired:
            at = at % len(self.targets) if partners is None else np.asarray(partners, dtype=np.int64)
        return Batch(images, targets=torch.from_numpy(np.asarray(self.targets[at])), condition=condition)

    def part(self, kept: npt.NDArray[np.bool_], split: str, targets: npt.NDArray[np.bool_] | None = None) -> Images:
        """Some of the samples, under the name of their split; `targets` chooses those that are not paired."""
        labels = None if self.labels is None else self.labels[kept]
        others = None if self.targets is None else self.targets[kept if targets is None else targets]
        texts = None if self.texts is None else self.texts[kept]
        return replace(self, values=self.values[kept], labels=labels, targets=others, texts=texts, split=split)

    def __getstate__(self) -> dict[str, Any]:
        # numpy pickles a mapped array by its content: a worker started by spawn would receive the whole data set
        return {name: _Mapped.of(v) if _Mapped.holds(v) else v for name, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: v.open() if isinstance(v, _Mapped) else v for name, v in state.items()})


class _Mapped(NamedTuple):
    """Where a mapped array, or a part of one, lies."""

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @staticmethod
    def holds(value: Any) -> bool:
        """Whether a value can be told by its place: it is mapped, and runs forward in the file."""
        return isinstance(value, np.memmap) and value.size > 0 and min(value.strides) >= 0

    @classmethod
    def of(cls, values: np.memmap[Any, Any]) -> _Mapped:
        root = values
        while isinstance(root.base, np.memmap):
            root = root.base
        # a slice inherits the attribute `offset` of the whole, so the distance of the two in memory is added
        offset = root.offset + values.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return cls(str(root.filename), offset, values.dtype.str, values.shape, values.strides)

    def open(self) -> np.memmap[Any, Any]:
        kind = np.dtype(self.dtype)
        reach = 1 + sum((n - 1) * step // kind.itemsize for n, step in zip(self.shape, self.strides, strict=True))
        flat = np.memmap(self.path, kind, "r", self.offset, (reach,))
        part = np.lib.stride_tricks.as_strided(flat, self.shape, self.strides, subok=True, writeable=False)
        return cast("np.memmap[Any, Any]", part)


# numpy promises that the numbers of RandomState, and those of a bit generator itself, will never change (NEP 19)


@lru_cache(maxsize=8)
def _permutation(n: int, seed: int, epoch: int, kind: int = _ORDER) -> npt.NDArray[np.int64]:
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([kind, seed % 2**64, epoch])))
    order = random.permutation(n).astype(np.int64, copy=False)
    order.setflags(write=False)  # it is shared through the cache
    return order


class Draw(NamedTuple):
    """One rank's part of a batch: which samples, which of them are mirrored, and where each is cut out.

    Args:
        indices: of the samples, `(B,)`.
        flips: whether each is mirrored, `(B,)`; None where flips are off.
        corners: top and left of each cut out of the enlarged picture, `(B, 2)`; None where jitter is off.
        targets: the same of unpaired targets; None where targets go with their images, or there are none.
    """

    indices: npt.NDArray[np.int64]
    flips: npt.NDArray[np.bool_] | None
    corners: npt.NDArray[np.int64] | None = None
    targets: Draw | None = None


@dataclass(frozen=True)
class Stream:
    """The stateless order of training: `stream.draw(b)` is a pure function of the arguments and b.

    Args:
        n: samples in the data set.
        batch_size: samples per rank and batch.
        seed: of order, flips and cuts.
        rank: of this process, from 0 on.
        world: how many processes train together.
        flip: whether to mirror a random half of the samples.
        jitter: by how many pixels pictures are enlarged before they are cut back to their size at a random place.
        partners: unpaired targets in the data set; None where there are none, or pairs.
    """

    n: int
    batch_size: int
    seed: int = 0
    rank: int = 0
    world: int = 1
    flip: bool = False
    jitter: int = 0
    partners: int | None = None

    def draw(self, b: int) -> Draw:
        """The part of batch `b` (from 0 on) that belongs to this rank."""
        own = self._part(b, self.n, 0)
        return own if self.partners is None else own._replace(targets=self._part(b, self.partners, _TARGETS))

    def _part(self, b: int, n: int, kind: int) -> Draw:
        whole = self.batch_size * self.world
        first = b * whole + self.rank * self.batch_size
        indices = self._positions(first, first + self.batch_size, n, _ORDER + kind)
        flips = self._numbers(b, _FLIP + kind) >> np.uint64(63) == 1 if self.flip else None
        corners = None
        if self.jitter:
            at = self._numbers(b, _CUT + kind)
            corners = np.stack([at >> np.uint64(32), at & np.uint64(2**32 - 1)], 1) % np.uint64(self.jitter + 1)
        return Draw(indices, flips, None if corners is None else corners.astype(np.int64))

    def _numbers(self, b: int, kind: int) -> npt.NDArray[np.uint64]:
        """64 random bits a sample."""
        # drawn for the joined batch and then cut, so that a sample's flip does not depend on the number of ranks
        # PCG64's raw numbers: setting up a RandomState each batch takes longer than gathering it
        sequence = np.random.SeedSequence([kind, self.seed % 2**64, b])
        raw = np.random.PCG64(sequence).random_raw(self.batch_size * self.world)
        return np.asarray(raw[self.rank * self.batch_size :][: self.batch_size])

    def positions(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """The samples at positions `start` up to `stop` of the endless concatenation of permutations."""
        return self._positions(start, stop, self.n, _ORDER)

    def _positions(self, start: int, stop: int, n: int, kind: int) -> npt.NDArray[np.int64]:
        parts = []
        for epoch in range(start // n, (stop - 1) // n + 1):
            begin = epoch * n
            parts.append(_permutation(n, self.seed, epoch, kind)[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts)


class _Draws(Sampler[Draw]):
    """The draws from the first batch that the model has not started yet, without end (and so without a length)."""

    def __init__(self, data: Data, n: int, partners: int | None) -> None:
        self.data = data
        self.n = n
        self.partners = partners

    def __iter__(self) -> Iterator[Draw]:
        # the state of the run is read here and not at construction: by now a checkpoint has been restored
        b, stream = self.data.progress(self.n, self.partners)
        while True:
            yield stream.draw(b)
            b += 1


class _Gather(Dataset[Batch]):
    """Whole batches by draw."""

    def __init__(self, images: Images, jitter: int) -> None:
        self.images = images
        self.jitter = jitter

    def __getitem__(self, draw: Draw) -> Batch:
        batch = self.images.batch(draw.indices, None if draw.targets is None else draw.targets.indices)
        targets = None if batch.targets is None else varied(batch.targets, draw.targets or draw, self.jitter)
        return Batch(varied(batch.images, draw, self.jitter), targets=targets, condition=batch.condition)


def varied(images: Tensor, draw: Draw, jitter: int) -> Tensor:
    """Cuts and mirrors uint8 `(B, C, H, W)` as a draw says; what it mirrors is changed in place."""
    if draw.corners is not None:
        images = _cut(images, jitter, draw.corners)
    if draw.flips is not None:
        values = images.numpy()  # the same memory
        values[draw.flips] = values[draw.flips][..., ::-1]
    return images


def _cut(images: Tensor, jitter: int, corners: npt.NDArray[np.int64]) -> Tensor:
    """Enlarges uint8 `(B, C, H, W)` by `jitter` pixels a side and cuts the old size out at each one's corner."""
    height, width = images.shape[2:]
    sides = (height + jitter, width + jitter)
    large = functional.interpolate(images.float(), sides, mode="bicubic").round_().clamp_(0, 255).to(torch.uint8)
    places = zip(large, corners.tolist(), strict=True)
    return torch.stack([image[:, top : top + height, left : left + width] for image, (top, left) in places])


def _divided(whole: Images, split: str) -> Images:
    """A training split without its validation samples, or these: a tenth, chosen by a fixed seed."""

    def chosen(n: int) -> npt.NDArray[np.bool_]:
        return np.equal(_permutation(n, 0, 0, _KEPT) < max(1, n // 10), split == VALIDATION)

    targets = None if whole.targets is None or whole.paired else chosen(len(whole.targets))
    return whole.part(chosen(len(whole)), split, targets)


def _as_it_is(batch: Any) -> Any:
    return batch


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that checks its own arguments, and notes all those of the class that is made."""
    signature = inspect.signature(init)

    @wraps(init)
    def noting(self: Data, *args: Any, **kwargs: Any) -> None:
        if "arguments" not in vars(self):
            bound = inspect.signature(type(self)).bind_partial(*args, **kwargs)
            bound.apply_defaults()
            self.arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in bound.arguments.items()}
        check_ranges(init, signature.bind(self, *args, **kwargs).arguments)
        init(self, *args, **kwargs)

    return noting


class Data(L.LightningDataModule):
    """A data source; a subclass implements `read`, and its `__init__` is the schema of a recipe's `data` section.

    Training never ends by itself: the loader has no length and goes on until `max_steps`. Keep the trainer's hands off
    the sampler with `use_distributed_sampler=False`.

    Args:
        batch_size: samples per process and batch.
        flip: whether to mirror a random half of the samples left to right, anew in each batch.
        workers: processes that gather batches ahead of training; 0 gathers in the training process.
        jitter: by how many pixels a side pictures are enlarged (bicubic) before a random part of their own size is cut
            out, anew in each batch: 30 for 256 pixels in pix2pix's paper. 0 for none.
        validation: whether a tenth of the samples for training are kept from it as a split of their own, `validation`:
            to choose by, so that what the test split says was not chosen by it.
    """

    arguments: dict[str, Any]  # of the constructor, resolved, as plain JSON values where they are some
    divides: ClassVar[bool] = False  # whether `read` itself keeps validation samples from training

    def __init_subclass__(cls) -> None:
        """Spells out what `**options` stands for in the signature that help and messages show; records arguments."""
        own = list(inspect.signature(cls.__init__).parameters.values())[1:]
        if own and own[-1].kind is inspect.Parameter.VAR_KEYWORD:
            above = inspect.signature(next(each for each in cls.__mro__[1:] if "__init__" in each.__dict__))
            named = {each.name for each in own}
            more = [each for each in above.parameters.values() if each.name not in named]
            own = [*own[:-1], *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in more)]
        cls.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    @_recording
    def __init__(
        self,
        batch_size: Positive = 64,
        flip: bool = False,
        workers: Count = 0,
        jitter: Count = 0,
        validation: bool = False,
    ) -> None:
        super().__init__()
        self.batch_size, self.flip, self.workers = batch_size, flip, workers
        self.jitter, self.validation = jitter, validation
        self._opened: dict[str, Images] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """What `open` takes."""
        return (*SPLITS, VALIDATION) if self.validation else SPLITS

    def read(self, split: str) -> Images:
        """Reads one split; implemented by every source, called by `open` once a split.

        Raises:
            BadData: if the data are missing or damaged.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement read(split).")

    def open(self, split: str) -> Images:
        """Opens `train`, `test`, `all` (these together) or, where `validation` is on, `validation`; once, and kept.

        Raises:
            BadArgument: for any other split.
            BadData: if the data are missing or damaged; `NoSplit` if the split has no sample.
        """
        if split not in self.splits:
            more = "; give validation=True to keep one from training" if split == VALIDATION else ""
            known = ", ".join(self.splits)
            raise BadArgument(f"{split!r} is not a split of {type(self).__name__}; the splits are {known}{more}.")
        if split not in self._opened:
            kept = self.validation and not self.divides and split in ("train", VALIDATION)
            self._opened[split] = _divided(self.read("train"), split) if kept else self.read(split)
        return self._opened[split]

    def prepare_data(self) -> None:
        """Opens the training split on one process of each machine first, so that what is cached is made once."""
        self.open("train")

    def progress(self, n: int, partners: int | None = None) -> tuple[int, Stream]:
        """Where training stands: the number of the next batch, and the stream over `n` samples that it is drawn from.

        `partners` is the number of unpaired targets, None where there are none.

        The model says how many batches it has started (`batches_seen`) and the seed (`engine.seed`), the trainer says
        the rank; without a trainer they are 0, 0 and 0 of 1.
        """
        trainer = self.trainer
        stream = Stream(n, self.batch_size, flip=self.flip, jitter=self.jitter, partners=partners)
        if trainer is None:
            return 0, stream
        model: Any = trainer.lightning_module
        seed, seen = (model.engine.seed, model.batches_seen) if model is not None else (0, 0)
        return int(seen), replace(stream, seed=int(seed), rank=trainer.global_rank, world=trainer.world_size)

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader of `Batch` with uint8 images on the CPU, from the first batch not yet seen by the model.

        Raises:
            BadData: if the split holds no sample.
        """
        return self.loader(self.open("train"))

    def loader(self, images: Images) -> DataLoader[Batch]:
        """The same of any samples, for sources that train on something else than the split as it is.

        Raises:
            BadData: if there is no sample.
        """
        if len(images) == 0:
            raise BadData(f"{images.name}: the training split holds no sample.")
        if (self.flip or self.jitter) and images.values.ndim != 4:
            raise BadArgument(f"{images.name}: flip and jitter are for pictures; leave them out.")
        partners = None if images.targets is None or images.paired else len(images.targets)
        return self.endless(_Gather(images, self.jitter), _Draws(self, len(images), partners))

    def endless(self, batches: Dataset[Batch], asked: Sampler[Any]) -> DataLoader[Batch]:
        """The loader of batches that a sampler asks for one by one, without end."""
        return DataLoader(
            batches,
            batch_size=None,  # what is asked for is a whole batch
            sampler=asked,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Converts images from uint8 to float32 in [-1, 1], on the device: a quarter of the bytes travel."""
        return batch.each(to_float)
