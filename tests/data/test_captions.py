"""Captions as vectors: the same each time, near where words are shared, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ganzoo.data.captions import embed, terms
from ganzoo.types import BadArgument


def test_terms_are_words_and_neighbours() -> None:
    assert terms("A red, red Hat") == ["a", "red", "red", "hat", "a red", "red red", "red hat"]


def test_an_embedding_is_its_captions_alone() -> None:
    one, other = embed(["a red hat", "a blue hat"])
    assert np.array_equal(embed(["a blue hat", "A  red hat!"]), [other, one])
    assert embed(["a"], 7).shape == (1, 7) and not np.allclose(one, other)


def test_words_that_are_shared_bring_captions_near_and_their_order_counts() -> None:
    """By the cosine, which for independent directions is the share of common terms: 3 of 7, give or take 1 / 16."""
    one, other, turned, foreign = embed(
        ["red hair blue clothes", "red hair green hat", "blue hair red clothes", "x y z"]
    )

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert abs(cosine(one, other) - 3 / 7) < 0.25 and abs(cosine(one, foreign)) < 0.25
    assert cosine(one, turned) < 0.85, "a bag of words alone could not tell them"
    values = embed([f"word{i} and word{i + 1}" for i in range(200)])
    assert abs(values.std() - 1) < 0.15 and abs(values.mean()) < 0.1


@pytest.mark.parametrize(
    ("caption", "said"), [("", "it has no word"), ("?!", "no word"), ("x" * 1001, "1,001 letters")]
)
def test_what_is_no_caption(caption: str, said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        embed([caption])
