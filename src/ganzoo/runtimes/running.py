"""Drawing from an exported model in ONNX Runtime: no torch is imported, and a seed's picture is the model's.

The file's metadata hold, under `ganzoo`, what draws its inputs: the prior, the classes, how truncation and noise enter.
A stranger's file is data: ONNX Runtime computes it and looks at no other file, and the metadata are held against it.
"""

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganzoo.data.classes import class_index
from ganzoo.game import inference
from ganzoo.game.priors import draw, draw_noise, prior_of, truncate
from ganzoo.types import BadArgument, BadCheckpoint, quoted

KEY = "ganzoo"  # of the metadata
FORMAT = 1
EXTRA = "pip install 'lightning-ganzoo[export]'"
_LARGEST = 2**31 - 1  # bytes of a file of protocol buffers

Array = npt.NDArray[Any]


class ExportedModel:
    """A model in an ONNX file that ganzoo wrote.

    Args:
        path: the file.
        threads: of ONNX Runtime; as many as there are cores where None.

    Attributes:
        facts: the metadata, as plain JSON values.
        inputs: the shape of each input, with None for the images' axis.

    Raises:
        BadArgument: without ONNX Runtime, or if there is no such file.
        BadCheckpoint: for a file that is none, or that ganzoo did not write.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise BadArgument(f"{path}: there is no such file")
        if self.path.stat().st_size > _LARGEST:
            raise BadCheckpoint(f"{path}: {self.path.stat().st_size} bytes; an ONNX file has at most {_LARGEST}")
        try:
            import onnxruntime  # type: ignore[import-untyped]
        except ImportError:
            raise BadArgument(f"{path} runs in ONNX Runtime, which is not installed; {EXTRA}") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong comes as an error
        options.intra_op_num_threads = threads or 0
        # Tensors in other files, which a stranger's could name, are looked for in an empty folder
        self._nothing = tempfile.TemporaryDirectory(prefix="ganzoo-")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", self._nothing.name)
        try:
            content = self.path.read_bytes()
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own have no base class but this
            raise BadCheckpoint(f"{path}: no model that ONNX Runtime reads ({_short(error)})") from None
        self.inputs: dict[str, tuple[Any, ...]] = {
            each.name: tuple(n if isinstance(n, int) else None for n in each.shape)
            for each in self._session.get_inputs()
        }
        self.facts = self._read(self._session.get_modelmeta().custom_metadata_map.get(KEY))

    def _read(self, text: str | None) -> dict[str, Any]:
        """The metadata, held against the model's inputs."""
        if text is None:
            raise BadCheckpoint(f"{self.path}: an ONNX file of somebody else's; `ganzoo export` writes such files")
        try:
            facts = json.loads(text)
            if facts["format"] != FORMAT:
                raise BadCheckpoint(f"{self.path}: format {quoted(facts['format'])}; this ganzoo reads format {FORMAT}")
            sides = facts["shape"]
            sound = all(isinstance(side, int) and 0 < side < 2**16 for side in sides) and 0 < len(sides) < 4
            sound = sound and all(len(shape) < 5 for shape in self.inputs.values())
            if "prior" in facts:
                sound = sound and self.inputs["z"] == (None, sum(part["length"] for part in facts["prior"]))
                sound = sound and ("labels" in self.inputs) == (facts["classes"] is not None)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadCheckpoint(f"{self.path}: its metadata are damaged ({_short(error)})") from None
        if not sound:
            raise BadCheckpoint(f"{self.path}: its metadata do not belong to its inputs, {quoted(self.inputs)}")
        return facts

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image, or `(d,)` of a point."""
        return tuple(self.facts["shape"])

    def run(self, **inputs: Array) -> Array:
        """Images `(n, C, H, W)` float32 in [-1, 1] of the graph's inputs, each by its name."""
        try:
            return self._session.run(None, inputs)[0]
        except Exception as error:  # as above
            raise BadArgument(f"{self.path}: ONNX Runtime cannot compute this ({_short(error)})") from None

    def sample(
        self,
        seeds: Sequence[int],
        *,
        labels: Sequence[int | str] | None = None,
        truncation: float | None = None,
        truncation_cutoff: int | None = None,
        noise: str | None = None,
        batch_size: int | None = None,
    ) -> Array:
        """Draws the pictures that the model itself draws of these seeds.

        Args:
            seeds: one an image.
            labels: classes by index or name, one for all or one an image; None draws them.
            truncation: where the model has one.
            truncation_cutoff: layers from this one on are not truncated.
            noise: `random`, `const` or `none`, where there are noise inputs; what the file was not exported for is
                refused.
            batch_size: images made at a time; None for a million pixels' worth, and at most 64.

        Returns:
            `(n, C, H, W)` float32 in [-1, 1], or points `(n, d)`.

        Raises:
            BadArgument: for a seed, label or option that cannot be.
        """
        if "prior" not in self.facts:
            raise BadArgument(f"{self.path} maps images to others and draws none of its own")
        chosen = self._labels(labels, len(seeds))
        step = inference.at_a_time(batch_size, self.shape[1:])
        images = []
        for start in range(0, len(seeds), step):
            rngs = inference.streams(seeds[start : start + step])
            given = None if chosen is None else chosen[start : start + step]
            z, drawn = draw(prior_of(self.facts["prior"]), rngs, self.facts["classes"] if given is None else None)
            inputs: dict[str, Array] = {"z": self._truncated(z, rngs, truncation)}
            if "labels" in self.inputs:
                inputs["labels"] = np.asarray(drawn if given is None else given, np.int64)
            if "truncation" in self.inputs:
                inputs["truncation"] = self._psi(truncation, truncation_cutoff)
            images.append(self.run(**inputs, **self._noise(noise, rngs)))
        return np.concatenate(images)

    def _labels(self, labels: Sequence[int | str] | None, n: int) -> list[int] | None:
        """An index an image."""
        classes, names = self.facts["classes"], self.facts["class_names"]
        if labels is None:
            return None
        if classes is None:
            raise BadArgument(f"{self.path} has no classes, so no labels can be given")
        found = [class_index(each, names) if isinstance(each, str) else each for each in labels]
        wrong = next((each for each in found if not 0 <= each < classes), None)
        if wrong is not None:
            raise BadArgument(f"label {wrong} is out of range; classes run from 0 to {classes - 1}")
        if len(found) not in (1, n):
            raise BadArgument(f"there are {len(found)} labels for {n} images; give one, or one an image")
        return found * n if len(found) == 1 else found

    def _truncated(self, z: Array, rngs: list[np.random.RandomState], truncation: float | None) -> Array:
        """z as it is, or with what is too large drawn again where truncation is of z."""
        kind = self.facts.get("truncation")
        if truncation is None or kind == "w":
            return z
        if kind is None:
            raise BadArgument(f"{self.path} has no truncation; leave it out")
        if not 0 < truncation <= (1 if kind == "scale" else math.inf):
            limits = "above 0, and at most 1," if kind == "scale" else "above 0"
            raise BadArgument(f"truncation is {truncation}; a number {limits} is expected")
        return truncate(z, rngs, *((self.facts["limit"], truncation) if kind == "scale" else (truncation,)))

    def _psi(self, truncation: float | None, cutoff: int | None) -> Array:
        """The graph's own input: a number, below 0 for none, or one a layer of w, 1 for none."""
        if self.facts["truncation"] == "scale":
            return np.array(-1 if truncation is None else truncation, np.float64)
        (count,) = self.inputs["truncation"]
        if truncation is not None and not abs(truncation) <= 1e6:
            raise BadArgument(f"truncation is {truncation}; a number up to 1e6 is expected, such as 0.7, or none")
        if cutoff is not None and not 0 <= cutoff <= count:
            raise BadArgument(f"truncation_cutoff is {cutoff}; a number of layers from 0 to {count} is expected")
        psi = np.full(count, 1 if truncation is None else truncation, np.float32)
        psi[count if cutoff is None else cutoff :] = 1
        return psi

    def _noise(self, noise: str | None, rngs: list[np.random.RandomState]) -> dict[str, Array]:
        """The noise inputs: drawn from each image's stream, layer by layer, or 0."""
        has = self.facts.get("noise")
        if noise not in (None, "random", "const", "none"):
            raise BadArgument(f"noise is {noise!r}; random, const or none is expected")
        if has not in (None, "given") and noise not in (None, has):
            raise BadArgument(f"{self.path} was exported with the noise {has}; export it with --noise given")
        if has == "given" and noise == "const":
            raise BadArgument(f"{self.path} holds no noise of its own; export it with --noise const")
        sides, kind = (
            {n: s[-1] for n, s in self.inputs.items() if n.startswith("noise_")},
            str(self.facts.get("noise_kind")),
        )
        return {
            name: np.stack(
                [np.zeros((1, side, side)) if noise == "none" else draw_noise(rng, side, kind) for rng in rngs]
            ).astype(np.float32)
            for name, side in sides.items()
        }


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
