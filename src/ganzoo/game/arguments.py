"""Types for the arguments of families; `create`, `load` and recipes check their ranges."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

Positive = Annotated[int, Ge(1)]  # a size, a width, a number of things
Count = Annotated[int, Ge(0)]  # a number of things, of which there may be none
Weight = Annotated[float, Ge(0)]  # a learning rate, the weight of a term
Share = Annotated[float, Ge(0), Lt(1)]  # a probability, a decay rate
Scale = Annotated[float, Gt(0)]  # a divisor
