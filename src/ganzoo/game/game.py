"""The game: several players, one verb.

A family subclasses `Game` and writes its paper's Algorithm 1 in `training_step` with `self.move(player, loss, batch)`.
What is the same for every paper is here: whose parameters learn, backpropagation and its reduction over ranks, the
guard against non-finite gradients, the step, the generator's moving average and the counters. What papers differ in
(n_critic, lazy penalties, unrolling, balance) is not. What a model can do, such as sampling, is an ability.
"""

from __future__ import annotations

import inspect
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.data.batch import Data
from ganzoo.game import strategy as _strategy  # noqa: F401  # registers `ddp_game` with Lightning
from ganzoo.game.adaptation import Adapt, Adaptation, adapt
from ganzoo.game.engine import Absent, Engine, MovingAverage, Player, begin_stream, stream_seed
from ganzoo.game.helpers import Helper
from ganzoo.media.medium import medium_of
from ganzoo.nn.low_rank import merged
from ganzoo.objectives.penalties import eager
from ganzoo.types import BadArgument, BadData, Batch, Card, TrainingStopped, Unable, check_strict

if TYPE_CHECKING:
    from PIL import Image

    from ganzoo.data.batch import Images

_Buffer = tuple[dict[str, Tensor | None], str, Tensor]  # the buffers of a module, the name of one, and its copy
_SAMPLING = threading.RLock()  # modes of shared modules are switched while a model samples
_MISSING = {  # what is said of a model that is asked for a method of another ability
    "sample": "draws no images of its own; {instead}",
    "translate": "does not translate images; {instead}",
    "shapes_of": "does not translate images; {instead}",
    "upscale": "does not enlarge images; {instead}",
    "upscaled_tiles": "does not enlarge images; {instead}",
    "depict": "draws nothing of captions; {instead}",
    "encode": "has no encoder",
    "classify": "has no classifier",
    "detect": "scores no anomalies",
}
_PATIENCE = 20  # moves of one player with non-finite gradients, in a row, after which a run stops


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


@dataclass
class _State:
    """A player while training: its optimizer, and the parameters it moves and does not."""

    player: Player
    parameters: list[nn.Parameter]
    others: list[nn.Parameter]
    optimizer: Any = None  # Lightning's wrapper, set at the first move
    begun: bool = False  # whether it has stepped since training began
    skipped: Tensor = field(default_factory=lambda: torch.zeros(()))  # moves with non-finite gradients, in all,
    streak: Tensor = field(default_factory=lambda: torch.zeros(()))  # in a row until now,
    worst: Tensor = field(default_factory=lambda: torch.zeros(()))  # and in the longest row


class Game(L.LightningModule, ABC):
    """The base class of every family.

    A family sets, in `__init__`, its networks (named as in its paper), `shape` and, where it has one, `classes`.

    Attributes:
        engine: the options of a run that the paper is not about.
        adaptation: what is done beside the paper's algorithm, and what that remembers.
        images_seen: real images that all ranks have seen; schedules follow it.
        batches_seen: batches begun; `turn`, the random streams and the sampler follow it.
        shape: `(C, H, W)` of an image that the model makes, or `(d,)` of a point.
        classes: number of classes of a conditional family; None otherwise.
        class_names: of the classes, where the data has some.
        arguments: the arguments of the constructor, resolved, as plain JSON values.
        resumed_half_life: of the moving average that came with a loaded model, in images; None for a fresh model.
        card, provenance: what a loaded model is and where it came from; None for a fresh one.
    """

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
    augments: ClassVar[bool] = False  # whether its critic is shown augmented images by itself
    two_domains: ClassVar[bool] = False  # whether it learns from a second domain's images, the batch's targets

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    resumed_half_life: float | None = None
    arguments: dict[str, Any]
    card: Card | None = None
    provenance: dict[str, Any] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Game:
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
        self.latest: dict[str, float] = {}  # the last line of the log,
        self.latest_step = 0  # and its step
        self.speeds: list[float] = []  # images a second, of each line of the log
        self._averages = nn.ModuleDict()
        self._states: dict[str, _State] = {}
        self._live_buffers: list[dict[str, Tensor | None]] = []  # the buffers of the live networks' modules, by name
        self._moves = 0
        self._begun: dict[str, list[Tensor]] = {}  # parameters of who moved in this batch, as they were before
        self._averaged_at = 0
        self._slices = 1  # of a move, since there was not the memory for fewer
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._logged = (0, 0, time.monotonic())  # global_step, images_seen and time of the last line

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

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """The players by name; their order is that of the optimizers."""

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

    # ---------------------------------------------------------------- the verb

    def move(self, player: str, loss: Callable[..., Tensor], *args: Any, counts: bool = True) -> None:
        """One move: only this player's parameters learn.

        Args:
            player: the player's name.
            loss: computes the scalar that the player minimises.
            *args: handed to `loss`; batches and tensors are divided into slices where gradients are accumulated.
            counts: whether the move is an update; a lazy penalty's is not.

        Raises:
            TrainingStopped: after 20 moves of the player with non-finite gradients in a row.
            BadArgument: where the generator is to step again on fakes that it shares with another move.
        """
        steps = self.engine.generator_steps if counts and player == self.leads else 1
        if steps > 1 and any(getattr(arg, "grad_fn", None) is not None for arg in args):
            raise BadArgument(
                f"engine.generator_steps is {steps}, and {type(self).__name__} makes its fakes once for both players; "
                "set it to 1, or `reuse` to false where the family has it"
            )
        for _ in range(steps):
            self._update(player, loss, args, counts)

    def _update(self, player: str, loss: Callable[..., Tensor], args: tuple[Any, ...], counts: bool) -> None:
        state = self._state_of(player)
        optimizer = state.optimizer.optimizer
        self._moves += 1
        self._begin_stream()
        self._set_rate(state, optimizer)
        optimizer.zero_grad(set_to_none=True)
        before = self._buffer_copies()
        if self.engine.simultaneous and player not in self._begun:
            self._begun[player] = [parameter.detach().clone() for parameter in state.parameters]
        with _only(state.others), self._as_begun(player):
            value = self._backward(loss, args) if not self.engine.shrink else self._within_memory(loss, args, before)
        reduce = getattr(self.trainer.strategy, "reduce_gradients", None)
        if reduce is not None:
            reduce(state.parameters)
        bad = self._step(state, optimizer, counts and player == self.leads)
        self._restore_buffers(before, bad)
        self.record(**{getattr(loss, "__name__", f"{player}_loss"): value})
        if counts and player == self.leads:
            self._update_averages()

    def ahead(self, make: Callable[..., Tensor], *args: Any) -> Tensor:
        """Makes what several moves share, such as fakes for both players, with every player's parameters alive.

        A move that is to stop there is given it detached. One other is given it as it is, and learns through it.

        Args:
            make: makes it.
            *args: handed to `make`, whole even where gradients are accumulated.
        """
        self._moves += 1
        self._begin_stream()
        before = self._buffer_copies()
        with self._as_begun():
            made = make(*args)
        self._restore_buffers(before, (~torch.isfinite(made.detach()).all()).float())
        return made

    @contextmanager
    def _as_begun(self, mover: str | None = None) -> Iterator[None]:
        """Where players move simultaneously: those that moved already, all but `mover`, stand where the batch began."""
        moved = [
            (parameter, begun, parameter.data)
            for name, values in self._begun.items()
            if name != mover
            for parameter, begun in zip(self._states[name].parameters, values, strict=True)
        ]
        for parameter, begun, _ in moved:
            parameter.data = begun
        try:
            yield
        finally:
            for parameter, _, now in moved:
                parameter.data = now

    def _buffer_copies(self) -> list[_Buffer]:
        """The statistics as they are: a forward pass may change those of every network, not of the player's alone."""
        return [(held, k, b.clone()) for held in self._live_buffers for k, b in held.items() if b is not None]

    def _begin_stream(self) -> None:
        """Seeds what comes next in this batch from where it stands in the run."""
        place = (self.batches_seen, self._moves, self.global_rank)
        begin_stream(stream_seed(self.engine.seed, *place, self.engine.offset), self.device)

    def turn(self, every: int) -> bool:
        """Whether this batch is the last of a group of `every`: the generator's turn, or a lazy penalty's."""
        return self.batches_seen % every == 0

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

    def record(self, **values: Tensor) -> None:
        """Notes scalars for the log, which holds their mean since its last line."""
        for name, value in values.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _within_memory(self, loss: Callable[..., Tensor], args: tuple[Any, ...], before: list[_Buffer]) -> Tensor:
        """Backpropagates; where any rank has not the memory, all begin the move again in twice as many slices.

        Raises:
            TrainingStopped: where single samples are too large.
        """
        sums, counts = dict(self._sums), dict(self._counts)
        lists = {name: [*value] for name, value in vars(self).items() if isinstance(value, list)}
        kept = {name: buffer.clone() for name, buffer in self.adaptation.named_buffers()}
        while True:
            value = None
            with suppress(torch.cuda.OutOfMemoryError):  # outside of it the failed attempt's tensors are let go
                value = self._backward(loss, args)
            if not self.trainer.strategy.reduce_boolean_decision(value is None, all=False):
                assert value is not None
                return value
            most = next((len(arg) for arg in args if _divisible(arg)), 1)
            slices = max(self.engine.accumulate, self._slices)
            if slices >= most:
                raise TrainingStopped(f"the device has not the memory for single samples at step {self.global_step}")
            self._slices = 2 * slices
            value, self._sums, self._counts = None, dict(sums), dict(counts)
            vars(self).update({name: [*entries] for name, entries in lists.items()})
            for name, buffer in self.adaptation.named_buffers():
                buffer.copy_(kept[name])
            self._restore_buffers(before, torch.ones((), device=self.device))
            for parameter in self.parameters():
                parameter.grad = None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._begin_stream()

    def _backward(self, loss: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
        """Backpropagates the loss of each slice, weighted by its share; gives the loss of the whole."""
        lengths = [len(a) for a in args if _divisible(a)] or [1]
        length, slices = lengths[0], min(max(self.engine.accumulate, self._slices), lengths[0])
        if slices > 1 and len(set(lengths)) > 1:
            raise BadArgument(
                f"gradients cannot be accumulated over arguments of lengths {lengths}; give them one length"
            )
        if slices == 1 and not self.engine.shrink:
            value = loss(*args)
            self.manual_backward(value)
            return value.detach()
        # What was made ahead has one graph, which the gradients of all slices go through together, after the last
        leaves = {i: a.detach().requires_grad_() for i, a in enumerate(args) if getattr(a, "grad_fn", None) is not None}
        bounds = [round(i * length / slices) for i in range(slices + 1)]
        total = torch.zeros((), device=self.device)
        for start, stop in itertools.pairwise(bounds):
            part = loss(*(_part(leaves.get(i, a), start, stop) for i, a in enumerate(args)))
            share = (stop - start) / length
            self.manual_backward(part * share)
            total = total + part.detach() * share
        if leaves:
            torch.autograd.backward([args[i] for i in leaves], [leaf.grad for leaf in leaves.values()])
        return total

    def _step(self, state: _State, optimizer: torch.optim.Optimizer, leads: bool) -> Tensor:
        """Unscales, guards, clips and steps; gives 1 where the gradients were not finite, and nothing was changed."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        learning = [parameter for parameter in state.parameters if parameter.grad is not None]
        if scaler is not None and learning:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])
        bad = (~torch.isfinite(norm)).float().to(self.device)
        if self.engine.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(learning, self.engine.clip, norm)
        if leads:
            # Lightning counts every step of every optimizer (Lightning #17958); only the leader's steps run these hooks
            state.optimizer._on_before_step()
        if scaler is not None and learning:
            scaler.step(optimizer)
            scaler.update()
        elif optimizer.param_groups[0].get("fused") and state.begun:
            optimizer.found_inf = bad  # type: ignore[attr-defined]  # a fused step with this set changes nothing
            optimizer.step()
        elif not bad:  # the host waits for the device here: an optimizer without a fused form has no other way, and
            optimizer.step()  # a skipped first step would leave fused SGD's momentum uninitialised
            state.begun = True
        if leads:
            state.optimizer._on_after_step()
        self._count_bad(state, bad, scaler)
        return bad

    def _count_bad(self, state: _State, bad: Tensor, scaler: Any) -> None:
        """Counts skipped moves on the device and looks at the counts rarely, because a look makes the host wait."""
        look = self._at_hand or self.batches_seen % self.engine.log_every == 0
        if scaler is not None:  # a scaler skips steps to find its scale; only one that found none is a failure
            if look and scaler.get_scale() < 1:
                raise TrainingStopped(
                    f"the loss scale of 16-bit training fell to {scaler.get_scale():.1e}: gradients are not finite at "
                    "any scale; lower the learning rate, or train in bf16-mixed or 32"
                )
            return
        if self._at_hand and not bad and not state.streak:
            return
        for name in ("skipped", "streak", "worst"):
            setattr(state, name, getattr(state, name).to(self.device))
        state.skipped = state.skipped + bad
        state.streak = (state.streak + bad) * bad
        state.worst = torch.maximum(state.worst, state.streak)
        if look and state.worst >= _PATIENCE:
            name = next(name for name, other in self._states.items() if other is state)
            raise TrainingStopped(
                f"the {name}'s gradients were not finite in {_PATIENCE} moves in a row, at step {self.global_step}; "
                "lower the learning rate or set engine.clip, and go on from the last checkpoint"
            )

    @property
    def _at_hand(self) -> bool:
        """Whether a tensor's value can be read without waiting for a device."""
        return self.device.type == "cpu"

    @torch.no_grad()
    def _restore_buffers(self, copies: list[_Buffer], bad: Tensor) -> None:
        """Puts back statistics that something not finite may have spoiled."""
        if self._at_hand and not bad:
            return
        for held, key, before in copies:
            now = held[key]
            assert now is not None
            # Past autograd's check for changes in place: batch normalization keeps its running statistics in the graph
            # of what was made ahead, though in training its gradient is that of the batch's own
            now.data.copy_(torch.where(bad > 0, before, now))

    def _set_rate(self, state: _State, optimizer: torch.optim.Optimizer) -> None:
        factor = self.engine.rate(self.images_seen)
        if state.player.schedule is not None:
            factor *= state.player.schedule(self.images_seen)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        """A player's optimizer, for algorithms that look ahead through its steps."""
        return self._state_of(player).optimizer.optimizer

    def _state_of(self, player: str) -> _State:
        if not self._states:
            self._list_players()
        try:
            state = self._states[player]
        except KeyError:
            raise BadArgument(f"there is no player {player!r}; the players are {', '.join(self._states)}") from None
        if state.optimizer is None:
            optimizers = self.optimizers()
            listed = optimizers if isinstance(optimizers, list) else [optimizers]
            for other, optimizer in zip(self._states.values(), listed, strict=True):
                other.optimizer = optimizer
        return state

    def _list_players(self) -> None:
        """Lists each player's parameters, and those that rest while it moves."""
        players = self.players()
        owned = {name: player.parameters() for name, player in players.items()}
        everyone = [parameter for parameters in owned.values() for parameter in parameters]
        if len({id(parameter) for parameter in everyone}) != len(everyone):
            raise BadArgument(f"{type(self).__name__}: a parameter belongs to two players")
        for name, player in players.items():
            mine = {id(parameter) for parameter in owned[name]}
            self._states[name] = _State(player, owned[name], [p for p in everyone if id(p) not in mine])

    # ---------------------------------------------------------------- the moving average

    def average_module(self, name: str) -> nn.Module:
        """The moving average of a module, or the module itself where there is none."""
        if name in self._averages:
            average = self._averages[name]
            assert isinstance(average, MovingAverage)
            return average.module
        return getattr(self, name)

    @property
    def averaged(self) -> Any:
        """The generator that samples are drawn from: its moving average, or itself where there is none."""
        return self.average_module("generator")

    @property
    def half_life(self) -> float | None:
        """Of the moving average, in images; None where there is none."""
        chosen = self.engine.average
        return (self.average_half_life or self.resumed_half_life) if chosen == "paper" else chosen

    def ramped(self, half_life: float) -> float:
        """The half-life by now, on its way to `half_life`; a family whose paper has another way overrides it."""
        rampup = self.engine.rampup_of(trained=self.resumed_half_life is not None)
        return half_life if rampup is None else min(half_life, self.images_seen * rampup)

    def start_averages(self) -> None:
        """Begins the moving averages, where there are any and they have not begun."""
        for name in self.averages if self.half_life is not None else ():
            if name not in self._averages:
                self._averages[name] = MovingAverage(getattr(self, name))

    def _update_averages(self) -> None:
        if not self._averages or self.half_life is None:
            return
        half_life = self.ramped(self.half_life)
        images, self._averaged_at = self.images_seen - self._averaged_at, self.images_seen
        beta = 0.5 ** (images / max(half_life, 1e-8))
        for name, average in self._averages.items():
            assert isinstance(average, MovingAverage)
            average.update(getattr(self, name), beta)

    # ---------------------------------------------------------------- adapting

    def adapt_to(self, options: Adapt) -> None:
        """Takes the options of `adapt`, once, after the weights to start from and before training.

        Raises:
            BadArgument: naming the option and what the family lacks for it; nothing is changed then.
        """
        adapt(self, options)
        self.adaptation = Adaptation(options, self.shape[0])

    def seen(self, images: Tensor) -> Tensor:
        """What a critic is shown in place of images `(N, C, H, W)`: augmented where `adapt` says so."""
        return self.adaptation.seen(images)

    # ---------------------------------------------------------------- Lightning's hooks

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Game:
        """Moves the tensors; where that fails, such as on a machine without the device, the model stays usable."""
        try:
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        except Exception:
            own = next(self.parameters())
            self._device, self._dtype = own.device, own.dtype  # Lightning notes the new ones before it moves there
            raise

    def setup(self, stage: str) -> None:
        """Lays the networks out in memory and begins the moving averages, before a checkpoint is restored."""
        if stage != "fit":
            return
        if type(self.trainer.strategy) is DDPStrategy and not self.trainer.strategy._ddp_kwargs.get(
            "find_unused_parameters"
        ):
            raise BadArgument("Lightning's ddp fails on several players; give the Trainer strategy='ddp_game'")
        if self.engine.shrink and (self.coupled or any(isinstance(m, _BatchNorm) for m in self.modules())):
            raise BadArgument(
                f"engine.shrink: {type(self).__name__}'s layers look at a batch as a whole, which slices would change; "
                "lower the batch size"
            )
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, Data):
            self.check_data(data.open("train"))
            names = data.open("train").classes
            self.class_names = names if self.named and names is not None and len(names) == self.classes else None
        if self.engine.channels_last:
            for name in self.networks():
                getattr(self, name).to(memory_format=torch.channels_last)
        self.start_averages()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimizer a player, in its fused form where there is one."""
        skipped = {name: state.skipped for name, state in self._states.items()}  # of a checkpoint restored already
        self._states = {}
        self._list_players()
        optimizers = []
        for name, state in self._states.items():
            state.skipped = skipped.get(name, state.skipped)
            make = state.player.optimizer
            option = inspect.signature(make).parameters.get("fused")
            optimizer = make(state.parameters, **({"fused": True} if option and option.default is None else {}))
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            optimizers.append(optimizer)
        return optimizers

    def on_fit_start(self) -> None:
        """Trains in training mode, with its helpers at hand, and compiles the players' modules where it is said so."""
        for helper in self.helpers.values():
            helper.network.to(self.device)
        for name in self.networks():  # Lightning keeps the mode of a model that was loaded to sample
            getattr(self, name).train()
        modules = [module for name in self.networks() for module in getattr(self, name).modules()]
        self._live_buffers = [module._buffers for module in modules if module._buffers]
        if self.engine.compile:
            guards = torch._dynamo.config
            if hasattr(guards, "skip_tensor_guards_with_matching_dict_tags"):
                # torch 2.11 overlooked that a move switches parameters off and on, and ran the graph without gradients
                guards.skip_tensor_guards_with_matching_dict_tags = False
            options = {"backend": self.engine.compile} if isinstance(self.engine.compile, str) else {}
            for name in self.networks():
                getattr(self, name).compile(**options)

    def on_train_start(self) -> None:
        """Lays restored optimizer states out like their parameters, because fused steps walk them side by side."""
        self._logged = (self.global_step, self.images_seen, time.monotonic())
        for optimizer in self.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Holds a batch's labels against the classes where no device must be waited for: on the CPU, and at first.

        Raises:
            BadArgument: for labels of another shape, or of classes that there are not.
        """
        labels, classes = batch.labels if isinstance(batch, Batch) else None, self.taught
        if classes is None or labels is None or not (labels.device.type == "cpu" or self.batches_seen == 0):
            return batch
        n, least = len(batch), 0 if self.labelled else -1  # which is no label
        vectors = self.labelled and self.label_vectors and labels.dim() == 2
        if tuple(labels.shape) != ((n, classes) if vectors else (n,)) or (labels.is_floating_point() and not vectors):
            raise BadArgument(
                f"the data's labels are {tuple(labels.shape)} of {str(labels.dtype).removeprefix('torch.')}; class "
                f"indices ({n},) are expected"
            )
        if n and not vectors and not (least <= int(labels.min()) and int(labels.max()) < classes):
            found = int(labels.max() if int(labels.min()) >= least else labels.min())
            raise BadArgument(
                f"the data have a label {found}, and {type(self).__name__} has {classes} classes, 0 to {classes - 1}; "
                "set classes, or number the labels from 0 on"
            )
        return batch

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Counts the batch and begins its random stream.

        Raises:
            BadArgument: for a batch that is no `Batch`, or whose images are not those that the model learns from.
        """
        if not isinstance(batch, Batch):
            raise BadArgument(
                f"{type(self).__name__} is trained on ganzoo.types.Batch, and the data gave a {type(batch).__name__}; "
                "give a source of ganzoo.data, or a loader of Batch(images, labels)"
            )
        if tuple(batch.images.shape[1:]) != tuple(self.input_shape):
            found, wanted = tuple(batch.images.shape[1:]), tuple(self.input_shape)
            raise BadArgument(
                f"the data are {found} and {type(self).__name__} expects {wanted}; give both the same size"
            )
        self.batches_seen += 1
        self.images_seen += len(batch.images) * self.trainer.world_size
        self._moves = 0
        self._begun = {}
        self._begin_stream()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Writes a line of the log at the multiples of `log_every` generator updates."""
        if self.adaptation.options.augment is not None and not self.adaptation.shown:
            raise BadArgument(
                f"adapt.augment: {type(self).__name__} shows its critic no `self.seen(images)`; leave it out"
            )
        if self.adaptation.options.adjusts and self.turn(every=4):
            control = self.adaptation.control
            control.adjust(partial(self.trainer.strategy.reduce, reduce_op="sum"))
            self.record(augment_p=control.p, overfitting=control.r_t)
        if self.global_step // self.engine.log_every > self._logged[0] // self.engine.log_every:
            self.write_log()

    def write_log(self) -> None:
        """Writes the means of what was recorded since the last line to every logger."""
        names = sorted(self._sums)
        if not names or self.global_step == self._logged[0]:
            return
        means = torch.stack([self._sums[name].to(self.device) / self._counts[name] for name in names])
        means = self.trainer.strategy.reduce(means, reduce_op="mean")
        _, images, then = self._logged
        now = time.monotonic()
        self.latest = dict(zip(names, means.tolist(), strict=True))
        self.latest_step = self.global_step
        self.latest["images_seen"] = self.images_seen
        self.latest["batches_seen"] = self.batches_seen
        self.latest["images_per_second"] = (self.images_seen - images) / max(now - then, 1e-9)
        self.speeds.append(self.latest["images_per_second"])
        for name, state in self._states.items():
            if state.skipped > 0:
                self.latest[f"{name}_skipped"] = float(state.skipped)
        if self._slices > 1:
            self.latest["slices"] = self._slices
        for logger in self.trainer.loggers:
            logger.log_metrics(self.latest, step=self.global_step)
        self._sums, self._counts, self._logged = {}, {}, (self.global_step, self.images_seen, now)

    def forget(self) -> None:
        """Forgets what was not logged yet, and what a failed attempt counted, before another one begins."""
        self._states, self._sums, self._counts = {}, {}, {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the counters, the statistics' mean over the ranks, and what each rank holds of its own."""
        if _is_plain(self.arguments):  # Lightning's own load_from_checkpoint makes the game of them
            checkpoint["hyper_parameters"] = self.arguments
        mine: dict[str, Any] = {"state": {key: value.cpu() for key, value in self.rank_state().items()}}
        if self.trainer.world_size > 1:
            mine["buffers"] = {name: buffer.cpu() for name, buffer in self.named_buffers()}
        ranks: list[Any] = [mine]
        if self.trainer.world_size > 1:
            ranks = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(ranks, mine)
            for name, buffer in self.named_buffers():
                if buffer.is_floating_point() and name in checkpoint["state_dict"]:
                    mean = torch.stack([rank["buffers"][name] for rank in ranks]).mean(0)
                    checkpoint["state_dict"][name] = mean.to(buffer.device)
        checkpoint["ganzoo"] = {
            "images_seen": self.images_seen,
            "batches_seen": self.batches_seen,
            "averaged_at": self._averaged_at,
            "slices": self._slices,
            "resumed_half_life": self.resumed_half_life,
            "skipped": {name: int(state.skipped) for name, state in self._states.items()},
            "ranks": ranks,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the counters back, and what this rank held where the number of ranks is the same."""
        for name in {key.split(".")[1] for key in checkpoint["state_dict"] if key.startswith("_averages.")}:
            if name in self.averages and name not in self._averages:
                self._averages[name] = MovingAverage(getattr(self, name))
        found, wanted = (
            {k: tuple(v.shape) for k, v in t.items()} for t in (checkpoint["state_dict"], self.state_dict())
        )
        check_strict(found, wanted, "the checkpoint")
        saved = checkpoint["ganzoo"]
        self.images_seen, self.batches_seen = saved["images_seen"], saved["batches_seen"]
        self._averaged_at, self._slices = saved["averaged_at"], saved.get("slices", 1)
        if not self._states:
            self._list_players()
        for name, count in saved["skipped"].items():
            self._states[name].skipped = torch.tensor(float(count))
        self.resumed_half_life = saved.get("resumed_half_life")
        ranks = saved["ranks"]
        rank, world = (0, 1) if self._trainer is None else (self.global_rank, self.trainer.world_size)
        mine = ranks[rank % len(ranks)]
        self.load_rank_state(mine["state"])
        if len(ranks) == world:
            checkpoint["state_dict"].update(mine.get("buffers", {}))

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        """The statistics' mean over the ranks stands in for each rank's own while pictures and files are made."""
        if self._trainer is None or self.trainer.world_size == 1:
            yield
            return
        buffers = [buffer for buffer in self.buffers() if buffer.is_floating_point()]
        own = [buffer.clone() for buffer in buffers]
        for buffer in buffers:
            torch.distributed.all_reduce(buffer)
            buffer.div_(self.trainer.world_size)
        try:
            yield
        finally:
            for buffer, before in zip(buffers, own, strict=True):
                buffer.copy_(before)

    # ---------------------------------------------------------------- inference

    @property
    def _precision(self) -> torch.dtype | None:
        """Of the weights that inference uses."""
        return next((p.dtype for name in self.inference for p in self.average_module(name).parameters()), None)

    def limit(self, images: Tensor) -> Tensor:
        """Clamps images to [-1, 1]; points are left as they are."""
        return medium_of(self.shape).limit(images)

    @contextmanager
    def inferring(self) -> Iterator[None]:
        """No gradients, evaluation mode for what inference needs, and float32 without TF32."""
        with _SAMPLING:  # one at a time, from however many threads
            modules = [module for name in self.inference for module in self.average_module(name).modules()]
            modes = [module.training for module in modules]
            for module in modules:
                module.training = False
            try:
                # Eagerly: a compiled network would be compiled again for this, and differ from a loaded one's pixels
                with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False), eager():
                    yield
            finally:
                for module, mode in zip(modules, modes, strict=True):
                    module.training = mode

    def each(self, network: Callable[[Tensor], Tensor], images: Tensor, batch_size: int) -> Tensor:
        """What a network says of images `(n, C, H, W)` in [-1, 1], batch by batch, as float32 on the CPU.

        Raises:
            BadArgument: for images of another shape than the model's.
        """
        if tuple(images.shape[1:]) != tuple(self.input_shape) or not len(images):
            raise BadArgument(f"images have shape {tuple(images.shape)}; (n, *{tuple(self.input_shape)}) is expected")
        with self.inferring():
            parts = images.to(self.device, self._precision).split(batch_size)
            return torch.cat([network(part).float().cpu() for part in parts])

    # ---------------------------------------------------------------- tensors of the model folder

    def inference_tensors(self) -> dict[str, Tensor]:
        """What `model.safetensors` holds: averages where there are any, with adapters merged."""
        return {f"{n}.{k}": v for n in self.inference for k, v in merged(self.average_module(n)).items()}

    def player_tensors(self) -> dict[str, Tensor]:
        """What `players.safetensors` holds: every network, live, with adapters merged."""
        return {f"{n}.{k}": v for n in self.networks() for k, v in merged(getattr(self, n)).items()}

    def networks(self) -> list[str]:
        """The names of the family's networks; a module without parameters, such as ADA's control, is none."""
        return [
            name
            for name, module in self.named_children()
            if name != "_averages" and (isinstance(module, Absent) or next(module.parameters(), None) is not None)
        ]


@contextmanager
def _only(resting: list[nn.Parameter]) -> Iterator[None]:
    """Switches parameters off while another player moves; those that a user froze stay frozen afterwards."""
    paused = [parameter for parameter in resting if parameter.requires_grad]
    for parameter in paused:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in paused:
            parameter.requires_grad_(True)


def _is_plain(value: Any) -> bool:
    """Whether it consists of what JSON has."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _divisible(argument: Any) -> bool:
    return isinstance(argument, Batch) or (isinstance(argument, Tensor) and argument.dim() > 0)


def _part(argument: Any, start: int, stop: int) -> Any:
    if isinstance(argument, Batch):
        return argument.part(start, stop)
    return argument[start:stop] if _divisible(argument) else argument
