"""Two families of a user's own, in modules outside the package, with recipes outside the repository.

Each command runs in a process of its own that knows the modules by `GANZOO_IMPORT` alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import own_families
import pytest

SOURCE = Path(own_families.__file__).resolve().parents[1] / "src"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules and their recipes, in which both were trained."""
    folder = tmp_path_factory.mktemp("own")
    own_families.write(folder)
    for name in ("test_ebgan", "test_stargan"):
        said = command(folder, "train", f"recipes/{name}.yaml", "--run.folder", f"runs/{name}")
        assert "trained 6 steps" in said
    return folder


def run(folder: Path, *words: str, known: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "GANZOO_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    if known:
        environment["GANZOO_IMPORT"] = "test_ebgan,test_stargan"
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def command(folder: Path, *words: str) -> str:
    done = run(folder, "-m", "ganzoo", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_are_listed_and_known(home: Path) -> None:
    assert {"test_ebgan", "test_stargan"} <= set(command(home, "list", "--families").split())


def test_samples_and_translations(home: Path) -> None:
    command(home, "sample", "runs/test_ebgan", "--seeds", "0-3", "--out", "four.png", "--device", "cpu")
    assert (home / "four.png").is_file()
    (home / "in").mkdir(exist_ok=True)
    made = (
        "import ganzoo, numpy as np; from PIL import Image;"
        "[Image.fromarray(np.random.RandomState(i).randint(0, 256, (11, 8)).astype('uint8')).save(f'in/{i}.png')"
        " for i in range(2)]"
    )
    assert run(home, "-c", made).returncode == 0
    said = command(home, "translate", "runs/test_stargan", "in", "--to", "digit-3", "--out", "out", "--device", "cpu")
    assert "to digit-3" in said and sorted(p.name for p in (home / "out").iterdir()) == ["0.png", "1.png"]
    refused = run(home, "-m", "ganzoo", "translate", "runs/test_stargan", "in", "--to", "smile", "--device", "cpu")
    assert refused.returncode == 2 and "does not translate to 'smile'" in refused.stderr


def test_each_picture_has_its_own_target(home: Path) -> None:
    code = (
        "import torch, ganzoo; model = ganzoo.load('runs/test_stargan'); x = torch.rand(3, 1, 8, 8) * 2 - 1;"
        "mixed = model.translate(x, to=['digit-1', 'digit-7', 'digit-1']);"
        "assert torch.allclose(mixed[1], model.translate(x, to='digit-7')[1], atol=1e-5);"
        "assert torch.allclose(mixed[::2], model.translate(x, to='digit-1')[::2], atol=1e-5)"
    )
    done = run(home, "-c", "import test_ebgan, test_stargan;" + code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "protocol"), [("test_ebgan", "fd200_digits_cnn_test"), ("test_stargan", "acc200_digits_cnn_test_uniform")]
)
def test_scores_verification_and_a_dry_push(home: Path, name: str, protocol: str) -> None:
    command(home, "evaluate", f"runs/{name}", "--protocol", protocol, "--write", "--device", "cpu")
    rows = json.loads((home / "runs" / name / "last" / "results.json").read_text())
    assert [row["key"] for row in rows] == [protocol]
    assert "golden" in command(home, "verify", f"runs/{name}")
    assert "would be pushed to me/mine" in command(
        home, "push", f"runs/{name}/last", "me/mine", "--license", "apache-2.0", "--dry-run"
    )


def test_saved_and_loaded_again(home: Path) -> None:
    code = (
        "import torch, ganzoo, test_ebgan; model = ganzoo.load('runs/test_ebgan', players=True);"
        "ganzoo.save(model, 'kept'); again = ganzoo.load('kept');"
        "assert torch.equal(again.sample(4, seed=3), model.sample(4, seed=3))"
    )
    done = run(home, "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_fresh_process_says_how_the_module_is_made_known(home: Path) -> None:
    """The folder remembers the module as a hint; nothing is imported on its word."""
    done = run(home, "-m", "ganzoo", "sample", "runs/test_ebgan", "--device", "cpu", known=False)
    assert done.returncode != 0 and "GANZOO_IMPORT=test_ebgan" in done.stderr and "Traceback" not in done.stderr
