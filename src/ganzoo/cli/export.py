"""`ganzoo export`: a model as a file of another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli import new_parser
from ganzoo.types import BadArgument

if TYPE_CHECKING:
    from argparse import ArgumentParser

HELP = "write a model for other runtimes"


def parser() -> ArgumentParser:
    """The command's options."""
    made = new_parser(
        prog="ganzoo export",
        description="Writes a model as one file, and checks that the file draws the model's pictures.",
        epilog=(
            "examples:\n"
            "  ganzoo export dcgan-fashion-mnist --out dcgan.onnx\n"
            "  ganzoo sample dcgan.onnx --seeds 0-15 --out grid.png\n"
            "  ganzoo export stylegan2-fashion-mnist --noise const --out clothes.onnx\n"
            "  ganzoo export cyclegan-emoji --to a --out back.onnx\n"
            "  ganzoo export dcgan-digits --format torch --out digits.pt2\n"
            "  ganzoo export stylegan2-fashion-mnist --web page/   # for any static host"
        ),
    )
    made.add_argument("model", type=str, help="a name, hf://org/repo[@revision], or a folder")
    made.add_argument("--out", type=str, default=None, help="a file .onnx, or .pt2 for torch")
    made.add_argument("--web", type=str, default=None, help="a folder for a page that runs the model in the browser")
    made.add_argument("--format", type=str, default=None, help="onnx or torch (default: by the file's suffix)")
    made.add_argument("--noise", type=str, default=None, help="of StyleGANs: given (as inputs), const or none")
    made.add_argument("--to", type=str, default=None, help="of translations: the domain")
    return made


def run(arguments: Any) -> int:
    """Writes, and says what the file takes."""
    from ganzoo.zoo.exporting import export, export_page

    options = {name: getattr(arguments, name) for name in ("noise", "to") if getattr(arguments, name) is not None}
    if (arguments.out is None) == (arguments.web is None):
        raise BadArgument("one of --out FILE and --web FOLDER is expected")
    if arguments.web is not None:
        export_page(arguments.model, arguments.web, print, **options)
        print(f"a page in {arguments.web}; look at it by `python3 -m http.server --bind 127.0.0.1 -d {arguments.web}`")
        return 0
    made = export(arguments.model, arguments.out, arguments.format, **options)
    opset, size = f", opset {made['opset']}" if "opset" in made else "", Path(made["file"]).stat().st_size / 1e6
    print(f"{arguments.model} in {made['file']}: {made['format']}{opset}, {size:.1f} MB")
    for name, shape in made["inputs"].items():
        print(f"  {name}: ({', '.join(map(str, shape))})")
    print(f"  its pictures are the model's within {made['difference']:.1e}")
    if (terms := made["facts"]["terms"]) and terms["redistribute"] != "yes":
        print(f"  license: {terms['title']}; not every use is allowed, and the file may not be passed on freely")
    return 0
