"""The game: several players, one verb.

A family subclasses `Game` and writes its paper's Algorithm 1 in `training_step` with `self.move(player, loss, batch)`.
What is the same for every paper stands beneath, each part on the one before: what a family and an ability say
(contract.py), the generator's moving average (averaging.py), whose parameters learn, backpropagation and its reduction
over ranks, the guard against non-finite gradients and the step (moving.py), Lightning's hooks, the counters and the log
(loop.py). What papers differ in (n_critic, lazy penalties, unrolling, balance) does not. What a model can do, such as
sampling, is an ability.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganzoo.game.adaptation import Adapt, Adaptation, adapt
from ganzoo.game.loop import Loop
from ganzoo.media.medium import medium_of
from ganzoo.nn.low_rank import merged
from ganzoo.objectives.penalties import eager
from ganzoo.types import BadArgument

_SAMPLING = threading.RLock()  # modes of shared modules are switched while a model samples


class Game(Loop):
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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Game:
        """Moves the tensors; where that fails, such as on a machine without the device, the model stays usable."""
        try:
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        except Exception:
            own = next(self.parameters())
            self._device, self._dtype = own.device, own.dtype  # Lightning notes the new ones before it moves there
            raise

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
