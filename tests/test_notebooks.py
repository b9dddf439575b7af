"""The notebook for class: as it is committed, with its outputs, and executed afresh, nightly."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "notebooks" / "class.ipynb"
SECTIONS = ("ring", "unrolled", "walk", "arithmetic", "directions", "projection")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def check_outputs(notebook: Any) -> None:
    """Each cell ran, in order and without an error; each section shows a picture that is not empty."""
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    shown: dict[str, list[Image.Image]] = {}
    section = ""
    for cell in notebook["cells"]:
        if found := re.search(r"^## (\d)\. (.*)", "".join(cell["source"]), re.M):
            section = found[2].lower()
            shown[section] = []
        for output in cell.get("outputs", []):
            if content := output.get("data", {}).get("image/png"):
                shown[section].append(Image.open(io.BytesIO(base64.b64decode("".join(content)))))
    assert len(shown) == len(SECTIONS)
    for name, (title, pictures) in zip(SECTIONS, shown.items(), strict=True):
        assert name in title and pictures, title
        assert all(np.asarray(picture.convert("L")).std() > 10 for picture in pictures), title


def test_the_notebook_is_committed_with_its_outputs() -> None:
    text = NOTEBOOK.read_text()
    notebook = json.loads(text)
    check_outputs(notebook)
    assert len(text) < 400_000  # 300 kB of pictures, in base64
    assert notebook["metadata"].keys() == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in code_cells(notebook):
        compile("".join(cell["source"]), cell["id"], "exec")
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    said = [line for output in outputs for line in output.get("text", [])]
    said += [line for cell in notebook["cells"] for line in cell["source"]]
    path = re.compile(r"(?<![\w.:])/(work|root|home|tmp|usr|opt|Users)\b|localhost|[Ww]arning|Traceback")
    assert said and not path.findall("".join(said))


def test_the_notebook_is_linked_and_its_links_lead_somewhere() -> None:
    assert "(notebooks/class.ipynb)" in (ROOT / "docs" / "README.md").read_text()
    prose = "".join("".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"])
    links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if not link.startswith("https://")]
    assert links and all((NOTEBOOK.parent / link).exists() for link in links)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_notebook_runs_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "the notebook is executed with the extra `notebook`: pip install -e '.[notebook]'"
    nbformat, nbclient, _ = (pytest.importorskip(name, reason=why) for name in ("nbformat", "nbclient", "ipykernel"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in code_cells(notebook):
        cell["outputs"], cell["execution_count"] = [], None
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    nbformat.write(notebook, tmp_path / "class.ipynb")  # to be looked at, or committed
    check_outputs(notebook)
    said = "".join(output["text"] for cell in code_cells(notebook) for output in cell["outputs"] if "text" in output)
    plain, unrolled = map(int, re.findall(r"plain (\d) and unrolled (\d)", said)[0])
    assert plain <= 3 and unrolled >= 6
    errors = [float(each) for each in re.findall(r"errors in \[-1, 1\]: (.*)", said)[0].split(", ")]
    assert len(errors) == 4 and max(errors[:3]) < errors[3]  # its own samples are nearer than what it cannot make
    brightness = [float(each) for each in re.findall(r"brightness ([+-][\d.]+)", said)]
    assert len(brightness) == 5 and brightness == sorted(brightness)
