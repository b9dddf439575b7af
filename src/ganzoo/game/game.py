"""The game: several players, one verb.

A family subclasses `Game` and writes its paper's Algorithm 1 in `training_step` with `self.move(player, loss, batch)`.
What is the same for every paper is here: whose parameters learn, backpropagation and its reduction over ranks, the
guard against non-finite gradients, the step, the generator's moving average, the counters, and sampling by seed. What
papers differ in (n_critic, lazy penalties, unrolling, balance) is not.
"""

from __future__ import annotations

import inspect
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import lightning as L
import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from ganzoo.game import inference
from ganzoo.game import strategy as _strategy  # noqa: F401  # registers `ddp_game` with Lightning
from ganzoo.game.engine import Absent, Engine, MovingAverage, Player, begin_stream, stream_seed
from ganzoo.objectives.penalties import eager
from ganzoo.types import BadArgument, BadData, Batch, Card, TrainingStopped, check_strict

if TYPE_CHECKING:
    from ganzoo.data.batch import Images

_Statistic = tuple[dict[str, Tensor | None], str, Tensor]  # the buffers of a module, the name of one, and its copy
_PATIENCE = 20  # moves of one player with non-finite gradients, in a row, after which a run stops


@dataclass
class _Mover:
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
        images_seen: real images that all ranks have seen; schedules follow it.
        batches_seen: batches begun; `turn`, the random streams and the sampler follow it.
        shape: `(C, H, W)` of an image that the model makes, or `(d,)` of a point.
        source_shape: of an image that a translation starts from; `shape` unless a family sets it.
        directions: the names of the translations that a family can do, its first by default; none for most families.
        domains: how many pictures one latent gives, one in each domain; 1 for most families.
        stride: sides of images to be translated are padded to its multiples.
        classes: number of classes of a conditional family; None otherwise.
        latent: length of z; 0 where a family translates and draws nothing of its own.
        arguments: the arguments of the constructor, resolved, as plain JSON values.
        card, provenance: what a loaded model is and where it came from; None for a fresh one.
    """

    inference: tuple[str, ...] = ("generator",)  # modules that `sample`, `translate` or `encode` need
    averages: ClassVar[tuple[str, ...]] = ("generator",)  # modules that have a moving average, when there is one
    average_half_life: ClassVar[float | None] = None  # in images, where the paper has a moving average
    leads: ClassVar[str] = "generator"  # the player whose updates `global_step` counts
    coupled: ClassVar[bool] = False  # whether a loss couples a batch's samples: ranks then differ from a joined batch
    label_vectors: ClassVar[bool] = False  # whether labels may be vectors `(N, classes)` instead of class indices
    labelled: bool = False  # whether it learns from labels, so that its data have `classes` classes

    shape: tuple[int, ...]
    latent: int
    directions: tuple[str, ...] = ()
    domains: int = 1
    stride: int = 1
    classes: int | None = None
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
        self.images_seen = 0
        self.batches_seen = 0
        self.latest: dict[str, float] = {}  # the last line of the log,
        self.latest_step = 0  # and its step
        self.speeds: list[float] = []  # images a second, of each line of the log
        self._source_shape: tuple[int, ...] | None = None
        self._averages = nn.ModuleDict()
        self._movers: dict[str, _Mover] = {}
        self._statistics: list[dict[str, Tensor | None]] = []  # the buffers of the live networks' modules, by name
        self._moves = 0
        self._averaged_at = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._logged = (0, 0, time.monotonic())  # global_step, images_seen and time of the last line

    # ---------------------------------------------------------------- what a family writes

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """The players by name; their order is that of the optimizers."""

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """The paper's algorithm for one batch: a critic move's worth of real data."""

    def prior(self, rng: np.random.RandomState) -> np.ndarray:
        """Draws one z `(latent,)`; the standard normal unless a family overrides it."""
        return rng.randn(self.latent)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps `z` `(n, latent)` and labels `(n,)` through the averaged generator, as it comes."""
        return self.averaged(z) if labels is None else self.averaged(z, labels)

    def render(self, z: Tensor, labels: Tensor | None, rngs: Sequence[np.random.RandomState]) -> Tensor:
        """Makes a batch of images for `sample`, whose further options are the keyword arguments that a family adds.

        Args:
            z: latents `(n, latent)`.
            labels: `(n,)`, or None where the family has none.
            rngs: each image's stream, from which z and then the label were drawn; noise inputs are drawn next.
        """
        return self.generate(z, labels)

    def transform(self, images: Tensor, direction: str) -> Tensor:
        """Maps a batch of images for `translate`, whose further options are the keyword arguments that a family adds.

        A family whose translations draw random numbers adds `seeds`, which are given to it: one an image.

        Args:
            images: `(n, C, H, W)` in [-1, 1] on the model's device, with sides that are multiples of `stride`.
            direction: one of `directions`.

        Returns:
            `(n, C, H, W)` with the same sides; it is clamped to [-1, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} names directions and does not implement transform.")

    def settle(self) -> None:
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
        """
        mover = self._mover(player)
        optimizer = mover.optimizer.optimizer
        self._moves += 1
        self._begin_stream()
        self._set_rate(mover, optimizer)
        optimizer.zero_grad(set_to_none=True)
        statistics = self._copied()
        with _only(mover.others):
            value = self._backward(loss, args)
        reduce = getattr(self.trainer.strategy, "reduce_gradients", None)
        if reduce is not None:
            reduce(mover.parameters)
        bad = self._step(mover, optimizer, counts and player == self.leads)
        self._undo(statistics, bad)
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
        statistics = self._copied()
        made = make(*args)
        self._undo(statistics, (~torch.isfinite(made.detach()).all()).float())
        return made

    def _copied(self) -> list[_Statistic]:
        """The statistics as they are: a forward pass may change those of every network, not of the player's alone."""
        return [(held, k, b.clone()) for held in self._statistics for k, b in held.items() if b is not None]

    def _begin_stream(self) -> None:
        """Seeds what comes next in this batch from where it stands in the run."""
        begin_stream(stream_seed(self.engine.seed, self.batches_seen, self._moves, self.global_rank), self.device)

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

    def _backward(self, loss: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
        """Backpropagates the loss of each slice, weighted by its share; gives the loss of the whole."""
        lengths = [len(a.images) if isinstance(a, Batch) else len(a) for a in args if _divisible(a)] or [1]
        length, slices = lengths[0], min(self.engine.accumulate, lengths[0])
        if slices > 1 and len(set(lengths)) > 1:
            raise BadArgument(
                f"gradients cannot be accumulated over arguments of lengths {lengths}; give them one length"
            )
        if slices == 1:
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

    def _step(self, mover: _Mover, optimizer: torch.optim.Optimizer, leads: bool) -> Tensor:
        """Unscales, guards, clips and steps; gives 1 where the gradients were not finite, and nothing was changed."""
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        learning = [parameter for parameter in mover.parameters if parameter.grad is not None]
        if scaler is not None and learning:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])
        bad = (~torch.isfinite(norm)).float().to(self.device)
        if self.engine.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(learning, self.engine.clip, norm)
        if leads:
            # Lightning counts every step of every optimizer (Lightning #17958); only the leader's steps run these hooks
            mover.optimizer._on_before_step()
        if scaler is not None and learning:
            scaler.step(optimizer)
            scaler.update()
        elif optimizer.param_groups[0].get("fused") and mover.begun:
            optimizer.found_inf = bad  # type: ignore[attr-defined]  # a fused step with this set changes nothing
            optimizer.step()
        elif not bad:  # the host waits for the device here: an optimizer without a fused form has no other way, and
            optimizer.step()  # a skipped first step would leave fused SGD's momentum uninitialised
            mover.begun = True
        if leads:
            mover.optimizer._on_after_step()
        self._count_bad(mover, bad, scaler)
        return bad

    def _count_bad(self, mover: _Mover, bad: Tensor, scaler: Any) -> None:
        """Counts skipped moves on the device and looks at the counts rarely, because a look makes the host wait."""
        look = self._at_hand or self.batches_seen % self.engine.log_every == 0
        if scaler is not None:  # a scaler skips steps to find its scale; only one that found none is a failure
            if look and scaler.get_scale() < 1:
                raise TrainingStopped(
                    f"the loss scale of 16-bit training fell to {scaler.get_scale():.1e}: gradients are not finite at "
                    "any scale; lower the learning rate, or train in bf16-mixed or 32"
                )
            return
        if self._at_hand and not bad and not mover.streak:
            return
        for name in ("skipped", "streak", "worst"):
            setattr(mover, name, getattr(mover, name).to(self.device))
        mover.skipped = mover.skipped + bad
        mover.streak = (mover.streak + bad) * bad
        mover.worst = torch.maximum(mover.worst, mover.streak)
        if look and mover.worst >= _PATIENCE:
            name = next(name for name, other in self._movers.items() if other is mover)
            raise TrainingStopped(
                f"the {name}'s gradients were not finite in {_PATIENCE} moves in a row, at step {self.global_step}; "
                "lower the learning rate or set engine.clip, and go on from the last checkpoint"
            )

    @property
    def _at_hand(self) -> bool:
        """Whether a tensor's value can be read without waiting for a device."""
        return self.device.type == "cpu"

    @torch.no_grad()
    def _undo(self, statistics: list[_Statistic], bad: Tensor) -> None:
        """Puts back statistics that something not finite may have spoiled."""
        if self._at_hand and not bad:
            return
        for held, key, before in statistics:
            now = held[key]
            assert now is not None
            # Past autograd's check for changes in place: batch normalization keeps its running statistics in the graph
            # of what was made ahead, though in training its gradient is that of the batch's own
            now.data.copy_(torch.where(bad > 0, before, now))

    def _set_rate(self, mover: _Mover, optimizer: torch.optim.Optimizer) -> None:
        factor = self.engine.rate(self.images_seen)
        if mover.player.schedule is not None:
            factor *= mover.player.schedule(self.images_seen)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def optimizer(self, player: str) -> torch.optim.Optimizer:
        """A player's optimizer, for algorithms that look ahead through its steps."""
        return self._mover(player).optimizer.optimizer

    def _mover(self, player: str) -> _Mover:
        if not self._movers:
            self._seat()
        try:
            mover = self._movers[player]
        except KeyError:
            raise BadArgument(f"there is no player {player!r}; the players are {', '.join(self._movers)}") from None
        if mover.optimizer is None:
            optimizers = self.optimizers()
            listed = optimizers if isinstance(optimizers, list) else [optimizers]
            for other, optimizer in zip(self._movers.values(), listed, strict=True):
                other.optimizer = optimizer
        return mover

    def _seat(self) -> None:
        """Lists each player's parameters, and those that rest while it moves."""
        players = self.players()
        owned = {name: player.parameters() for name, player in players.items()}
        everyone = [parameter for parameters in owned.values() for parameter in parameters]
        if len({id(parameter) for parameter in everyone}) != len(everyone):
            raise BadArgument(f"{type(self).__name__}: a parameter belongs to two players")
        for name, player in players.items():
            mine = {id(parameter) for parameter in owned[name]}
            self._movers[name] = _Mover(player, owned[name], [p for p in everyone if id(p) not in mine])

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
        return self.average_half_life if chosen == "paper" else chosen

    def start_averages(self) -> None:
        """Begins the moving averages, where there are any and they have not begun."""
        for name in self.averages if self.half_life is not None else ():
            if name not in self._averages:
                self._averages[name] = MovingAverage(getattr(self, name))

    def _update_averages(self) -> None:
        if not self._averages or self.half_life is None:
            return
        half_life = self.half_life
        if self.engine.rampup is not None:
            half_life = min(half_life, self.images_seen * self.engine.rampup)
        images, self._averaged_at = self.images_seen - self._averaged_at, self.images_seen
        beta = 0.5 ** (images / max(half_life, 1e-8))
        for name, average in self._averages.items():
            assert isinstance(average, MovingAverage)
            average.update(getattr(self, name), beta)

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
        if self.engine.channels_last:
            for name in self.networks():
                getattr(self, name).to(memory_format=torch.channels_last)
        self.start_averages()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimizer a player, in its fused form where there is one."""
        skipped = {name: mover.skipped for name, mover in self._movers.items()}  # of a checkpoint restored already
        self._movers = {}
        self._seat()
        optimizers = []
        for name, mover in self._movers.items():
            mover.skipped = skipped.get(name, mover.skipped)
            make = mover.player.optimizer
            option = inspect.signature(make).parameters.get("fused")
            optimizer = make(mover.parameters, **({"fused": True} if option and option.default is None else {}))
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
            optimizers.append(optimizer)
        return optimizers

    def on_fit_start(self) -> None:
        """Compiles the players' modules where the engine says so; the state dict keeps its keys."""
        modules = [module for name in self.networks() for module in getattr(self, name).modules()]
        self._statistics = [module._buffers for module in modules if module._buffers]
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

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Counts the batch and begins its random stream."""
        self.batches_seen += 1
        self.images_seen += len(batch.images) * self.trainer.world_size
        self._moves = 0
        self._begin_stream()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Writes a line of the log at the multiples of `log_every` generator updates."""
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
        for name, mover in self._movers.items():
            if mover.skipped > 0:
                self.latest[f"{name}_skipped"] = float(mover.skipped)
        for logger in self.trainer.loggers:
            logger.log_metrics(self.latest, step=self.global_step)
        self._sums, self._counts, self._logged = {}, {}, (self.global_step, self.images_seen, now)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the counters, the statistics' mean over the ranks, and what each rank holds of its own."""
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
            "skipped": {name: int(mover.skipped) for name, mover in self._movers.items()},
            "ranks": ranks,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the counters back, and what this rank held where the number of ranks is the same."""
        found, wanted = (
            {k: tuple(v.shape) for k, v in t.items()} for t in (checkpoint["state_dict"], self.state_dict())
        )
        check_strict(found, wanted, "the checkpoint")
        saved = checkpoint["ganzoo"]
        self.images_seen, self.batches_seen = saved["images_seen"], saved["batches_seen"]
        self._averaged_at = saved["averaged_at"]
        if not self._movers:
            self._seat()
        for name, count in saved["skipped"].items():
            self._movers[name].skipped = torch.tensor(float(count))
        ranks = saved["ranks"]
        mine = ranks[self.global_rank % len(ranks)]
        self.load_rank_state(mine["state"])
        if len(ranks) == self.trainer.world_size:
            checkpoint["state_dict"].update(mine.get("buffers", {}))

    @contextmanager
    def synchronised(self) -> Iterator[None]:
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

    # ---------------------------------------------------------------- sampling

    def draw(
        self, seeds: Sequence[int], labels: Sequence[int] | Tensor | int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draws z, and labels where the family has classes, one image a seed.

        Args:
            seeds: one seed an image; `numpy.random.RandomState(seed)` gives z first, then the label.
            labels: class indices, one for all or one an image; None draws them. Vectors `(n, classes)` where the family
                takes some.

        Returns:
            `z` `(n, latent)` float32 and labels `(n,)` int64, `(n, classes)` float32 or None.

        Raises:
            BadArgument: for a seed or label out of range, or labels for a family without classes.
        """
        return self._draw(inference.streams(seeds), self._check_labels(labels, len(seeds)))

    def _draw(self, rngs: Sequence[np.random.RandomState], given: Tensor | None) -> tuple[Tensor, Tensor | None]:
        z, drawn = [], []
        for rng in rngs:
            z.append(self.prior(rng))
            if self.classes is not None and given is None:
                drawn.append(int(rng.randint(self.classes)))
        stacked = torch.from_numpy(np.stack(z).astype(np.float32))
        return stacked, torch.tensor(drawn) if drawn else given

    def _check_labels(self, labels: Sequence[int] | Tensor | int | None, n: int) -> Tensor | None:
        if labels is None:
            return None
        return inference.labels_for(labels, n, self.classes, self.label_vectors, type(self).__name__)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Sequence[int] | Tensor | int | None = None,
        truncation: float | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Draws images; image i depends on `seed + i` alone, at any batch size, on any device and number of ranks.

        Args:
            n: how many.
            seed: of the first.
            labels: class indices `(n,)` or one for all, where the family has classes, or vectors `(n, classes)` where
                it takes some; None draws classes.
            truncation: where the family defines one.
            batch_size: images made at a time; None for a million pixels' worth, and at most 64.
            **options: what else the family's `render` takes, such as StyleGAN2's `noise`.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU; points `(n, d)` for a model of points.

        Raises:
            BadArgument: for a number, seed or label out of range, or an option that the family does not have.
        """
        if self.only_translates:
            raise BadArgument(f"{type(self).__name__} draws no images of its own; give it some with translate")
        if n < 1:
            raise BadArgument(f"{n} samples were asked for; at least 1 is expected")
        step = inference.at_a_time(batch_size, self.shape[1:])
        if truncation is not None:
            options["truncation"] = truncation
        inference.check_options(type(self).__name__, self.render, options)
        inference.check_seeds((seed, seed + n - 1))
        given = self._check_labels(labels, n)
        images = []
        with self.inferring():
            for start in range(0, n, step):
                stop = min(start + step, n)
                rngs = inference.streams(range(seed + start, seed + stop))
                z, drawn = self._draw(rngs, None if given is None else given[start:stop])
                y = None if drawn is None else drawn.to(self.device)
                made = self.render(z.to(device=self.device, dtype=self._precision), y, rngs, **options)
                images.append(made.float().cpu())
        return self.limit(torch.cat(images))

    def translate(
        self,
        images: Tensor,
        *,
        direction: str | None = None,
        seed: int | Sequence[int] = 0,
        batch_size: int | None = None,
        **options: Any,
    ) -> Tensor:
        """Maps images to the other domain; each depends on itself and its seed alone, at any batch size.

        Sides that are no multiples of the network's `stride` are padded by reflection, and the result is cropped back.

        Args:
            images: `(n, C, H, W)` floats in [-1, 1], with the channels of the direction's domain (`shapes_of`) and
                sides of at least `stride`.
            direction: one of `directions`; the first where None.
            seed: of the first image, where a translation draws random numbers, image i's being `seed + i`; or one an
                image.
            batch_size: images mapped at a time; None for a million pixels' worth, and at most 64.
            **options: what else the family's `transform` takes.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU, with the same sides.

        Raises:
            BadArgument: for a family that does not translate, another direction or option than it has, and images of
                another shape, type or range than expected.
        """
        name = type(self).__name__
        (channels, *_), _ = self.shapes_of(direction)
        way = direction or self.directions[0]
        inference.check_images(images, channels, self.stride, name)
        inference.check_options(name, self.transform, options, own=("seeds",))
        seeds = range(seed, seed + len(images)) if isinstance(seed, int) else seed
        if len(seeds) != len(images):
            raise BadArgument(
                f"there are {len(seeds)} seeds for {len(images)} images; give the first one, or one an image"
            )
        inference.check_seeds(seeds)
        draws = "seeds" in inspect.signature(self.transform).parameters
        height, width = images.shape[2:]
        step = inference.at_a_time(batch_size, (height, width))
        made = []
        with self.inferring():
            for start in range(0, len(images), step):
                part = images[start : start + step].to(device=self.device, dtype=self._precision or torch.float32)
                if draws:
                    options["seeds"] = seeds[start : start + step]
                mapped = self.transform(inference.pad(part, self.stride), way, **options)
                made.append(inference.crop(mapped, height, width).float().cpu())
        return self.limit(torch.cat(made))

    def shapes_of(self, direction: str | None = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes `(C, H, W)` of what a direction starts from and of what it makes, at the sides of training.

        The first direction maps `source_shape` to `shape`, any other one back.

        Raises:
            BadArgument: for a family that does not translate, or another direction than it has.
        """
        if not self.directions:
            raise BadArgument(f"{type(self).__name__} does not translate images; it draws some with sample")
        if direction is not None and direction not in self.directions:
            known = " or ".join(self.directions)
            raise BadArgument(f"{type(self).__name__} has no direction {direction!r}; {known} is expected")
        forth = direction in (None, self.directions[0])
        return (self.source_shape, self.shape) if forth else (self.shape, self.source_shape)

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape `(C, H, W)` of what the first direction starts from; `shape` unless a family sets it."""
        return self.shape if self._source_shape is None else self._source_shape

    @source_shape.setter
    def source_shape(self, shape: tuple[int, ...]) -> None:
        self._source_shape = shape

    @property
    def only_translates(self) -> bool:
        """Whether it maps images and draws none of its own."""
        return bool(self.directions) and self.latent == 0

    @property
    def _precision(self) -> torch.dtype | None:
        """Of the weights that inference uses."""
        return next((p.dtype for name in self.inference for p in self.average_module(name).parameters()), None)

    def limit(self, images: Tensor) -> Tensor:
        """Clamps images to [-1, 1]; points are left as they are."""
        return images.clamp(-1, 1) if len(self.shape) == 3 else images

    @contextmanager
    def inferring(self) -> Iterator[None]:
        """No gradients, evaluation mode for what inference needs, and float32 without TF32."""
        modules = [module for name in self.inference for module in self.average_module(name).modules()]
        modes = [module.training for module in modules]
        for module in modules:
            module.training = False
        try:
            # Eagerly: a compiled network would be compiled again for evaluation, and differ from a loaded one's pixels
            with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False), eager():
                yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode

    # ---------------------------------------------------------------- tensors of the model folder

    def inference_tensors(self) -> dict[str, Tensor]:
        """What `model.safetensors` holds: averages where there are any."""
        return {f"{n}.{k}": v for n in self.inference for k, v in self.average_module(n).state_dict().items()}

    def player_tensors(self) -> dict[str, Tensor]:
        """What `players.safetensors` holds: every network, live."""
        return {f"{n}.{k}": v for n in self.networks() for k, v in getattr(self, n).state_dict().items()}

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


def _divisible(argument: Any) -> bool:
    return isinstance(argument, Batch) or (isinstance(argument, Tensor) and argument.dim() > 0)


def _part(argument: Any, start: int, stop: int) -> Any:
    if isinstance(argument, Batch):
        return argument.part(start, stop)
    return argument[start:stop] if isinstance(argument, Tensor) and argument.dim() > 0 else argument
