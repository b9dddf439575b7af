"""Floor 8: what is done in the latent space of a model that samples: walks, arithmetic, projection, directions.

All of it goes through the model's abilities: `draw` and `sample` of any, `map` and `synthesize` of those with styles.
"""

from ganzoo.latent.latents import Latents, draw, images
from ganzoo.latent.walks import interpolate, path, walk

__all__ = ["Latents", "draw", "images", "interpolate", "path", "walk"]
