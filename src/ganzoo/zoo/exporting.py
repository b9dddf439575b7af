"""Exporting a model by its name to a file of another runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.schema import checked
from ganzoo.zoo.loading import load

if TYPE_CHECKING:
    from ganzoo.zoo.loading import Model


@checked
def export(model: Model, file: str | Path, format: str | None = None, **options: Any) -> dict[str, Any]:
    """Writes a model as one file of another runtime, and checks that the file draws the model's pictures.

    Args:
        model: a name, `hf://org/repo[@revision]`, a folder, or a loaded model.
        file: where to: `.onnx`, or `.pt2` for a program of `torch.export`.
        format: `onnx` or `torch`; what the file's suffix says where None.
        **options: `noise` (`given`, `const` or `none`) of StyleGANs; `to` of translations.

    Returns:
        `file`, `format`, `opset` of ONNX, `inputs` (the shape of each, with names for what may be any number),
        `difference` (the largest of a pixel between the file's pictures and the model's), `largest` (of these pixels'
        absolute values), and `facts`, which are its metadata.

    Raises:
        BadArgument: for another format, suffix or option, or without the extra `export`.
        BadCheckpoint: if the file draws other pictures than the model; it is not kept.
    """
    from ganzoo.runtimes.writing import write

    return write(load(model), file, format, **options)


def export_page(model: Model, folder: str | Path, say: Callable[[str], None], **options: Any) -> dict[str, Any]:
    """Writes a static page that runs a model in the browser; see `runtimes.web.write_page`."""
    from ganzoo.runtimes.web import write_page

    return write_page(load(model), folder, say, **options)
