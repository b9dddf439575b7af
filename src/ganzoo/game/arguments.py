"""Types for the arguments of families; `create`, `load` and recipes check their ranges."""

from ganzoo.schema import Count as Count
from ganzoo.schema import Counts as Counts
from ganzoo.schema import Depth as Depth
from ganzoo.schema import Domains as Domains
from ganzoo.schema import Layers as Layers
from ganzoo.schema import NonNegative as NonNegative
from ganzoo.schema import NonNegatives as NonNegatives
from ganzoo.schema import Positive as Positive
from ganzoo.schema import PositiveFloat as PositiveFloat
from ganzoo.schema import Probability as Probability
from ganzoo.schema import Sizes as Sizes
from ganzoo.schema import Taps as Taps
from ganzoo.schema import Words as Words
