"""Every family in ONNX Runtime: the pictures of the model's own seeds, labels, truncation and noise, without torch."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from helpers import pictures, stirred, tiny

import ganzoo
from ganzoo import cli
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.runtimes.running import KEY, ExportedModel
from ganzoo.types import BadArgument, BadCheckpoint, Condition, GanzooError

SEEDS = [3, 1, 4, 1, 5]  # neither two nor in order
# StyleGAN's constant vanishes: 0 / sqrt(0 + 1e-8) is to be 0 there too; the other's pictures would be black
FRESH = ("stylegan", "lucidrains_stylegan2")


def same(made: Any, expected: torch.Tensor) -> None:
    """The promise is 1e-3 of a pixel; as small networks make small pictures, it is held relative to these."""
    wanted = expected.detach().numpy()
    assert made.shape == wanted.shape and made.dtype == np.float32 and wanted.std() > 0
    assert np.abs(made - wanted).max() < 1e-3 * np.abs(wanted).max()


def exported(game: Any, folder: Path, **options: Any) -> ExportedModel:
    found = ganzoo.export(game, folder / "model.onnx", **options)
    assert found["difference"] < 1e-3 and found["opset"] == 18
    return ExportedModel(folder / "model.onnx", threads=1)


@pytest.mark.parametrize("name", registry.list_families())
def test_every_family_draws_the_same_in_onnx_runtime(name: str, tmp_path: Path) -> None:
    game: Any = tiny(name).eval()
    if name not in FRESH:
        stirred(game)
    if "styled" in game.abilities:
        game.averaged.mapping.mean.fill_(0.3)  # somewhere, so that truncation counts
    model = exported(game, tmp_path)
    if "upscales" in game.abilities:
        source = pictures(3, (game.shape[0], 10, 12))
        same(model.run(source=source.numpy()), game.upscale(source))
        return
    if "translates" in game.abilities:
        source = pictures(3, game.source_shape)
        # One style for all, where there are several
        same(model.run(source=source.numpy()), game.translate(source, seed=[0] * len(source)))
        return
    options: dict[str, Any] = {} if model.facts.get("truncation") is None else {"truncation": 0.6}
    given: dict[str, Any] = {}
    if "steps" in inspect.signature(game.render).parameters:  # a chain of gradients stays here
        given["steps"] = 0
    if "depicts" in game.abilities:  # and one caption
        given["condition"] = Condition(text=game.told(Condition(), len(SEEDS)))
    same(model.sample(SEEDS, batch_size=2, **options), game.sample(seeds=SEEDS, **given, **options))
    assert model.facts["classes"] == game.classes and model.shape == game.shape


@pytest.mark.nightly
def test_every_family_stands_in_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "export.md"
    rows = page.read_text().partition("<!-- table -->")[2].partition("<!-- end -->")[0].splitlines()[3:-1]
    differences = {row.split("|")[1].strip(): float(row.split("|")[4]) for row in rows}
    assert [*differences] == registry.list_families(), "python docs/exports.py FAMILY writes a family's row"
    assert max(differences.values()) < 1e-3


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("stylegan2", {"classes": 3}), ("stylegan3", {"configuration": "r"})],
)
def test_styles(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    game: Any = stirred(tiny(name, **arguments).eval())
    game.averaged.mapping.mean.fill_(0.3)
    game.class_names = ("red fox", "owl", "hare")
    model = exported(game, tmp_path)
    ways: list[dict[str, Any]] = [
        {"noise": "none"},
        {"truncation": 0.5, "truncation_cutoff": 2},
        {"truncation": 1.0},
        {},
    ]
    for options in ways:
        same(model.sample(SEEDS, **options), game.sample(seeds=SEEDS, **options))
    if game.classes:
        same(model.sample(SEEDS, labels=["fox"]), game.sample(seeds=SEEDS, labels=["fox"]))
        same(model.sample(SEEDS, labels=[0, 1, 2, 2, 0]), game.sample(seeds=SEEDS, labels=[0, 1, 2, 2, 0]))
        for labels in (["cat"], [3], [0, 1]):
            with pytest.raises(BadArgument, match="label"):
                model.sample(SEEDS, labels=labels)
        constant = exported(game, tmp_path, noise="const")
        assert not [each for each in constant.inputs if each.startswith("noise")]
        same(constant.sample(SEEDS), game.sample(seeds=SEEDS, noise="const"))
        with pytest.raises(BadArgument, match="exported with the noise const; export it with --noise given"):
            constant.sample(SEEDS, noise="random")
        with pytest.raises(BadArgument, match="export it with --noise const"):
            model.sample(SEEDS, noise="const")
    wrong: list[dict[str, Any]] = [
        {"truncation": np.nan},
        {"truncation": 1, "truncation_cutoff": 99},
        {"noise": "loud"},
    ]
    for options in wrong:
        with pytest.raises(BadArgument, match="is expected"):
            model.sample(SEEDS, **options)


def test_biggans_statistics_by_truncation(tmp_path: Path) -> None:
    game: Any = stirred(tiny("biggan", statistics=6).eval())
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, buffer in game.averaged.named_buffers():
            if key.rpartition(".")[2] in ("means", "variances", "running_mean"):
                buffer.copy_(torch.rand(buffer.shape, generator=draw) + 0.5)
    model = exported(game, tmp_path)
    drawn = [game.sample(seeds=SEEDS, truncation=truncation) for truncation in (0.2, 0.6, 0.63, 1.0, None)]
    for truncation, wanted in zip((0.2, 0.6, 0.63, 1.0, None), drawn, strict=True):
        same(model.sample(SEEDS, truncation=truncation), wanted)
    assert (drawn[1] - drawn[2]).abs().max() > 1e-3 * drawn[1].abs().max(), "rows are mixed"
    with pytest.raises(BadArgument, match="above 0, and at most 1"):
        model.sample(SEEDS, truncation=1.5)


def test_a_program_of_torch(tmp_path: Path) -> None:
    game: Any = stirred(tiny("infogan").eval())
    found = ganzoo.export(game, tmp_path / "info.pt2")
    extra = {f"{KEY}.json": ""}
    program: Any = torch.export.load(str(tmp_path / "info.pt2"), extra_files=extra).module()
    z, labels = game.draw(SEEDS)
    with torch.no_grad():
        same(program(z, labels).numpy(), game.sample(seeds=SEEDS))
    assert found["format"] == "torch" and json.loads(extra[f"{KEY}.json"])["inputs"] == ["z", "labels"]


def test_the_file_says_what_it_is_and_not_where_it_was_made(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_model(tiny("infogan"), folder, {"name": "mine", "license": "cc0-1.0"})
    ganzoo.export(folder, tmp_path / "mine.onnx")
    facts = ExportedModel(tmp_path / "mine.onnx").facts
    assert facts["license"] == "cc0-1.0" and facts["family"] == "infogan" and facts["value_range"] == [-1, 1]
    assert facts["check"]["seeds"] == [0, 1] and len(facts["check"]["sha256"]) == 64
    assert [part["kind"] for part in facts["prior"]] == ["normal", "uniform"] or facts["prior"]
    content = (tmp_path / "mine.onnx").read_bytes()
    assert b"site-packages" not in content and str(Path(ganzoo.__file__).parent).encode() not in content


def test_the_command_draws_without_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("infogan", "gan"):
        folder, file = tmp_path / name, tmp_path / f"{name}.onnx"
        write_model(stirred(tiny(name)), folder, {"name": name})
        assert cli.main(["export", str(folder), "--out", str(file)]) == 0
        assert "opset 18" in capsys.readouterr().out
        code = (
            "import sys; from ganzoo.cli import main; status = main(sys.argv[1:]);"
            "print(sorted({'torch', 'lightning', 'matplotlib', 'onnx'} & set(sys.modules))); sys.exit(status)"
        )
        command = ["sample", str(file), "--seeds", "0-3,9", "--out", str(tmp_path / "a.png")]
        env = {**os.environ, "PYTHONPATH": str(Path(ganzoo.__file__).parents[1])}
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, env=env)
        assert done.returncode == 0 and done.stdout.endswith("[]\n"), done.stderr + done.stdout
        again = ["sample", str(folder), "--seeds", "0-3,9", "--out", str(tmp_path / "b.png"), "--device", "cpu"]
        assert cli.main(again) == 0
        from PIL import Image

        one, other = (np.asarray(Image.open(tmp_path / f"{x}.png"), np.int16) for x in "ab")
        assert one.shape == other.shape and np.abs(one - other).max() <= 1


def test_what_cannot_be_exported_or_read_is_one_line(tmp_path: Path) -> None:
    game = tiny("dcgan").eval()
    options: dict[str, Any]
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("a.onnx", {"format": "tflite"}, "onnx or torch is expected"),
        ("a.pt2", {"format": "onnx"}, "ends in .onnx"),
        ("a.png", {}, "ends in .onnx"),
        ("a.onnx", {"noise": "const"}, "DCGAN has no noise"),
    ]
    for file, options, text in wrong:
        with pytest.raises(BadArgument, match=text):
            ganzoo.export(game, tmp_path / file, **options)
    assert not list(tmp_path.iterdir())
    model = exported(game, tmp_path)
    more: list[dict[str, Any]] = [{"labels": [1]}, {"truncation": 0.5}]
    for options in more:
        with pytest.raises(BadArgument, match="has no"):
            model.sample([0], **options)
    with pytest.raises(BadArgument, match="seed"):
        model.sample([2**32])
    with pytest.raises(BadArgument, match="no such file"):
        ExportedModel(tmp_path / "none.onnx")
    (tmp_path / "noise.onnx").write_bytes(b"\x08\x07" * 400)
    proto = onnx.load(str(tmp_path / "model.onnx"))
    spoiled: list[tuple[Any, str]] = [
        (None, "somebody else's"),
        ("{", "damaged"),
        ({"format": 2}, "format 2"),
        ({"shape": [1, 10**9, 8]}, "do not belong"),
        ({"prior": [{"kind": "normal", "length": 5}]}, "do not belong"),
        ({"classes": 4}, "do not belong"),
        ({"shape": None}, "damaged"),
    ]
    for change, text in spoiled:
        del proto.metadata_props[:]
        if change is not None:
            value = change if isinstance(change, str) else json.dumps({**model.facts, **change})
            proto.metadata_props.add(key=KEY, value=value)
        onnx.save(proto, str(tmp_path / "spoiled.onnx"))
        with pytest.raises(BadCheckpoint, match=text):
            ExportedModel(tmp_path / "spoiled.onnx")
    with pytest.raises(GanzooError) as caught:
        ExportedModel(tmp_path / "noise.onnx")
    assert "\n" not in str(caught.value)
    assert cli.main(["sample", str(tmp_path / "noise.onnx")]) == 1
    assert cli.main(["sample", str(tmp_path / "model.onnx"), "--device", "cuda"]) == 2


def test_tensors_in_other_files_are_out_of_reach(tmp_path: Path) -> None:
    exported(tiny("dcgan").eval(), tmp_path)
    proto = onnx.load(str(tmp_path / "model.onnx"))
    onnx.save(proto, str(tmp_path / "outside.onnx"), save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(BadCheckpoint, match="no model that ONNX Runtime reads"):
        ExportedModel(tmp_path / "outside.onnx")


@pytest.mark.parametrize("where", ["secret.bin", "../{here}/secret.bin", "{whole}"])
def test_no_file_of_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    secret = np.arange(8, dtype=np.float32)
    (tmp_path / "secret.bin").write_bytes(secret.tobytes())
    value = onnx.helper.make_tensor_value_info
    shape: list[str | int | None] = ["n", 8]
    kind = onnx.TensorProto.FLOAT
    outside = onnx.TensorProto(name="w", data_type=kind, dims=[1, 8], data_location=onnx.TensorProto.EXTERNAL)
    named = where.format(here=tmp_path.name, whole=tmp_path / "secret.bin")
    for key, text in (("location", named), ("offset", "0"), ("length", "32")):
        outside.external_data.add(key=key, value=text)
    node = onnx.helper.make_node("Concat", ["z", "w"], ["images"], axis=0)  # not computed before z is there
    graph = onnx.helper.make_graph([node], "g", [value("z", kind, shape)], [value("images", kind, shape)], [outside])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    proto.metadata_props.add(key=KEY, value="{}")
    (tmp_path / "stranger.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(BadCheckpoint, match="no model that ONNX Runtime reads"):
        ExportedModel("stranger.onnx")
