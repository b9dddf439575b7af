"""Any data set of torchvision that holds pictures, by the name of its class: CIFAR10, CelebA, LSUN, STL10, ...

Its pictures are converted once and mapped from the disk, as `Folder`'s are.
"""

import inspect
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from ganzoo.data.batch import Images
from ganzoo.data.conversion import Pixels
from ganzoo.data.decoding import Unreadable, eight_bits
from ganzoo.data.indexed import Indexed, counted, in_order, joined
from ganzoo.data.store import Stored
from ganzoo.files import cache_folder
from ganzoo.types import BadArgument, BadData, UnknownName, letters, nearest, reason

# Where neither `train=True` nor `split="train"` is how training is asked for
_ASKED: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "INaturalist": ({"version": "2021_train"}, {"version": "2021_valid"}),
    "LSUN": ({"classes": "train"}, {"classes": "val"}),
    "Omniglot": ({"background": True}, {"background": False}),
}


class TorchVision(Indexed):
    """A data set of torchvision, whose samples are pictures; it is downloaded where it is not on the disk.

    Training and test pictures are the data set's own, or, where it has one part, a share of it. What it tells of a
    picture becomes its label where it is a class, or a vector of attributes (CelebA).

    Args:
        name: of the class in `torchvision.datasets`, such as `CIFAR10`; case, - and _ do not matter.
        root: the folder that torchvision keeps data sets in; by default one in the cache, of this data set's own.
        train: what the data set is asked for in training beside that, such as `{"split": "unlabeled"}` of STL10.
        test: the same in testing, such as `{"split": "val"}`.
        label: of several attributes, the one that divides the pictures into two classes.
        download: whether to fetch what is not there.
        **options: of all pictures; see `Pictures`.

    Raises:
        BadArgument: for a value out of range.
        UnknownName: if torchvision has no such data set; the text names the nearest.
    """

    def __init__(
        self,
        name: str,
        root: str | None = None,
        train: dict[str, Any] | None = None,
        test: dict[str, Any] | None = None,
        label: str | None = None,
        download: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(label, **options)
        self.dataset = _class(name)
        self.title = self.dataset.__name__
        self.root = cache_folder("data") / "torchvision" / self.title if root is None else Path(root).expanduser()
        self.asked = {"train": train or {}, "test": test or {}}
        self.download = download

    def read(self, split: str) -> Images:
        """Opens a split of the converted pictures, fetching and converting them first if nobody has.

        Raises:
            BadData: if the data set is not there and cannot be fetched, has no pictures, or one cannot be read and
                `bad` is `error`.
            NoSplit: if no picture falls into the split.
        """
        train, test = self._ways()
        parts = []
        for way, piece, share in self.pieces(train, test, split):
            dataset, made = self._converted(way)
            names = [each if isinstance(each, str) else each[0] for each in _names(dataset)]
            names = names or counted((told for _, told in self._converted(train)[1].notes), self.title)
            parts.append(self.cut(self.title.lower(), made, piece, share, names, self.label))
        return parts[0] if len(parts) == 1 else joined(parts, split)

    def _ways(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
        """How the data set is asked for its pictures for training, and for testing: the first way that it takes."""
        known = inspect.signature(self.dataset).parameters
        train: list[dict[str, Any]] = [{}]
        test: list[dict[str, Any]] | None = [{}] if self.asked["test"] else None
        key = next((each for each in ("split", "image_set") if each in known), None)
        if self.title in _ASKED:
            train, test = [[way] for way in _ASKED[self.title]]
        elif "train" in known:
            train, test = [{"train": True}], [{"train": False}]
        elif key is not None:
            usual = str(known[key].default)
            train = [{key: usual if usual.startswith("train") else "train"}]
            test = [{key: value} for value in ("test", "val", "valid")]
        train = [{**way, **self.asked["train"]} for way in train]
        return train, None if test is None else [{**way, **self.asked["test"]} for way in test]

    def _converted(self, ways: list[dict[str, Any]]) -> tuple[Any, Stored]:
        """The data set, asked in the first way that it takes, and its pictures in the order of their positions."""
        dataset, arguments = self._asked(ways)
        order = in_order(len(dataset))

        def read(i: int) -> tuple[Pixels, Any]:
            picture, *told = dataset[i]
            if not isinstance(picture, Image.Image):
                raise Unreadable(f"it is no picture but a {type(picture).__name__}")
            return self.square.pixels(eight_bits(picture, self.square.background)), _label(told[0] if told else None)

        key = ["torchvision", self.title, arguments, _marks(self.root)]
        return dataset, self.converted(self.title, key, len(order), lambda: ((str(i), i) for i in order), read)

    def _asked(self, ways: list[dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """The data set, and the arguments that it takes."""
        for arguments in ways:
            try:
                return self._there(arguments), arguments
            except (TypeError, ValueError) as error:  # how torchvision's classes refuse an argument
                refusal = reason(error)
        raise BadArgument(f"torchvision's {self.title} does not take {ways[-1]} ({refusal}).")

    def _there(self, arguments: dict[str, Any]) -> Any:
        """The data set as it lies in its folder, fetched if it must be."""
        _refuse_code()
        known = inspect.signature(self.dataset).parameters
        given = {"root": str(self.root), **arguments} if "root" in known else arguments
        try:
            return self.dataset(**given)
        except (TypeError, ValueError):
            raise
        except ImportError as error:
            raise BadData(f"torchvision's {self.title} needs a package ({error}); install it.") from None
        except Exception as error:  # whatever a folder that lacks files, or holds others, leads each class to
            if not (self.download and "download" in known):
                lacks = f"{self.root}: holds no {self.title} that can be read ({reason(error)})"
                raise BadData(f"{lacks}; give the folder that holds it as root.") from error
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return self.dataset(download=True, **given)
        except Exception as error:
            lacks = f"{self.root}: holds no {self.title}, and it could not be downloaded ({reason(error)})"
            raise BadData(f"{lacks}; give the folder that holds it as root.") from error


def _class(name: str) -> Any:
    from torchvision import datasets  # type: ignore[import-untyped]  # here, because it takes a second

    known = {letters(each): each for each in datasets.__all__}
    if letters(name) not in known:
        hint = nearest(name, datasets.__all__, "see torchvision's list")
        raise UnknownName(f"torchvision has no data set {name!r}{hint}")
    return getattr(datasets, known[letters(name)])


def _marks(root: Path) -> list[list[Any]]:
    """What tells that the files below a folder are the same: their names, sizes and dates."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [[str(each.relative_to(root)), (status := each.stat()).st_size, status.st_mtime_ns] for each in files]


def _label(told: Any) -> int | list[int] | None:
    """What a data set tells of a picture, if it is a class, or attributes that are 0 or 1."""
    array = np.asarray(told) if isinstance(told, (int, np.ndarray, np.integer)) or hasattr(told, "numpy") else None
    if array is None or array.ndim > 1 or not np.issubdtype(array.dtype, np.integer):
        return None
    label: int | list[int] = array.tolist()
    return label if array.ndim == 0 or {0, 1}.issuperset(label) else None  # type: ignore[arg-type]


class _Plain(pickle.Unpickler):
    """Reads lists of bytes, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _refuse_code() -> None:
    """LSUN reads a list of its keys from a pickle in the working folder, which somebody else may have put there."""
    for path in Path().glob("_cache_*"):
        try:
            with path.open("rb") as file:
                _Plain(file).load()
        except Exception as error:
            raise BadData(f"{path}: is no list of LSUN's keys ({reason(error)}); remove it.") from error


def _names(dataset: Any) -> Sequence[Any]:
    """The names of a data set's classes or attributes, in whichever of torchvision's ways it tells them."""
    for attribute in ("classes", "attr_names", "categories"):
        found = getattr(dataset, attribute, None)
        if isinstance(found, (list, tuple)):
            return found
    return ()
