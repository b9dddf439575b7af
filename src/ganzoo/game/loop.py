"""What a game does in Lightning's training loop: its hooks, its log, and what a checkpoint holds beside the tensors."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ganzoo.data.batch import Data
from ganzoo.game import strategy as _strategy  # noqa: F401  # registers `ddp_game` with Lightning
from ganzoo.game.engine import MovingAverage
from ganzoo.game.moving import Moving
from ganzoo.types import BadArgument, Batch, check_strict


class Loop(Moving):
    """A game's hooks, in the order in which Lightning calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[str, float] = {}  # the last line of the log,
        self.latest_step = 0  # and its step
        self.speeds: list[float] = []  # images a second, of each line of the log
        self._logged = (0, 0, time.monotonic())  # global_step, images_seen and time of the last line
        self._waited, self._ended = 0.0, time.monotonic()  # seconds for data since then, and when the last batch ended

    def setup(self, stage: str) -> None:
        """Lays the networks out in memory and begins the moving averages, before a checkpoint is restored."""
        if stage != "fit":
            return
        if type(self.trainer.strategy) is DDPStrategy and not self.trainer.strategy._ddp_kwargs.get(
            "find_unused_parameters"
        ):
            raise BadArgument("Lightning's ddp fails on several players; give the Trainer strategy='ddp_game'")
        for option in ("top_k", "lecam") if self.engine.shrink else ():
            if getattr(self.adaptation.options, option):
                raise BadArgument(f"engine.shrink: adapt.{option} looks at a batch as a whole; leave one of them out")
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
        self._waited, self._ended = 0.0, self._logged[2]
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
        self._waited += time.monotonic() - self._ended
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
        self._ended = time.monotonic()

    def write_log(self) -> None:
        """Writes the means of what was recorded since the last line to every logger."""
        names = sorted(self._sums)
        if not names or self.global_step == self._logged[0]:
            return
        means = torch.stack([self._sums[name].to(self.device) / self._counts[name].to(self.device) for name in names])
        means = self.trainer.strategy.reduce(means, reduce_op="mean")
        _, images, then = self._logged
        now = time.monotonic()
        self.latest = dict(zip(names, means.tolist(), strict=True))
        self.latest_step = self.global_step
        self.latest["images_seen"] = self.images_seen
        self.latest["batches_seen"] = self.batches_seen
        self.latest["images_per_second"] = (self.images_seen - images) / max(now - then, 1e-9)
        self.latest["waiting"] = self._waited / max(now - then, 1e-9)  # the share of time, for data
        self._waited = 0.0
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


def _is_plain(value: Any) -> bool:
    """Whether it consists of what JSON has."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
