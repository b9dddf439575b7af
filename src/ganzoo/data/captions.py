"""Captions as vectors, without a trained network: each word has a random direction of its own.

Kanerva, Kristoferson and Holst 2000, "Random indexing of text samples for latent semantic analysis". Here every word
and every two neighbours have a vector of N(0, 1), drawn from their letters, and a caption's embedding is the sum of its
own over the root of their number. So a `red hat` is told from `red hair`, any word of any language has its place, and
nothing needs to be fetched; but words of one meaning are as far apart as any others, which a trained network knows to
be near. Embeddings of such a network can be given instead wherever these are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ganzoo.types import BadArgument, quoted

LENGTH = 256  # of an embedding
LONGEST = 1000  # letters of a caption


def terms(caption: str) -> list[str]:
    """The words of a caption in small letters, and each two neighbours.

    Raises:
        BadArgument: for a caption without a word, or of more than 1000 letters.
    """
    words = re.findall(r"\w+", caption.lower())
    if not words or len(caption) > LONGEST:
        limit = f"it has {len(caption):,} letters" if words else "it has no word"
        raise BadArgument(f"caption {quoted(caption)}: {limit}; a sentence of at most {LONGEST} letters is expected")
    return [*words, *(" ".join(pair) for pair in pairwise(words))]


def embed(captions: Sequence[str], length: int = LENGTH) -> npt.NDArray[np.float32]:
    """Embeddings `(n, length)` of captions, whose values are about standard normal; an order of parts changes little.

    Raises:
        BadArgument: see `terms`.
    """
    made = np.empty((len(captions), length), np.float32)
    for row, caption in zip(made, captions, strict=True):
        found = terms(caption)
        row[:] = sum(_direction(term, length) for term in found) / np.sqrt(len(found))
    return made


@lru_cache(maxsize=65536)
def _direction(term: str, length: int) -> npt.NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "little")
    return np.random.RandomState(seed).randn(length)
