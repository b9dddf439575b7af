"""The whole way: train, push, pull elsewhere, sample, train on, push under a tag, load both."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hub_server import Hub
from hub_tools import fresh, ganzoo

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "dcgan" / "digits.yaml"
SMALL = ["--model.init_args.width", "8", "--data.init_args.batch_size", "16", "--run.protocols", "[]"]


def train(folder: Path, steps: int, *options: str) -> Path:
    from ganzoo.cli import main

    words = ["train", str(RECIPE), "--trainer.max_steps", str(steps), "--run.folder", str(folder), *SMALL, *options]
    assert main([*words, "--run.preview_every", "1000"]) == 0
    return folder / "last"


def client_first(root: str) -> None:
    """One machine: trains, pushes, and keeps what the model draws."""
    import torch

    import ganzoo

    model = train(Path(root) / "first", 20, "--run.push", "alice/digits@v1")
    torch.save(ganzoo.load(model).sample(8, seed=3), Path(root) / "drawn.pt")


def client_second(root: str, commit: str) -> None:
    """Another machine with an empty cache: draws the same, trains on, pushes, and loads both by revision."""
    import torch

    import ganzoo

    drawn = torch.load(Path(root) / "drawn.pt", weights_only=True)
    model = ganzoo.load("hf://alice/digits")
    assert model.provenance is not None and model.provenance["commit"] == commit
    assert torch.equal(model.sample(8, seed=3), drawn), "bit-equal"

    tuned = train(Path(root) / "second", 10, "--init_from", "hf://alice/digits@v1")
    with pytest.raises(ganzoo.GanzooError, match="a tag v1 already"):
        ganzoo.push(tuned, "alice/digits", license="apache-2.0", tag="v1")
    again = ganzoo.load(tuned, players=True)
    done = ganzoo.push(again, "alice/digits", license="apache-2.0", tag="v2")  # a loaded model this time
    old, new = (ganzoo.load("hf://alice/digits", revision=tag, players=True) for tag in ("v1", "v2"))
    assert torch.equal(old.sample(8, seed=3), drawn)
    assert torch.equal(new.sample(8, seed=3), again.sample(8, seed=3)) and not torch.equal(new.sample(8, seed=3), drawn)
    for key, tensor in again.player_tensors().items():
        assert torch.equal(new.player_tensors()[key], tensor), key
    assert new.provenance is not None and new.provenance["commit"] == done["commit"] != commit
    assert new.card is not None and new.card.facts["license"] == "apache-2.0"
    found = ganzoo.verify("hf://alice/digits@v2")
    assert found["golden"] is not None and found["golden"] <= 2


def test_train_push_pull_sample_tune_push_load(hub: Hub, tmp_path: Path) -> None:
    fresh(__file__, "client_first", tmp_path, hub=hub, cache=tmp_path / "a", token="hf_alice")
    commit = hub.repos["alice/digits"].tags["v1"]
    fresh(__file__, "client_second", tmp_path, commit, hub=hub, cache=tmp_path / "b", token="hf_alice")
    repo = hub.repos["alice/digits"]
    assert set(repo.tags) == {"v1", "v2"} and len(repo.commits) == 3, "one commit a push"
    card = hub.content("alice/digits", "README.md", "v2").decode()
    assert "license: apache-2.0" in card and 'ganzoo.load("hf://alice/digits")' in card

    done = ganzoo("pull", "hf://alice/digits@v1", hub=hub, cache=tmp_path / "c")
    assert done.returncode == 0 and Path(done.stdout.strip()).is_dir()
    done = ganzoo("pull", "hf://alice/digit", "--players", hub=hub, cache=tmp_path / "c")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "does not exist" in done.stderr
    done = ganzoo("pull", "stylegan2-fhq", cache=tmp_path / "c")
    assert done.returncode == 2 and "did you mean stylegan2-ffhq" in done.stderr
    done = ganzoo("cards", "--check", "--no-such-option", cache=tmp_path / "c")
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def client_pull_without_torch(model: str) -> None:
    from ganzoo.cli import main

    status = main(["pull", model])
    print(status, "torch" in sys.modules)


def test_pull_imports_no_torch(hub: Hub, tmp_path: Path) -> None:
    from hub_tools import model_files

    hub.put("alice/gan", model_files())
    said = fresh(__file__, "client_pull_without_torch", "hf://alice/gan", hub=hub, cache=tmp_path / "cache")
    assert said.splitlines()[-1] == "0 False"


def test_a_release_pushes_every_shipped_model(capsys: pytest.CaptureFixture[str]) -> None:
    from ganzoo import folder as checkpoint
    from ganzoo.cli import main

    shipped = checkpoint.shipped_folders()
    for name, folder in shipped.items():
        license = checkpoint.ModelFolder(folder).config["license"]
        assert license in ("apache-2.0", "cc-by-4.0", "cc0-1.0", "mit"), f"{name} is under {license}"
    assert main(["push", "--shipped", "org", "--tag", "v0", "--dry-run"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "would be pushed" in line]
    assert [line.split()[4] for line in lines] == [f"org/{name}" for name in shipped]
    assert any("org/cyclegan-emoji" in line and "license cc-by-4.0" in line for line in lines), "each under its own"
    for wrong in (["--shipped", "org", "gan-digits", "me/x"], ["gan-digits"], []):
        assert main(["push", *wrong, "--license", "mit"]) == 2


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
