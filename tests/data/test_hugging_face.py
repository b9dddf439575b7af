"""Data sets of the library `datasets`, made here as Parquet and Arrow files: mapped and streamed."""

from __future__ import annotations

import io
import itertools
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from ganzoo.data import store
from ganzoo.data.batch import Stream
from ganzoo.data.hugging_face import HuggingFace
from ganzoo.types import BadArgument, BadData, Batch, NoSplit

NAMES = ["cat", "dog", "owl"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def png(level: int, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def table(levels: Any, **columns: Any) -> Any:
    """Pictures of one grey each; their class is the rest of it by three."""
    levels = list(levels)
    given: dict[str, Any] = {
        "caption": [f"picture {level}" for level in levels],
        "img": [{"bytes": png(level), "path": None} for level in levels],
        "kind": [level % 3 for level in levels],
    }
    kinds = {"caption": datasets.Value("string"), "img": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)}
    for name, (kind, values) in columns.items():
        kinds[name], given[name] = kind, values
    return datasets.Dataset.from_dict(given, features=datasets.Features(kinds))


def parquet(folder: Path, **splits: Any) -> Path:
    """A folder as the Hub's: each split's files, training in three of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in splits.items():
        count = 3 if name == "train" and len(data) >= 3 else 1
        for k in range(count):
            data.shard(count, k).to_parquet(folder / f"{name}-{k:05d}-of-{count:05d}.parquet")
    return folder


def levels(values: Any) -> list[int]:
    return [int(v) for v in values[:, 0, 0, 0]]


def labelled(images: Any) -> bool:
    return bool(np.array_equal(images.labels, np.array(levels(images.values)) % 3)) and images.classes == tuple(NAMES)


# -------------------------------------------------------------------------------------------------------------- mapped


def test_parquet_with_a_test_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = parquet(tmp_path / "My_Set", train=table(range(60)), test=table(range(100, 105)))
    data = HuggingFace(str(root), size=8, batch_size=4)
    train, test, whole = (data.open(split) for split in ("train", "test", "all"))
    assert sorted(levels(train.values)) == list(range(60)) and labelled(train) and train.name == "my-set"
    assert sorted(levels(test.values)) == list(range(100, 105)) and labelled(test)
    assert len(whole) == 65 and labelled(whole) and (train.split, test.split, whole.split) == ("train", "test", "all")
    assert isinstance(train.values, np.memmap)
    batch = next(iter(data.train_dataloader()))
    assert batch.labels is not None and [int(v) % 3 for v in batch.images[:, 0, 0, 0]] == batch.labels.tolist()
    with monkeypatch.context() as patched:
        patched.setattr(store, "_make", lambda *_: pytest.fail("converted again"))
        assert HuggingFace(str(root), size=8).open("train").digest == train.digest
    parquet(root, test=table(range(90, 95)))
    assert sorted(levels(HuggingFace(str(root), size=8).open("test").values)) == list(range(90, 95)), "a new file"


def test_a_data_set_of_one_split_is_divided_by_share(tmp_path: Path) -> None:
    table(range(80)).to_parquet(tmp_path / "all.parquet")
    data = HuggingFace("parquet", data_files=str(tmp_path / "all.parquet"), size=8, validation=True)
    parts = {split: levels(data.open(split).values) for split in data.splits}
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == sorted(parts["all"]) == list(range(80))
    assert min(map(len, parts.values())) >= 2
    few = HuggingFace("parquet", data_files={"train": str(tmp_path / "all.parquet")}, size=8, test_share=0.0)
    with pytest.raises(NoSplit, match="parquet: none of its 80 pictures falls into the test split"):
        few.open("test")


def test_what_save_to_disk_wrote(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    table(range(10)).save_to_disk(one)
    datasets.DatasetDict({"train": table(range(6)), "validation": table(range(50, 53))}).save_to_disk(two)
    assert sorted(levels(HuggingFace(str(one), size=8).open("train").values)) == list(range(10))
    data = HuggingFace(str(two), size=8)
    assert sorted(levels(data.open("test").values)) == [50, 51, 52] and labelled(data.open("train"))
    with pytest.raises(BadArgument, match="lies on the disk as it is; leave streaming out"):
        HuggingFace(str(two), size=8, streaming=True).open("train")


def test_columns_by_name(tmp_path: Path) -> None:
    more: dict[str, tuple[Any, list[Any]]] = {
        "thumb": (datasets.Image(), [{"bytes": png(255 - level), "path": None} for level in range(12)]),
        "raw": (datasets.Value("binary"), [png(level // 2) for level in range(12)]),
        "number": (datasets.Value("int64"), [level % 4 for level in range(12)]),
        "word": (datasets.Value("string"), [("zebra", "ape")[level % 2] for level in range(12)]),
        "score": (datasets.Value("float32"), [0.5] * 12),
    }
    test = {name: (kind, values[:4]) for name, (kind, values) in more.items()}
    root = str(parquet(tmp_path / "set", train=table(range(12), **more), test=table(range(4), **test)))
    assert sorted(levels(HuggingFace(root, image="thumb", size=8).open("train").values)) == list(range(244, 256))
    assert sorted(set(levels(HuggingFace(root, image="raw", size=8).open("train").values))) == list(range(6))
    number = HuggingFace(root, label="number", size=8)
    assert number.open("train").classes == number.open("test").classes == tuple("0123")
    word = HuggingFace(root, label="word", size=8).open("test")
    assert word.classes == ("ape", "zebra") and word.labels is not None
    assert word.labels.tolist() == [1 - level % 2 for level in levels(word.values)]
    assert HuggingFace(root, label="score", size=8).open("train").labels is None
    refused: list[tuple[dict[str, Any], str]] = [
        ({"image": "pixels"}, r"image='pixels'; the columns are caption, img, kind, "),
        ({"label": "sort"}, r"label='sort'; the columns are caption, img"),
        ({"train": "trian"}, r"train='trian': the splits of .* are train, test"),
        ({"test": "val"}, r"test='val': the splits of .* are train, test"),
    ]
    for options, text in refused:
        with pytest.raises(BadArgument, match=text):
            HuggingFace(root, size=8, **options).open("train")
    plain = table(range(5)).remove_columns(["img"])
    with pytest.raises(BadArgument, match="no column holds pictures; the columns are caption, kind"):
        HuggingFace(str(parquet(tmp_path / "plain", train=plain)), size=8).open("train")


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for k in range(6):
        place = tmp_path / "train" / NAMES[k % 3] / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(k))
    data = HuggingFace(str(tmp_path), size=8)
    assert sorted(levels(data.open("train").values)) == list(range(6)) and labelled(data.open("train"))
    with pytest.raises(BadArgument, match="files of pictures are not streamed"):
        HuggingFace(str(tmp_path), size=8, streaming=True).open("train")


# ------------------------------------------------------------------------------------------------------------ strangers


def test_no_file_is_opened_because_a_data_set_names_it(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(77))
    data = table(range(3))
    data = datasets.Dataset.from_dict(
        {**data.to_dict(), "img": [{"bytes": None, "path": str(tmp_path / "secret.png")}] * 3}, features=data.features
    )
    data.cast_column("img", datasets.Image(decode=False)).to_parquet(tmp_path / "train.parquet")
    raw = datasets.Dataset.from_parquet(str(tmp_path / "train.parquet"))
    assert raw.features["img"].decode is False or isinstance(raw.features["img"], datasets.Image)
    for streaming in (False, True):
        hostile = HuggingFace("parquet", data_files=str(tmp_path / "train.parquet"), size=8, streaming=streaming)
        with pytest.raises(BadData, match="it holds no bytes, and what it names is not opened"):
            hostile.open("train")


def test_no_script_is_run_and_no_pickle_read(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    with pytest.raises(BadData, match="evil: cannot be loaded as a data set"):
        HuggingFace(str(folder), size=8).open("train")
    with pytest.raises(BadData, match=r"cannot be loaded as a data set|is read as"):
        HuggingFace(str(folder / "evil.py"), size=8).open("train")

    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(ran), "w"))

    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    for form, name in (("pandas", "x.pkl"), ("csv", "x.csv"), ("text", "x.csv"), ("json", "x.csv")):
        with pytest.raises(BadData, match=r"cannot be loaded|is read as \w+; only arrow, cache, imagefolder, parquet"):
            HuggingFace(form, data_files=str(tmp_path / name), size=8).open("train")
    assert not ran.exists()


def test_bad_samples_are_named_or_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = table(range(8)).to_dict()
    data["img"][2]["bytes"] = b"none"
    table(range(8)).from_dict(data, features=table(range(1)).features).to_parquet(tmp_path / "x.parquet")
    given: dict[str, Any] = {"data_files": str(tmp_path / "x.parquet"), "size": 8}
    with pytest.raises(
        BadData, match=r"parquet: sample 2 cannot be read \(it is no picture\); repair it, or set bad=skip"
    ):
        HuggingFace("parquet", **given).open("train")
    assert sorted(levels(HuggingFace("parquet", bad="skip", **given).open("train").values)) == [0, 1, 3, 4, 5, 6, 7]
    assert "sample 2: skipped, it is no picture" in caplog.text
    with pytest.raises(BadData, match=r"sample \d cannot be read \(.*limit of 63"):
        HuggingFace("parquet", bad="skip", max_pixels=63, **given).open("train")


def test_what_cannot_be_loaded_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    for path, files in (("parquet", str(tmp_path / "x.parquet")), (str(tmp_path / "absent"), None)):
        with pytest.raises(BadData, match="cannot be loaded as a data set") as caught:
            HuggingFace(path, data_files=files, size=8).open("train")
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(BadData, match=r"HuggingFace needs the package datasets \(.*\); pip install datasets"):
        HuggingFace("x/y").open("train")
    for name in ("kept", "shuffle"):
        with pytest.raises(BadArgument, match=f"{name} is 0"):
            HuggingFace("x/y", **{name: 0})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- streamed


class Going(HuggingFace):
    """A run at batch `b`, rank `rank` of `world`."""

    b, rank, world, seed = 0, 0, 1, 7

    def progress(self, n: int, partners: int | None = None) -> tuple[int, Stream]:
        return self.b, Stream(n, self.batch_size, self.seed, self.rank, self.world, self.flip, self.jitter)


def going(root: Path, b: int = 0, rank: int = 0, world: int = 1, seed: int = 7, **options: Any) -> Going:
    data = Going(str(root), **{"size": 8, "streaming": True, "batch_size": 4, "shuffle": 16, **options})
    data.b, data.rank, data.world, data.seed = b, rank, world, seed
    return data


def take(data: HuggingFace, n: int) -> list[Batch]:
    return list(itertools.islice(iter(data.train_dataloader()), n))


def order(batches: list[Batch]) -> list[int]:
    return [int(level) for batch in batches for level in batch.images[:, 0, 0, 0]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parquet(tmp_path_factory.mktemp("stream") / "set", train=table(range(60)), test=table(range(100, 105)))


def test_an_epoch_of_a_stream_holds_every_sample_once_in_an_order_of_its_own(root: Path) -> None:
    seen = order(take(going(root), 45))
    epochs = [seen[:60], seen[60:120], seen[120:]]
    assert all(sorted(epoch) == list(range(60)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != sorted(epochs[0])
    files = [level // 20 for level in epochs[0]]
    assert [k for k, _ in itertools.groupby(sorted(set(files), key=files.index))] != [] and len(set(files)) == 3
    assert order(take(going(root, seed=8), 15)) != epochs[0]
    assert order(take(going(root), 15)) == epochs[0], "the same in every process"


def test_labels_come_with_their_pictures(root: Path) -> None:
    for batch in take(going(root), 20):
        assert batch.labels is not None and batch.images.dtype == torch.uint8 and batch.images.shape == (4, 3, 8, 8)
        assert [int(v) % 3 for v in batch.images[:, 0, 0, 0]] == batch.labels.tolist()


@pytest.mark.parametrize("start", [1, 7, 16, 31])
def test_a_stream_goes_on_where_it_stopped(root: Path, start: int) -> None:
    whole = take(going(root, flip=True), 36)
    rest = take(going(root, b=start, flip=True), 36 - start)
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole[start:], rest, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_of_a_stream_see_what_one_process_would(root: Path, world: int) -> None:
    alone = order(take(going(root, batch_size=2 * world), 20))
    ranks = [take(going(root, rank=rank, world=world, batch_size=2), 20) for rank in range(world)]
    together = [level for parts in zip(*ranks, strict=True) for level in order(list(parts))]
    assert together == alone


def test_workers_of_a_stream_give_the_same_batches(root: Path) -> None:
    assert order(take(going(root, workers=2), 20)) == order(take(going(root), 20))


def test_a_stream_without_a_test_split_keeps_the_same_pictures_as_if_it_were_mapped(tmp_path: Path) -> None:
    only = parquet(tmp_path / "only", train=table(range(90)))
    data = going(only, validation=True, batch_size=5)
    parts = {split: levels(data.open(split).values) for split in data.splits}
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == list(range(90)) == sorted(parts["all"])
    assert min(map(len, parts.values())) >= 2 and data.open("test").split == "test" and labelled(data.open("test"))
    n = len(parts["train"])
    assert sorted(set(order(take(data, 2 * n)))) == sorted(parts["train"]), "training sees no other"
    assert len(going(only, kept=5).open("train")) == 5, "the first ones stand for all"


def test_a_bad_sample_of_a_stream(tmp_path: Path) -> None:
    data = table(range(8)).to_dict()
    data["img"][5]["bytes"] = b"none"
    bad = parquet(tmp_path / "bad", train=datasets.Dataset.from_dict(data, features=table(range(1)).features))
    with pytest.raises(BadData, match=r"bad: sample \d/\d cannot be read \(it is no picture\)"):
        take(going(bad, test_share=0.0), 2)
    seen = order(take(going(bad, test_share=0.0, bad="skip"), 20))
    assert len(seen) == 80 and set(seen) == {0, 1, 2, 3, 4, 6, 7}
    empty = parquet(tmp_path / "empty", train=table(range(3)), test=table(range(3)).select([]))
    assert len(order(take(going(empty, batch_size=7), 2))) == 14, "a batch larger than the data"


@pytest.mark.parametrize("label", [None, -1])
def test_a_sample_of_a_stream_without_a_class_is_a_bad_one(tmp_path: Path, label: int | None) -> None:
    kinds = (datasets.ClassLabel(names=NAMES), [0, 1, 2, 0, 1, label, 0, 1])
    some = parquet(tmp_path / "some", train=table(range(8), kind=kinds), test=table(range(8), kind=kinds))
    with pytest.raises(BadData, match=rf"some: sample \d/\d cannot be read \(its kind is {label}, which is no class\)"):
        take(going(some), 2)
    batches = take(going(some, bad="skip"), 20)
    assert set(order(batches)) == {0, 1, 2, 3, 4, 6, 7}
    assert all(batch.labels is not None and batch.labels.min() >= 0 for batch in batches)
    assert len(going(some, bad="skip").open("train")) == 7
    assert going(some).open("test").labels is None, "as those of a test split that tells none"


def test_a_stream_needs_names_for_its_classes(tmp_path: Path) -> None:
    numbers = {"number": (datasets.Value("int64"), [1] * 9)}
    some = parquet(tmp_path / "some", train=table(range(9), **numbers))
    with pytest.raises(BadArgument, match="label='number': a stream does not tell how many classes there are"):
        going(some, label="number").open("train")
    unnamed = parquet(tmp_path / "unnamed", train=table(range(9)).remove_columns(["kind"]))
    assert take(going(unnamed), 1)[0].labels is None and going(unnamed).open("train").labels is None
