"""Pictures from a data set of the library `datasets`: of the Hub, a folder, or files of Parquet and Arrow.

As a rule they are converted once and mapped from the disk, as `Folder`'s are. What is too large for that is streamed:
read from its beginning to its end, over and over, decoded on the way, in an order that a resumed run goes on with.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ganzoo.data.batch import Data, Images, Stream, varied
from ganzoo.data.conversion import Pixels, Square, attempt, in_threads, position
from ganzoo.data.decoding import Unreadable, decoding
from ganzoo.data.indexed import Indexed, counted, in_order, joined
from ganzoo.data.store import Stored
from ganzoo.schema import Positive
from ganzoo.types import BadArgument, BadData, Batch, quoted, reason

# Formats whose reading runs nothing; data sets that are scripts are refused by the library itself, since its release 4
_FORMATS: Final = frozenset({"arrow", "cache", "imagefolder", "parquet", "webdataset"})
_TESTS: Final = ("test", "validation", "valid", "val")
_SHARDS, _BLOCK = 5, 6  # which stream a seed is for; `ganzoo.data.batch` has the others


class HuggingFace(Indexed):
    """A data set of the library `datasets` (`pip install datasets`), whose samples are pictures.

    No code of a data set is ever run, and no file is opened because a data set names its path.

    Args:
        path: on the Hub, such as `user/name`; or a folder of Parquet, Arrow or picture files, or one that
            `save_to_disk` wrote; or a format (`parquet`, `arrow`, `imagefolder`, `webdataset`) of `data_files`.
        config: of data sets that have several, the name of one.
        revision: of the Hub: a commit, tag or branch.
        data_files: the files, or those of each split.
        image: the column of the pictures; the first that holds some where None.
        label: the column of the classes; the first that the data set says to be one where None.
        train: the split for training.
        test: the split for testing; where None the first of test, validation, valid and val that there is, else a share
            of the training split.
        streaming: whether the training split is read anew in each epoch instead of being converted. Every process reads
            all of it, and a resumed run reads to where it stopped. Labels are then those of a column that names its
            classes, and a sample for training without one is a bad one. The first `kept` pictures of each split stand
            for it wherever it is opened.
        kept: see `streaming`.
        shuffle: of a stream, the pictures that are shuffled among each other; the files are, in any case.
        **options: of all pictures; see `Pictures`.
    """

    def __init__(
        self,
        path: str,
        config: str | None = None,
        revision: str | None = None,
        data_files: str | list[str] | dict[str, str | list[str]] | None = None,
        image: str | None = None,
        label: str | None = None,
        train: str = "train",
        test: str | None = None,
        streaming: bool = False,
        kept: Positive = 10_000,
        shuffle: Positive = 5_000,
        **options: Any,
    ) -> None:
        super().__init__(label, **options)
        self.path, self.image = path, image
        self.asked = {"path": path, "name": config, "revision": revision, "data_files": data_files}
        self.ways = {"train": train, "test": test}
        self.streaming, self.kept, self.shuffle = streaming, kept, shuffle

    def read(self, split: str) -> Images:
        """Opens a split of the pictures, fetching and converting them first if nobody has.

        Raises:
            BadData: if the data set cannot be loaded, has no pictures, or one cannot be read and `bad` is `error`.
            NoSplit: if no picture falls into the split.
        """
        parts = []
        for name, piece, share in self.pieces(*self._splits(), split):
            columns = self._columns(name)
            if self.streaming:
                share = self._share(share)
                made = self._first(columns, piece, share)
                piece, share = "all", 0.0
            else:
                made = self._converted(columns)
            made, names = self._named(columns, made)
            parts.append(self.cut(self.title, made, piece, share, names))
        return replace(parts[0], split=split) if len(parts) == 1 else joined(parts, split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader: of the converted pictures, or of the stream."""
        if not self.streaming:
            return super().train_dataloader()
        train, _ = self._splits()
        share = self._share(0.0 if self._splits()[1] is not None else None)
        columns = self._columns(train)
        pictures = _Pictures(columns, self.bounds("train", share), self.shuffle, self.bad, self.jitter, self.title)
        return self.endless(pictures, _Asked(self))

    @property
    def title(self) -> str:
        """The data set's name, in lower case with hyphens."""
        return self.path.rstrip("/").rpartition("/")[2].lower().replace("_", "-").replace(" ", "-") or "huggingface"

    def _share(self, share: float | None) -> float:
        """The share of a stream for testing; how many pictures it has is not known."""
        return self.test_share if share is None and self.test_share is not None else 0.1 if share is None else share

    @cached_property
    def _loaded(self) -> tuple[dict[str, Any], str, bool]:
        """The splits; what they depend on; and whether their pictures are files that the library itself has listed."""
        try:
            import datasets
        except ImportError as error:
            raise BadData(f"HuggingFace needs the package datasets ({error}); pip install datasets.") from None
        folder = Path(self.path).expanduser()
        try:
            if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
                if self.streaming:
                    raise BadArgument(f"{self.path}: lies on the disk as it is; leave streaming out.")
                found = datasets.load_from_disk(str(folder))
                return dict(found) if isinstance(found, dict) else {self.ways["train"] or "train": found}, "", False
            builder = datasets.load_dataset_builder(
                **{**self.asked, "path": str(folder) if folder.exists() else self.path}
            )
            package, _, form = type(builder).__module__.rpartition(".")
            if not package.startswith("datasets.packaged_modules") or form not in _FORMATS:
                raise BadData(f"{self.path}: is read as {form}; only {', '.join(sorted(_FORMATS))} are read here.")
            if self.streaming and form == "imagefolder":
                raise BadArgument(
                    f"{self.path}: files of pictures are not streamed; leave streaming out, or use Folder."
                )
            if not self.streaming:
                builder.download_and_prepare()
            found = builder.as_streaming_dataset() if self.streaming else builder.as_dataset()
            return dict(found), f"{builder.hash}/{builder.config_id}", form == "imagefolder"
        except (BadArgument, BadData):
            raise
        except Exception as error:  # the library's own, pyarrow's, the Hub's and the network's
            raise BadData(f"{self.path}: cannot be loaded as a data set ({reason(error)}).") from error

    def _splits(self) -> tuple[str, str | None]:
        """The names of the splits for training and for testing."""
        known = list(self._loaded[0])
        train, test = self.ways["train"], self.ways["test"]
        train = known[0] if train not in known and train == "train" and len(known) == 1 else train
        for option, name in (("train", train), ("test", test)):
            if name is not None and name not in known:
                raise BadArgument(f"{option}={name!r}: the splits of {self.path} are {', '.join(known)}.")
        assert train is not None
        return train, test or next((name for name in _TESTS if name in known and name != train), None)

    def _columns(self, split: str) -> _Columns:
        """Where the pictures of a split, and their classes, stand."""
        from datasets import ClassLabel, Image

        splits, _, own = self._loaded
        data = splits[split]
        kinds = dict(data.features or data._resolve_features().features)
        pictures = [name for name, kind in kinds.items() if isinstance(kind, Image)]
        image = self.image or (pictures[0] if pictures else None)
        if image is None or image not in kinds:
            found = f"image={image!r}" if image else f"{self.path}: no column holds pictures"
            raise BadArgument(f"{found}; the columns are {', '.join(kinds)}.")
        classes = [name for name, kind in kinds.items() if isinstance(kind, ClassLabel)]
        label = self.label or (classes[0] if classes else None)
        if label is not None and label not in kinds:
            raise BadArgument(f"label={label!r}; the columns are {', '.join(kinds)}.")
        names = tuple(kinds[label].names) if label in classes else ()
        if self.streaming and self.label is not None and not names:
            raise BadArgument(
                f"label={label!r}: a stream does not tell how many classes there are; it is not streamed."
            )
        data = data.select_columns([image] if label is None else [image, label])
        data = data.cast_column(image, Image(decode=False))
        if self.streaming and not names:
            label = None
        strict = self.streaming and label is not None and split == self._splits()[0]
        return _Columns(data, image, label, names, self.square, own, strict)

    def _converted(self, columns: _Columns) -> Stored:
        """A whole split, in the order of the positions."""
        data, reading = columns.data, threading.Lock()
        order = in_order(len(data))

        def read(i: int) -> tuple[Pixels, Any]:
            with reading:
                row = data[i]
            return columns.read(row)

        files = [Path(each["filename"]).stat() for each in data.cache_files]
        marks = [[each.st_size, each.st_mtime_ns] for each in files]
        key = ["huggingface", self._loaded[1], data._fingerprint, marks, columns.image, columns.label]
        return self.converted(self.title, key, len(order), lambda: ((str(i), i) for i in order), read)

    def _first(self, columns: _Columns, piece: str, share: float) -> Stored:
        """The first pictures of a part of a stream."""
        low, high = self.bounds(piece, share)
        key = ["stream", self._loaded[1], columns.data.split and str(columns.data.split), low, high, self.kept]

        def samples() -> Iterator[tuple[str, Any]]:
            found = (each for each in columns.rows() if low <= position(each[0]) < high)
            return itertools.islice(found, self.kept)

        key += [columns.image, columns.label]
        return self.converted(self.title, key, self.kept, samples, columns.read)

    def _named(self, columns: _Columns, made: Stored) -> tuple[Stored, list[str]]:
        """The pictures with their classes as numbers, and the classes' names."""
        if columns.names or columns.label is None:
            return made, list(columns.names)
        told = [label for _, label in self._converted(self._columns(self._splits()[0])).notes]
        if not any(isinstance(label, str) for label in told):
            return made, counted(told, self.title)
        names = sorted({str(label) for label in told})
        unknown = next((label for _, label in made.notes if str(label) not in names), None)
        if unknown is not None:
            raise BadData(f"{self.path}: no training picture is of the class {unknown!r}.")
        return made._replace(notes=[[sample, names.index(str(label))] for sample, label in made.notes]), names


@dataclass(frozen=True)
class _Columns:
    """The pictures of a split and their classes, as they lie.

    Args:
        data: the split, with these columns alone, and undecoded.
        image: the column of the pictures.
        label: the column of the classes, if there is one.
        names: of the classes, where they have some.
        square: how a picture becomes pixels.
        files: whether pictures may be files of a path.
        strict: whether a sample of no class is a bad one; else all go without labels.
    """

    data: Any
    image: str
    label: str | None
    names: tuple[str, ...]
    square: Square
    files: bool
    strict: bool

    def read(self, row: dict[str, Any]) -> tuple[Pixels, int | str | None]:
        """A sample's pixels and class."""
        value = row[self.image] or {}
        content, path = value.get("bytes"), value.get("path")
        if content is None and self.files and path is not None:
            content = Path(path).read_bytes()
        if content is None:
            raise Unreadable("it holds no bytes, and what it names is not opened")
        label = None if self.label is None else row[self.label]
        if self.strict and not (isinstance(label, int) and 0 <= label < len(self.names)):
            raise Unreadable(f"its {self.label} is {quoted(label)}, which is no class")
        with decoding(content, self.square.background, self.square.max_pixels) as picture:
            pixels = self.square.pixels(picture)
        return pixels, int(label) if isinstance(label, int) else label if isinstance(label, str) else None

    def rows(self, seed: int | None = None, epoch: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
        """The samples of a stream by name, file by file, the files in random order where there is a seed."""
        count = self.data.num_shards
        order = range(count) if seed is None else _shuffled(count, _SHARDS, seed, epoch)
        for shard in order:
            part = self.data.shard(count, int(shard)) if count > 1 else self.data
            # by batches, which the library does not share out among the workers of a loader
            rows = (
                dict(zip(some, row, strict=True)) for some in part.iter(32) for row in zip(*some.values(), strict=True)
            )
            yield from ((f"{shard}/{i}", row) for i, row in enumerate(rows))


class _Pictures(Dataset[Batch]):
    """Batches of a stream by number; numbers that grow cost no more than reading on.

    The samples of an epoch come in blocks, each shuffled in itself, by numbers that only the seed, the epoch and the
    block decide. So a batch is what its number says, whoever asks, and in whichever process.
    """

    def __init__(
        self, columns: _Columns, bounds: tuple[float, float], block: int, bad: str, jitter: int, title: str
    ) -> None:
        self.columns, self.bounds, self.block, self.bad = columns, bounds, block, bad
        self.jitter, self.title = jitter, title
        self._going: tuple[int, Iterator[Any]] | None = None
        self._at = 0

    def __getitem__(self, asked: tuple[int, Stream]) -> Batch:
        b, stream = asked
        first = (b * stream.world + stream.rank) * stream.batch_size
        if self._going is None or self._going[0] != stream.seed or self._at > first:
            self._going, self._at = (stream.seed, self._endless(stream.seed)), 0
        rows = list(itertools.islice(self._going[1], first - self._at, first - self._at + stream.batch_size))
        self._at = first + stream.batch_size
        made = list(in_threads(self._tried, rows, self.columns.square))
        good = [each for each in made if not isinstance(each, str)]
        for (name, _), each in zip(rows, made, strict=True):
            if isinstance(each, str) and (self.bad == "error" or not good):
                raise BadData(f"{self.title}: sample {name} cannot be read ({each}); repair it, or set bad=skip.")
        good = [good[k % len(good)] for k in range(len(rows))]  # the first ones again, in the place of bad ones
        images = torch.from_numpy(np.stack([pixels for pixels, _ in good]))
        labels = None if self.columns.label is None else torch.tensor([label for _, label in good])
        return Batch(varied(images, stream.draw(b), self.jitter), labels)

    def _tried(self, named: tuple[str, dict[str, Any]]) -> tuple[Pixels, Any] | str:
        name, row = named
        return attempt(lambda: self.columns.read(row), f"{self.title}: sample {name}")

    def _endless(self, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        low, high = self.bounds
        for epoch in itertools.count():
            rows = (each for each in self.columns.rows(seed, epoch) if low <= position(each[0]) < high)
            for k in itertools.count():
                block = list(itertools.islice(rows, self.block))
                if not block and not k:
                    raise BadData(f"{self.title}: the training split holds no sample.")
                yield from (block[i] for i in _shuffled(len(block), _BLOCK, seed, epoch, k))
                if len(block) < self.block:
                    break


class _Asked(Sampler[tuple[int, Stream]]):
    """The numbers of the batches from the first that the model has not started yet, without end."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[int, Stream]]:
        b, stream = self.data.progress(1)
        stream = replace(stream, n=stream.batch_size * stream.world)  # its order is not asked for, only its choices
        while True:
            yield b, stream
            b += 1


def _shuffled(count: int, *seeds: int) -> npt.NDArray[np.int64]:
    sequence = np.random.SeedSequence([seed % 2**64 for seed in seeds])
    return np.random.RandomState(np.random.MT19937(sequence)).permutation(count).astype(np.int64)
