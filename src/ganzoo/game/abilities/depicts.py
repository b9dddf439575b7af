"""Drawing what a sentence says: `depict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data import captions as sentences
from ganzoo.game import inference
from ganzoo.game.abilities.samples import Samples
from ganzoo.game.contract import Program
from ganzoo.media.levels import to_float
from ganzoo.types import BadArgument, BadData, Batch, Condition

if TYPE_CHECKING:
    from ganzoo.data.batch import Images


class Depicts(Samples):
    """A family that draws what captions say, which it knows as embeddings.

    A family sets `text` and `captions` in `__init__`; its `generate` asks `told` for embeddings.

    Attributes:
        text: length of an embedding.
        captions: examples, of which `sample` draws one an image where none is given.
    """

    ability = "depicts"
    text: int
    captions: tuple[str, ...] = ()

    def embedded(self, captions: Sequence[str] | Tensor) -> Tensor:
        """Embeddings `(n, text)` of captions by `data.captions`; a user's own embeddings as they are.

        Raises:
            BadArgument: for a caption without a word or too long, or embeddings of another length.
        """
        if not isinstance(captions, Tensor):
            return torch.from_numpy(sentences.embed(captions, self.text))
        if captions.ndim != 2 or captions.shape[1] != self.text or not captions.is_floating_point():
            raise BadArgument(f"embeddings have shape {tuple(captions.shape)}; (n, {self.text}) floats are expected")
        return captions

    def depict(self, captions: Sequence[str] | Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """Draws a picture a caption; picture i depends on its caption and on `seed + i` alone.

        Args:
            captions: sentences, or embeddings of them `(n, text)` of the kind that the model was trained on.
            seed: of the first picture.
            **options: those of `sample`.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], on the CPU.

        Raises:
            BadArgument: see `embedded`.
        """
        given = self.embedded(captions)
        return self.sample(len(given), seed=seed, condition=Condition(text=given), **options)

    def told(self, condition: Condition, n: int) -> Tensor:
        """The embeddings `(n, text)` of a condition; where it has none, those of the first example, or zeros."""
        if condition.text is not None:
            return condition.text
        first = self.embedded(self.captions[:1]) if self.captions else torch.zeros(1, self.text)
        return first.to(self.device, self._precision).expand(n, -1)

    def text_of(self, batch: Batch) -> Tensor:
        """The embeddings of a batch's captions `(N, text)`.

        Raises:
            BadData: if the data have none.
        """
        if batch.condition.text is None:
            raise BadData(f"{type(self).__name__} learns from captions, and the data have none; {_GIVE}")
        return batch.condition.text

    def check_data(self, images: Images) -> None:
        """Also holds the captions' embeddings against the model's."""
        super().check_data(images)
        title = type(self).__name__
        if images.texts is None:
            raise BadData(f"{title} learns from captions, and {images.name} has none; {_GIVE}")
        if images.texts.shape[1] != self.text:
            found = images.texts.shape[1]
            raise BadArgument(f"{images.name} has embeddings of {found} numbers and {title} takes {self.text}")

    def _draw(self, rngs: Sequence[np.random.RandomState], given: Condition) -> tuple[Tensor, Condition]:
        z, condition = super()._draw(rngs, given)
        if condition.text is not None:
            if tuple(condition.text.shape) != (len(rngs), self.text):
                found = tuple(condition.text.shape)
                raise BadArgument(f"texts have shape {found}; ({len(rngs)}, {self.text}) is expected")
            return z, condition
        if self.captions:
            text = self.embedded([self.captions[rng.randint(len(self.captions))] for rng in rngs])
        else:  # such as embeddings are
            text = torch.from_numpy(np.stack([rng.randn(self.text) for rng in rngs]).astype(np.float32))
        return z, replace(condition, text=text)

    def program(self, *, caption: str | None = None) -> Program:
        """From z `(n, latent)` to pictures of one caption; the first example where None."""
        text = self.told(Condition(), 1) if caption is None else self.embedded([caption]).to(self.device)
        z, _ = self.draw([0, 1])
        facts = {"prior": self.prior.describe(), "classes": None, "class_names": None, "caption": caption}
        return Program(lambda z: self.generate(z, Condition(text=text.expand(z.shape[0], -1))), {"z": z}, facts=facts)

    def pictures(self, real: Images | None) -> dict[str, Tensor]:
        """Held-out pictures, each before four drawn of its caption."""
        if real is None or real.texts is None:
            return {}
        some = inference.spread(len(real), 8)
        texts = torch.from_numpy(real.texts[some])
        columns = [to_float(torch.from_numpy(real.values[some]))]
        columns += [self.depict(texts, seed=len(some) * i) for i in range(4)]
        return {"captions": torch.stack(columns, 1)}


_GIVE = "give data with captions, such as Avatars with captions=true"
