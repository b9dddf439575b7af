"""Types for the arguments of families; `create`, `load` and recipes check their ranges."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MaxLen

Positive = Annotated[int, Ge(1)]  # a size, a width, a number of things
Count = Annotated[int, Ge(0)]  # a number of things, of which there may be none
Layers = Annotated[int, Ge(1), Le(64)]  # of a network, one after the other: a module each, so that there is a bound
Depth = Annotated[int, Ge(0), Le(64)]  # the same, where there may be none
Taps = Annotated[int, Ge(1), Le(64)]  # of a filter, or a factor between rates: the taps are computed
Sizes = Annotated[tuple[Positive, ...], MaxLen(32)]  # of layers, resolutions or an image: a size each
NonNegative = Annotated[float, Ge(0)]  # a learning rate, the weight of a term
Probability = Annotated[float, Ge(0), Lt(1)]  # or a rate of decay, below 1
PositiveFloat = Annotated[float, Gt(0)]  # such as a divisor
