"""Names of classes travel from the data through training into the folder, and from there to `labels`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import tiny, trainer

import ganzoo
from ganzoo import cli, folder
from ganzoo.data.digits import Digits
from ganzoo.data.fashion_mnist import CLASSES
from ganzoo.types import BadArgument, BadModelFolder


@pytest.mark.parametrize(("family", "named"), [("cgan", True), ("stylegan2", True), ("infogan", False), ("gan", False)])
def test_training_writes_them_where_the_classes_are_the_datas(family: str, named: bool, tmp_path: Path) -> None:
    own = {"categories": 10} if family == "infogan" else {} if family == "gan" else {"classes": 10}
    game = tiny(family, size=8, channels=1, **own) if family != "gan" else tiny(family)
    trainer(1).fit(game, Digits(batch_size=4))
    names = tuple("0123456789") if named else None
    assert game.class_names == names
    kept = ganzoo.load(ganzoo.save(game, tmp_path / "model"))
    assert kept.class_names == names
    assert ("class_names" in json.loads((tmp_path / "model" / "config.json").read_text())) == named


def test_a_class_is_drawn_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ganzoo.load("acgan-fashion-mnist")
    assert model.class_names == CLASSES
    images = model.sample(3, labels=["boot", 4, "T-shirt/top"])
    assert torch.equal(images, model.sample(3, labels=[9, 4, 0]))
    assert torch.equal(model.sample(2, labels="boot"), model.sample(2, labels=9))
    with pytest.raises(BadArgument, match=r"label 'boat': there is no such class; did you mean Coat\?"):
        model.sample(1, labels="boat")
    for name, labels in (("named", "boot,coat"), ("numbered", "9,4")):
        words = ["sample", "acgan-fashion-mnist", "--seeds", "0-1", "--labels", labels, "--device", "cpu"]
        assert cli.main([*words, "--out", str(tmp_path / f"{name}.png")]) == 0
    assert (tmp_path / "named.png").read_bytes() == (tmp_path / "numbered.png").read_bytes()
    words = ["sample", "infogan-fashion-mnist", "--seeds", "0", "--labels", "boot", "--device", "cpu"]
    assert cli.main([*words, "--out", str(tmp_path / "none.png")]) == 2
    assert "label 'boot': a number is expected, as these classes have no names" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["boot", {"a": 1}, [1, 2], [["x"]]])
def test_what_is_no_list_of_names_is_refused(names: object, tmp_path: Path) -> None:
    place = ganzoo.save(ganzoo.load("acgan-fashion-mnist"), tmp_path / "model")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "class_names": names}))
    folder.write_manifest(place)
    with pytest.raises(BadModelFolder, match="class_names is no list of names"):
        ganzoo.load(place)


def test_every_shipped_model_with_classes_of_its_data_names_them() -> None:
    for name in [entry["name"] for entry in ganzoo.list_models() if entry["status"] == "shipped"]:
        model = ganzoo.load(name)
        named = model.classes is not None and model.named
        assert (model.class_names is not None) == named, name
        assert model.class_names is None or len(model.class_names) == model.classes
