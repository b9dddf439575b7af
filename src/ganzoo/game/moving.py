"""The verb of every game: a player moves.

Whose parameters learn, backpropagation and its reduction over ranks, the guard against non-finite gradients and the
step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.game.averaging import Averaging
from ganzoo.game.engine import Player, begin_stream, stream_seed
from ganzoo.types import BadArgument, Batch, Diverged, TrainingStopped

_Buffer = tuple[dict[str, Tensor | None], str, Tensor]  # the buffers of a module, the name of one, and its copy
_PATIENCE = 20  # moves of one player with non-finite gradients, in a row, after which a run stops


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


class Moving(Averaging):
    """A game's moves, and what is remembered between them."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, _State] = {}
        self._live_buffers: list[dict[str, Tensor | None]] = []  # the buffers of the live networks' modules, by name
        self._moves = 0
        self._begun: dict[str, list[Tensor]] = {}  # parameters of who moved in this batch, as they were before
        self._slices = 1  # of a move, since there was not the memory for fewer
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._joined = False  # whether the gradients of all slices went through what was made ahead

    def move(self, player: str, loss: Callable[..., Tensor], *args: Any, counts: bool = True) -> None:
        """One move: only this player's parameters learn.

        Args:
            player: the player's name.
            loss: computes the scalar that the player minimises.
            *args: handed to `loss`; batches and tensors are divided into slices where gradients are accumulated.
            counts: whether the move is an update; a lazy penalty's is not.

        Raises:
            Diverged: after 20 moves of the player with non-finite gradients in a row.
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
        if counts and player == self.leads:
            self._update_averages()

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
        norm, bad = self._step(state, optimizer, counts and player == self.leads)
        self._restore_buffers(before, bad)
        if counts:
            self.record(**{f"{player}_gradient": norm})
        self.record(**{getattr(loss, "__name__", f"{player}_loss"): value})

    def ahead(self, make: Callable[..., Tensor], *args: Any) -> Tensor:
        """Makes what several moves share, such as fakes for both players, with every player's parameters alive.

        A move that is to stop there is given it detached. One other is given it as it is, and learns through it.

        Args:
            make: makes it.
            *args: handed to `make`, whole even where gradients are accumulated.

        Raises:
            TrainingStopped: where there is not the memory for it, and `engine.shrink` would have helped a move.
        """
        self._moves += 1
        self._begin_stream()
        before = self._buffer_copies()
        made = None
        with self._as_begun(), suppress(*([torch.cuda.OutOfMemoryError] if self.engine.shrink else [])):
            made = make(*args)
        if self.engine.shrink and self._anywhere(made is None):
            raise TrainingStopped(
                f"the device has not the memory for what players share, made for a whole batch, at step "
                f"{self.global_step}; lower data.batch_size, or set `reuse` to false where the family has it"
            )
        assert made is not None
        self._restore_buffers(before, (~torch.isfinite(made.detach()).all()).float())
        return made

    def _anywhere(self, here: bool) -> bool:
        """Whether it is so on any rank; every rank asks."""
        return bool(self.trainer.strategy.reduce_boolean_decision(here, all=False))

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

    def record(self, **values: Tensor) -> None:
        """Notes scalars for the log, which holds the mean of those that were finite since its last line."""
        for name, value in values.items():
            value = value.detach().float()
            finite = value.isfinite()
            value, count = torch.where(finite, value, 0.0), finite.float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def _within_memory(self, loss: Callable[..., Tensor], args: tuple[Any, ...], before: list[_Buffer]) -> Tensor:
        """Backpropagates; where any rank has not the memory, all begin the move again in twice as many slices.

        Raises:
            TrainingStopped: where single samples are too large.
        """
        sums, counts = dict(self._sums), dict(self._counts)
        lists = {name: [*value] for name, value in vars(self).items() if isinstance(value, list)}
        kept = {name: buffer.clone() for name, buffer in self.adaptation.named_buffers()}
        while True:
            value, self._joined = None, False
            with suppress(torch.cuda.OutOfMemoryError):  # outside of it the failed attempt's tensors are let go
                value = self._backward(loss, args)
            if not self._anywhere(value is None):
                assert value is not None
                return value
            if self._anywhere(self._joined):  # that graph is gone through once
                raise TrainingStopped(
                    f"the device has not the memory to go back through what players share, at step "
                    f"{self.global_step}; lower data.batch_size, or set `reuse` to false where the family has it"
                )
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
            self._joined = True
            torch.autograd.backward([args[i] for i in leaves], [leaf.grad for leaf in leaves.values()])
        return total

    def _step(self, state: _State, optimizer: torch.optim.Optimizer, leads: bool) -> tuple[Tensor, Tensor]:
        """Unscales, guards, clips and steps.

        Returns:
            The gradients' norm before clipping, and 1 where they were not finite, and nothing was changed.
        """
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        learning = [parameter for parameter in state.parameters if parameter.grad is not None]
        if scaler is not None and learning:
            scaler.unscale_(optimizer)
        norm = _norm([p.grad for p in learning if p.grad is not None])
        bad = (~torch.isfinite(norm)).float().to(self.device)
        if self.engine.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(learning, self.engine.clip, norm)
        if leads:
            # Lightning counts every step of every optimizer (Lightning #17958); only the leader's steps run these hooks
            state.optimizer._on_before_step()
        if scaler is not None and learning:
            if state.begun or not optimizer.param_groups[0].get("fused") or not bad:
                scaler.step(optimizer)
                state.begun = True
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
        return norm, bad

    def _count_bad(self, state: _State, bad: Tensor, scaler: Any) -> None:
        """Counts skipped moves on the device and looks at the counts rarely, because a look makes the host wait."""
        look = self._at_hand or self.batches_seen % self.engine.log_every == 0
        if scaler is not None:  # a scaler skips steps to find its scale; only one that found none is a failure
            if look and scaler.get_scale() < 1:
                raise Diverged(
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
            raise Diverged(
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


@torch.no_grad()
def _norm(gradients: list[Tensor]) -> Tensor:
    """Of all gradients together. `get_total_norm` of torch sorts them first, which takes longer than small norms."""
    norms = [norm.float() for norm in torch._foreach_norm(gradients)] if gradients else [torch.zeros(())]
    return torch.linalg.vector_norm(torch.stack(norms))


def _divisible(argument: Any) -> bool:
    return isinstance(argument, Batch) or (isinstance(argument, Tensor) and argument.dim() > 0)


def _part(argument: Any, start: int, stop: int) -> Any:
    if isinstance(argument, Batch):
        return argument.part(start, stop)
    return argument[start:stop] if _divisible(argument) else argument
