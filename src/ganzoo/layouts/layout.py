"""Layouts: how a family's networks are named in somebody's checkpoints, and strict accounting for every tensor.

Each `layouts/<family>.py` has `LAYOUTS`, a tuple of `Layout`; nothing else is to be registered. A layout says whether a
file is its own, and makes a `Converted` of it: the family's arguments, and its tensors under ganzoo's names. Every
tensor of the file is used or named as left out; what is missing or over is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.layouts.containers import Contents
from ganzoo.layouts.pickles import quoted
from ganzoo.types import BadCheckpoint


@dataclass(frozen=True)
class Converted:
    """A checkpoint in ganzoo's terms.

    Args:
        family: the family's name.
        arguments: of its constructor; plain JSON.
        inference: what inference needs, as in `model.safetensors`: "generator.<name in its state dict>".
        players: every network with its live weights, as in `players.safetensors`: "generator.<name>",
            "discriminator.<name>"; None where the file lacks one of them.
        facts: further plain facts for `config.json`.
    """

    family: str
    arguments: dict[str, Any]
    inference: dict[str, Tensor]
    players: dict[str, Tensor] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def joined(self, network: str, tensors: Mapping[str, Tensor], **arguments: Any) -> Converted:
        """The same with one more network among the players."""
        players = {
            **(self.players or self.inference),
            **{f"{network}.{name}": value for name, value in tensors.items()},
        }
        return replace(self, arguments=self.arguments | arguments, players=players)


@dataclass(frozen=True)
class Layout:
    """One way in which checkpoints of a family are published.

    Args:
        name: as users know it, such as "NVIDIA StyleGAN2-ADA (PyTorch)".
        family: the family that it becomes.
        recognises: whether a file is of this layout, judged by names and arguments, without converting it.
        convert: the conversion; raises `BadCheckpoint` where tensors are missing, over or of other shapes.
        join: adds what a further file of the same authors holds, such as the discriminator where that lies in a file of
            its own: from that file and what was made before, a `Converted` with more players, whose arguments the file
            may make more exact; None where there is no such file.
    """

    name: str
    family: str
    recognises: Callable[[Contents], bool]
    convert: Callable[[Contents], Converted]
    join: Callable[[Contents, Converted], Converted] | None = None


def open_ledger(contents: Contents, key: str) -> Ledger:
    """The ledger of one of a file's networks."""
    module = contents.modules[key]
    return Ledger(contents, module.name or "its network", module.tensors)


def marked(*names: str) -> Callable[[Contents], bool]:
    """Recognises a file by the names of tensors that one of its networks has."""
    return lambda contents: bool(contents.having(*names))


def marked_variables(name: str) -> Callable[[Contents], bool]:
    """Recognises a TensorFlow pickle by a variable that one of its networks has."""
    return lambda contents: any(name in network.variables for network in contents.networks)


class Ledger:
    r"""A table of tensors from which each is taken once, and in which none may be left.

        with open_ledger(contents, "G_ema") as ledger:
            made["generator.const"] = ledger.take("synthesis.b4.const", (512, 4, 4))
            made |= ledger.rename({r"mapping\.fc(\d+)\.(weight|bias)": r"generator.mapping.layers.\1.\2"})
            ledger.ignore(r".*\.resample_filter")

    Args:
        contents: the file, for error messages.
        part: which of its networks, for error messages.
        tensors: name to tensor; numpy arrays become tensors.
    """

    def __init__(
        self, contents: Contents, part: str, tensors: Mapping[str, Tensor] | Mapping[str, np.ndarray[Any, Any]]
    ) -> None:
        self.where = f"{contents.path}: {part}"
        self.left: dict[str, Tensor | np.ndarray[Any, Any]] = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.left

    def __iter__(self) -> Iterator[str]:
        return iter([*self.left])

    def names(self, pattern: str) -> list[str]:
        """The names still there that match a regular expression as a whole."""
        return [name for name in self.left if re.fullmatch(pattern, name)]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, which stays in the table."""
        if name not in self.left:
            raise self.error(f"lacks {quoted(name)}{self._near(name)}")
        return tuple(self.left[name].shape)

    def sides(self, name: str, count: int) -> tuple[int, ...]:
        """The shape of a tensor that must have so many sides, none of them 0."""
        shape = self.shape(name)
        if len(shape) != count or not all(shape):
            raise self.error(f"has {quoted(name)} of shape {list(shape)}; {count} sides are expected")
        return shape

    def take(self, name: str, shape: Sequence[int] | None = None) -> Tensor:
        """Takes a tensor out.

        Args:
            name: in the file.
            shape: what it must be, where that is known; -1 where a side may be anything.

        Raises:
            BadCheckpoint: it is not there, or of another shape.
        """
        found = self.shape(name)
        if shape is not None and (
            len(found) != len(shape) or any(want not in (-1, has) for want, has in zip(shape, found, strict=True))
        ):
            raise self.error(f"{quoted(name)} is {list(found)}; expected {list(shape)}")
        if self.left[name].dtype in (torch.complex64, torch.complex128, np.complex64, np.complex128):
            raise self.error(f"{quoted(name)} is of complex numbers; expected real ones")
        value = self.left.pop(name)
        if isinstance(value, Tensor):
            return value
        return torch.from_numpy(np.asarray(value, value.dtype.newbyteorder("="), order="C"))

    def layer(self, theirs: str, ours: str, shape: Sequence[int], tensorflow: bool = False) -> dict[str, Tensor]:
        """Takes a layer's weight and bias, under their names and ours.

        Args:
            theirs: the layer's name in the file.
            ours: the layer's name in the family.
            shape: of the weight, `(outputs, inputs, ...)`; -1 where a side may be anything.
            tensorflow: whether names end in `/weight`, and weights are `(..., inputs, outputs)`.
        """
        end = "/" if tensorflow else "."
        weight = self.take(f"{theirs}{end}weight", [*shape[2:], shape[1], shape[0]] if tensorflow else shape)
        weight = weight.movedim((-1, -2), (0, 1)) if tensorflow else weight
        return {f"{ours}.weight": weight, f"{ours}.bias": self.take(f"{theirs}{end}bias", weight.shape[:1])}

    def rename(self, rules: Mapping[str, str], change: Callable[[Tensor], Tensor] | None = None) -> dict[str, Tensor]:
        """Takes all tensors whose names match a rule, under their new names.

        Args:
            rules: regular expression for the whole name, to its replacement as for `re.sub`; the first that fits is
                applied.
            change: applied to each, such as a transposition.

        Raises:
            BadCheckpoint: two tensors would get one name, or one has a shape that cannot be changed so.
        """
        made: dict[str, Tensor] = {}
        patterns = [(re.compile(pattern), replacement) for pattern, replacement in rules.items()]
        for name in [*self.left]:
            match = next(((m, new) for p, new in patterns if (m := p.fullmatch(name))), None)
            if match is None:
                continue
            new = match[0].expand(match[1])
            if new in made:
                raise self.error(f"{quoted(name)} and another tensor both become {quoted(new)}")
            value = self.take(name)
            try:
                made[new] = value if change is None else change(value)
            except (RuntimeError, IndexError, ValueError):  # a transposition of too few sides, say
                raise self.error(f"has {quoted(name)} of an impossible shape, {list(value.shape)}") from None
        return made

    def ignore(self, *patterns: str) -> None:
        """Leaves out the tensors whose whole names match: those that the family makes for itself."""
        for pattern in patterns:
            for name in self.names(pattern):
                del self.left[name]

    def close(self) -> None:
        """Checks that nothing is left."""
        if self.left:
            names = ", ".join(quoted(name) for name in [*self.left][:3])
            more = f" and {len(self.left) - 3} more" if len(self.left) > 3 else ""
            raise self.error(f"holds tensors that this layout does not know: {names}{more}")

    def error(self, what: str) -> BadCheckpoint:
        """An error that names the file and the part."""
        return BadCheckpoint(f"{self.where} {what}")

    def _near(self, name: str) -> str:
        last = name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
        near = next((other for other in self.left if other.endswith(last)), next(iter(self.left), None))
        return "" if near is None else f"; it has {quoted(near)} among {len(self.left)} others"

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()


def check_shapes(
    contents: Contents, made: Mapping[str, Tensor], expected: Mapping[str, Tensor | Sequence[int]]
) -> None:
    """Checks converted tensors against the names and shapes that the family has.

    Raises:
        BadCheckpoint: names what is missing, over, or of another shape.
    """
    missing, over = [*(expected.keys() - made.keys())], [*(made.keys() - expected.keys())]
    if missing or over:
        said = [f"{word} {_list(names)}" for word, names in (("lacks", missing), ("has too much:", over)) if names]
        raise BadCheckpoint(f"{contents.path}: converted, it {' and '.join(said)}")
    for name, value in made.items():
        want = expected[name]
        shape = tuple(want.shape if isinstance(want, Tensor) else want)
        if tuple(value.shape) != shape:
            raise BadCheckpoint(f"{contents.path}: {name} is {list(value.shape)}; expected {list(shape)}")


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
