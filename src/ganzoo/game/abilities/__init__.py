"""What models can do: one base class an ability, with its public method, how it is shown and how it is checked.

A family names its abilities as its bases, such as `class BiGAN(Samples, Encodes)`. The first one decides what previews,
`samples.png` and `golden.png` show. An ability has a name, by which metrics ask for it.
"""

from ganzoo.game.abilities.adversarial import Adversarial
from ganzoo.game.abilities.classifies import Classifies
from ganzoo.game.abilities.depicts import Depicts
from ganzoo.game.abilities.detects import Detects
from ganzoo.game.abilities.encodes import Encodes
from ganzoo.game.abilities.inverts import Inverts
from ganzoo.game.abilities.labelled import Labelled
from ganzoo.game.abilities.noisy import Noisy
from ganzoo.game.abilities.paired import Paired
from ganzoo.game.abilities.samples import Samples
from ganzoo.game.abilities.styled import Styled
from ganzoo.game.abilities.translates import Translates
from ganzoo.game.abilities.upscales import Upscales

__all__ = [
    "Adversarial",
    "Classifies",
    "Depicts",
    "Detects",
    "Encodes",
    "Inverts",
    "Labelled",
    "Noisy",
    "Paired",
    "Samples",
    "Styled",
    "Translates",
    "Upscales",
]
