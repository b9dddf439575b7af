"""Floor 8: what is done in the latent space of a model that samples: walks, arithmetic, projection, directions.

All of it goes through the model's abilities: `draw` and `sample` of any, `map` and `synthesize` of those with styles.
"""

from ganzoo.latent.attribute import towards
from ganzoo.latent.finding import Directions, directions, edit, load_directions, sheet
from ganzoo.latent.latents import Latents, draw, encoded, images, load_latents, save_latents
from ganzoo.latent.means import arithmetic, panel
from ganzoo.latent.nearest import neighbours
from ganzoo.latent.projection import Projection, paint, project, tune
from ganzoo.latent.walks import interpolate, path, walk

__all__ = [
    "Directions",
    "Latents",
    "Projection",
    "arithmetic",
    "directions",
    "draw",
    "edit",
    "encoded",
    "images",
    "interpolate",
    "load_directions",
    "load_latents",
    "neighbours",
    "paint",
    "panel",
    "path",
    "project",
    "save_latents",
    "sheet",
    "towards",
    "tune",
    "walk",
]
