"""What benchmarks share that fill a page's table run by run: training without a word, and figures that are kept.

A figure that is in its file already is not measured again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ganzoo.files import atomic

MARK = "<!-- table -->\n"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A command line whose help is a benchmark's docstring, and that has `--out`."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="a page whose table is replaced; by default it is printed alone")
    return made


def quiet() -> None:
    """One thread, and no word of Lightning's."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def trainer(**options: Any) -> L.Trainer:
    """A trainer of one process on the CPU, which leaves nothing behind unless the options say so."""
    shown = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return L.Trainer(**{"accelerator": "cpu", "devices": 1, "use_distributed_sampler": False, **shown, **options})


def once(file: Path, measure: Callable[[], dict[str, Any]], anew: bool = True) -> dict[str, Any]:
    """The figures of a file.

    Args:
        file: where they are kept.
        measure: gives them where there is no such file.
        anew: whether it may; there are no figures otherwise.
    """
    if not file.is_file():
        if not anew:
            return {}
        file.parent.mkdir(parents=True, exist_ok=True)
        found = measure()
        with atomic(file) as part:
            part.write_text(json.dumps(found))
        print(f"{file.stem}: {found}", flush=True)
    kept: dict[str, Any] = json.loads(file.read_text())
    return kept


def spread(values: Sequence[float], digits: int, of_mean: bool = False) -> str:
    """The mean and the standard deviation, of the values or of their mean; without one of a single value."""
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values)
    error = statistics.stdev(values) / (len(values) ** 0.5 if of_mean else 1)
    return f"{statistics.mean(values):.{digits}f} ± {error:.{digits}f}"


def show(table: str, page: Path | None, mark: str = MARK) -> None:
    """Prints a table, and puts it in place of a page's, behind its mark; the page is made where there is none."""
    print(table)
    if page is None:
        return
    whole = page.read_text(encoding="utf-8") if page.exists() else f"{mark}<!-- end -->\n"
    before, found, rest = whole.partition(mark)
    if not found:
        raise SystemExit(f"{page} has no line {mark.strip()}, after which the table is to stand")
    with atomic(page) as part:
        part.write_text(f"{before}{mark}{table}\n{rest[rest.index('<!-- ') :]}", encoding="utf-8")
