"""`benchmarks/ppgn_captions.py`: what its captioning network reads, says and writes."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest
import torch
from helpers import benchmark

from ganzoo.types import Condition

script = benchmark("ppgn_captions")


def captioner() -> Any:
    torch.manual_seed(0)
    return script.Captioner(["a hat", "a beard"], hidden=8).eval()


def test_all_captions_have_probability_1_together() -> None:
    """Of at most three words, the last of which need not be the end."""
    made = captioner()
    known = range(len(made.words))
    every = [each for each in product(known, repeat=made.longest) if all(b == 0 or a for a, b in pairwise(each))]
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    words = torch.tensor(every).float()
    found = made(image.expand(len(every), -1, -1, -1), words)
    assert made.longest == 3 and found.exp().sum().item() == pytest.approx(1, rel=1e-5)
    asked = made.log_probability(image.expand(len(every), -1, -1, -1), Condition(text=words))
    assert torch.equal(asked, found)


def test_it_reads_and_writes_words() -> None:
    made = captioner()
    assert made.words == ["", "a", "beard", "hat"] and made.read(["a hat", "hat"]).tolist() == [[1, 3, 0], [3, 0, 0]]
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    written = made.write(images)
    for words in written.tolist():
        assert len(words) == 3 and all(b == 0 or a for a, b in pairwise(words))
    with torch.no_grad():
        logits, _ = made.following(made.eye(images)[1].relu(), torch.zeros(4, 1, dtype=torch.long))
    assert torch.equal(written[:, 0].long(), logits[:, 0].argmax(1))


def test_a_captions_attributes_are_their_classes() -> None:
    row = {
        **{"hair": "long-hair", "hair-colour": "red-hair", "eyewear": "no-glasses", "beard": "beard"},
        **{"skin": "tan-skin", "mouth": "serious", "clothes": "green-clothes", "age": "young"},
    }
    assert script.attributes([row]).tolist() == [[1, 3, 0, 1, 1, 1, 2]]
