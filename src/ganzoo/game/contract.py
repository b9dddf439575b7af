"""What a family and an ability write, and what a game says of itself: the facts and hooks that all else asks for."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import lightning as L
from torch import Tensor

from ganzoo.game.adaptation import Adapt, Adaptation
from ganzoo.game.engine import Absent, Engine, Player
from ganzoo.game.helpers import Helper
from ganzoo.types import BadArgument, BadData, Batch, Card, Unable

if TYPE_CHECKING:
    from PIL import Image

    from ganzoo.data.batch import Images

_MISSING = {  # what is said of a model that is asked for a method of another ability
    "sample": "draws no images of its own; {instead}",
    "translate": "does not translate images; {instead}",
    "shapes_of": "does not translate images; {instead}",
    "upscale": "does not enlarge images; {instead}",
    "upscaled_tiles": "does not enlarge images; {instead}",
    "depict": "draws nothing of captions; {instead}",
    "encode": "has no encoder",
    "reconstruct": "has no encoder",
    "classify": "has no classifier",
    "detect": "scores no anomalies",
}


class Shown(NamedTuple):
    """Pictures for a person.

    Args:
        images: `(n, C, H, W)` in [-1, 1], or points `(n, d)`.
        columns: how many stand side by side; None for a square.
    """

    images: Tensor
    columns: int | None = None


@dataclass(frozen=True)
class Program:
    """A model as one function of tensors, which another runtime can run.

    Args:
        run: maps the inputs, in their order, to images as the network gives them.
        inputs: an example of each by name, with two rows where it has a row an image.
        whole: the inputs that are the same for all images.
        stride: of which multiples an input image's sides may be; 0 for those of the example alone.
        facts: what is needed to draw the inputs, as plain JSON values.
    """

    run: Callable[..., Tensor]
    inputs: dict[str, Tensor]
    whole: tuple[str, ...] = ()
    stride: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Contract(L.LightningModule, ABC):
    """The part of a game that families and abilities write, with what follows from it; `Game` lists its attributes."""

    ability: ClassVar[str | None] = None
    instead: ClassVar[str] = ""  # what to do with a model of this ability in place of what it cannot do
    inference: tuple[str, ...] = ("generator",)  # modules that `sample`, `translate` or `encode` need
    averages: ClassVar[tuple[str, ...]] = ("generator",)  # modules that have a moving average, when there is one
    average_half_life: float | None = None  # in images, where the paper has a moving average
    tuning: ClassVar[dict[str, Any]] = {}  # arguments of a model that is trained on from another's weights
    leads: ClassVar[str] = "generator"  # the player whose updates `global_step` counts
    coupled: ClassVar[bool] = False  # whether a loss couples a batch's samples: ranks then differ from a joined batch
    retired: ClassVar[dict[str, Any]] = {}  # arguments in folders of earlier versions, at the value that still holds
    label_vectors: ClassVar[bool] = False  # whether labels may be vectors `(N, classes)` instead of class indices
    labelled: bool = False  # whether it learns from labels, so that its data have `classes` classes
    labels_optional: ClassVar[bool] = False  # whether data without labels will do all the same
    named: ClassVar[bool] = True  # whether its classes are the data's, where these have as many
    consults: ClassVar[bool] = False  # whether inference looks through its helpers too, so that `load` finds them
    augments: ClassVar[bool] = False  # whether its critic is shown augmented images by itself
    two_domains: ClassVar[bool] = False  # whether it learns from a second domain's images, the batch's targets

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    resumed_half_life: float | None = None
    arguments: dict[str, Any]
    card: Card | None = None
    provenance: dict[str, Any] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Records the constructor's arguments before it runs."""
        game = super().__new__(cls)
        bound = inspect.signature(cls).bind_partial(*args, **kwargs)
        bound.apply_defaults()
        arguments = {
            name: list(value) if isinstance(value, tuple) else value for name, value in bound.arguments.items()
        }
        object.__setattr__(game, "arguments", arguments)
        return game

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.engine = Engine()
        self.adaptation = Adaptation(Adapt())
        self.images_seen = 0
        self.batches_seen = 0

    def __getattr__(self, name: str) -> Any:
        """Says of a method of another ability that this model has not got it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in _MISSING:
                raise
        raise Unable(f"{type(self).__name__} {_MISSING[name].format(instead=self.instead)}")

    @property
    def abilities(self) -> frozenset[str]:
        """What the model can do, by the names of its abilities, such as `samples`."""
        return frozenset(name for base in type(self).__mro__ if (name := vars(base).get("ability")))

    @property
    def helpers(self) -> dict[str, Helper]:
        """The frozen networks that it looks through, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Helper)}

    # ---------------------------------------------------------------- what a family writes

    def players(self) -> dict[str, Player]:
        """The players by name, in the order of their optimizers: both, with the same `adam`, unless overridden."""
        return {name: Player(getattr(self, name), self.adam) for name in ("discriminator", "generator")}

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """The paper's algorithm for one batch: a critic move's worth of real data."""

    def train_on(self) -> None:
        """Makes a model that was trained before ready to be trained on; a family with `tuning` takes its values."""
        self.arguments.update(self.tuning)

    def finalize(self) -> None:
        """Makes ready what is measured and saved and would hold previews up, such as BigGAN's standing statistics."""

    def rank_state(self) -> dict[str, Tensor]:
        """Tensors beside parameters and buffers that this rank alone holds, such as an image pool."""
        return {}

    def load_rank_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `rank_state` gave."""

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """What a model of this family shows beside its samples, such as reconstructions; nothing unless overridden.

        Args:
            real: the opened test split; None where there is none at hand. What needs it is then left out.

        Returns:
            By name (small letters, digits and hyphens) a table of images `(rows, columns, C, H, W)` in [-1, 1].
        """
        return {}

    def check_data(self, images: Images) -> None:
        """Holds the training split against what the model learns from.

        Raises:
            BadArgument: for other shapes or another number of classes.
            BadData: for data without the labels or targets that the family needs.
        """
        title = type(self).__name__
        both = "give both the same size and channels"
        if self.two_domains and images.targets is None:
            sources = "Pairs, Unpaired, EmojiPairs or DigitEdges"
            raise BadData(f"{title} learns two domains, and {images.name} has one; give data with two: {sources}")
        if tuple(images.shape) != tuple(self.input_shape):
            raise BadArgument(
                f"the data are {tuple(images.shape)} and {title} expects {tuple(self.input_shape)}; {both}"
            )
        if self.two_domains and images.targets is not None and tuple(images.targets.shape[1:]) != tuple(self.shape):
            found = tuple(images.targets.shape[1:])
            raise BadArgument(f"the data's targets are {found} and {title} makes {tuple(self.shape)}; {both}")
        if self.labelled and images.classes is None and not self.labels_optional:
            raise BadData(f"{title} learns from labels, and {images.name} has none; give data with classes")
        if self.labelled and images.labels is not None and images.labels.ndim == 2 and not self.label_vectors:
            raise BadData(f"{title} learns from one class an image, and {images.name} has attributes; choose one label")
        if self.taught is not None and images.classes is not None and len(images.classes) != self.taught:
            n = len(images.classes)
            raise BadArgument(f"{images.name} has {n} classes and the model {self.taught}; set classes to {n}")

    @property
    def taught(self) -> int | None:
        """How many classes there are of the labels that it learns from; None where it looks at none."""
        return self.classes if self.labelled else None

    # ---------------------------------------------------------------- what an ability writes

    @property
    def latent(self) -> int:
        """Length of z; 0 for a model that draws nothing of its own."""
        return 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the images that it learns from."""
        return self.shape

    @abstractmethod
    def preview(self, real: Images | None, n: int, seed: int = 0) -> Shown:
        """What the model makes, for a person to look at.

        Args:
            real: the opened test split; None where there is none at hand.
            n: about how many pictures.
            seed: of the first.
        """

    @abstractmethod
    def program(self) -> Program:
        """What is exported to other runtimes; the keyword arguments that an ability or a family names are options."""

    @abstractmethod
    def golden(self, real: Images | None) -> Image.Image | None:
        """A small picture that a whole model makes again within two levels; None where there is none."""

    @abstractmethod
    def check_golden(self, path: Path) -> int:
        """Makes a golden picture again.

        Returns:
            The largest difference in 8-bit levels.

        Raises:
            BadModelFolder: for a file that is no such picture, or one that differs by more than two levels.
        """

    def labels_of(self, batch: Batch) -> Tensor:
        """The labels of a batch: class indices `(N,)`, or vectors where the data have some.

        Raises:
            BadData: if the data have none.
        """
        if batch.labels is None:
            raise BadData(f"{type(self).__name__} learns from labels, and the data have none; give data with classes")
        return batch.labels

    def targets_of(self, batch: Batch) -> Tensor:
        """The images of the other domain `(N, C, H, W)`, which stand at their partners' places where data are paired.

        Raises:
            BadData: if the data have none.
        """
        if batch.targets is None:
            sources = "Pairs, Unpaired, EmojiPairs or DigitEdges"
            raise BadData(f"{type(self).__name__} learns two domains, and the data have one; give {sources}")
        return batch.targets

    def networks(self) -> list[str]:
        """The names of the family's networks; a module without parameters, such as ADA's control, is none."""
        return [
            name
            for name, module in self.named_children()
            if name != "_averages" and (isinstance(module, Absent) or next(module.parameters(), None) is not None)
        ]
