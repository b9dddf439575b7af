"""The model folder: what is written is whole, and what is read is checked. Folders of others: see test_hub_hostile."""

from __future__ import annotations

import ast
import inspect
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit, tiny
from PIL import Image
from safetensors.torch import load_file, save_file

import ganzoo
from ganzoo import files
from ganzoo import folder as checkpoint
from ganzoo.folder import write_model
from ganzoo.game import registry
from ganzoo.game.engine import Engine
from ganzoo.types import BadArgument, BadModelFolder, GanzooError

NEEDED = (checkpoint.MODEL, checkpoint.PLAYERS, checkpoint.CONFIG)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "model"
    write_model(tiny("dcgan"), folder, {"name": "sound"})
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def refused(folder: Path, *said: str, by: Callable[[Path], Any] | None = None) -> str:
    """Loading, with all players, fails in one line that says all of this."""
    with pytest.raises(BadModelFolder) as caught:
        (by or (lambda path: ganzoo.load(path, players=True)))(folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    for each in said:
        assert each in text, text
    return text


# --------------------------------------------------------------------------------------- accidents: every listed file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    path.write_bytes(b"\x89PNG" if path.suffix != ".png" else b"PK\x03\x04")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


ACCIDENTS: dict[Callable[[Path], None], str] = {
    Path.unlink: "missing",
    cut: "truncated or replaced",
    flip: "damaged or replaced",
    lengthen: "truncated or replaced",
    empty: "0 bytes where",
    replace: "truncated or replaced",
    folder_instead: "missing",
}


@pytest.mark.parametrize("name", checkpoint.LISTED)
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_is_named_with_file_and_reason(accident: Callable[[Path], None], name: str, folder: Path) -> None:
    accident(folder / name)
    refused(folder, str(folder / name), ACCIDENTS[accident], by=ganzoo.verify)
    if name in NEEDED:
        refused(folder, str(folder / name), ACCIDENTS[accident])


def test_without_its_manifest_it_is_no_model_folder(folder: Path, tmp_path: Path) -> None:
    (folder / checkpoint.MANIFEST).unlink()
    refused(folder, str(folder), "manifest.json")
    (tmp_path / "nothing").mkdir()
    refused(tmp_path / "nothing", "holds no manifest.json")
    refused(tmp_path / "nowhere", "there is no such folder")


def test_the_card_may_be_edited_and_strangers_are_let_be(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    assert ganzoo.verify(folder)["golden"] == 0


# ------------------------------------------------------------------------------------------------- manifests that lie


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["files"].pop("model.safetensors"), "model.safetensors: not listed"),
        (lambda m: m["files"].pop("config.json"), "config.json: not listed"),
        (lambda m: m["files"]["model.safetensors"].update(sha256="0" * 64), "content differs from manifest.json"),
        (lambda m: m["files"]["model.safetensors"].update(sha256=None), "content differs from manifest.json"),
        (lambda m: m["files"]["model.safetensors"].update(size=1), "bytes where manifest.json says 1"),
        (lambda m: m["files"]["model.safetensors"].update(size="big"), "says 'big'"),
        (lambda m: m["files"].update({"model.safetensors": None}), "not listed"),
        (lambda m: m["files"].update({"../../secret": {"sha256": "0", "size": 1}}), "is no file of a model folder"),
        (lambda m: m["files"].update({"/etc/passwd": {"sha256": "0", "size": 1}}), "is no file of a model folder"),
        (lambda m: m["files"].update({"model.pkl": {"sha256": "0", "size": 1}}), "is no file of a model folder"),
        (lambda m: m.update(files=[]), "no table of files"),
        (lambda m: m.pop("files"), "no table of files"),
        (lambda m: m.update(format=99), "format 99; this ganzoo reads format 1"),
        (lambda m: m.pop("format"), "format None"),
    ],
)
def test_a_manifest_that_lies(change: Callable[[Any], None], said: str, folder: Path) -> None:
    path = folder / checkpoint.MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    refused(folder, said)


# ------------------------------------------------------------ the hashes fit, and the content does not fit the family


def rewritten(folder: Path, name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    checkpoint.write_manifest(folder)


FIRST = "generator.main.0.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop(FIRST), f"tensor {FIRST} is missing"),
        (lambda t: t.update(old=t.pop(FIRST)), f"tensor {FIRST} is missing"),
        (lambda t: t.update({"generator.extra": torch.zeros(1)}), "tensor generator.extra does not belong"),
        (lambda t: t.update({FIRST: t[FIRST][:-1].clone()}), f"tensor {FIRST} has shape (5, 8, 2, 2) where"),
        (lambda t: t.update({FIRST: t[FIRST].flatten()}), f"tensor {FIRST} has shape (192,) where"),
        (lambda t: t.update({FIRST: t[FIRST].to(torch.int64)}), f"tensor {FIRST} is torch.int64 where"),
        (lambda t: t.update({FIRST: t[FIRST].to(torch.bool)}), f"tensor {FIRST} is torch.bool where"),
        (lambda t: t.update({FIRST: t[FIRST].to(torch.complex64)}), f"tensor {FIRST} is torch.complex64 where"),
        (lambda t: t.update({"generator.main.1.num_batches_tracked": torch.tensor(0.5)}), "is torch.float32 where"),
        (lambda t: t.clear(), "is missing"),
        (lambda t: t[FIRST].view(-1)[3:4].fill_(torch.nan), f"tensor {FIRST} holds values that are not finite"),
        (lambda t: t[FIRST].view(-1)[:1].fill_(-torch.inf), f"tensor {FIRST} holds values that are not finite"),
        (lambda t: t.update({FIRST: torch.full_like(t[FIRST], torch.nan).half()}), "values that are not finite"),
        (lambda t: t.update({"\x1b[2J\x9b31m\u202e": torch.zeros(1)}), r"tensor \x1b[2J\x9b31m\u202e does not belong"),
    ],
)
@pytest.mark.parametrize("name", [checkpoint.MODEL, checkpoint.PLAYERS])
def test_tensors_that_do_not_fit(change: Callable[[Any], Any], said: str, name: str, folder: Path) -> None:
    rewritten(folder, name, change)
    refused(folder, str(folder / name), said)


def test_a_header_of_400_000_tensors_is_refused_at_once(folder: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"generator.{number}": entry for number in range(400_000)}).encode()
    (folder / checkpoint.MODEL).write_bytes(len(header).to_bytes(8, "little") + header)
    checkpoint.write_manifest(folder)
    start = time.process_time()
    refused(folder, str(folder / checkpoint.MODEL), f"its header would be {len(header)} bytes")
    assert time.process_time() - start < 0.5


def test_weights_of_another_precision_are_taken(folder: Path) -> None:
    kept = load_file(folder / checkpoint.MODEL)
    rewritten(
        folder, checkpoint.MODEL, lambda t: t.update({k: v.half() for k, v in t.items() if v.is_floating_point()})
    )
    game = ganzoo.load(folder)
    assert game.inference_tensors()[FIRST].dtype == torch.float32
    assert torch.allclose(game.inference_tensors()[FIRST], kept[FIRST], atol=1e-4)


def test_a_family_of_another_shape(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    config["arguments"]["width"] = 5
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    checkpoint.write_manifest(folder)
    refused(folder, checkpoint.MODEL, "where the family has")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("family", "dcgna", "there is no family 'dcgna'; did you mean dcgan"),
        ("family", "ganzoo.families.dcgan.DCGAN", "there is no family"),
        ("format", 2, "format 2; this ganzoo reads format 1"),
        ("arguments", None, "no table of arguments"),
        ("arguments", {"widht": 4}, "dcgan has no argument 'widht'; did you mean width"),
        ("arguments", {"width": "4"}, "width is '4'; a whole number is expected"),
        ("arguments", {"width": 4.0}, "width is 4.0; a whole number is expected"),
        ("arguments", {"width": True}, "width is True; a whole number is expected"),
        ("arguments", {"width": -4}, "width is -4; at least 1 is expected"),
        ("arguments", {"width": 2**24 + 1}, "numbers up to 16777216 make sense"),
        ("arguments", {"betas": [0.5]}, "betas is [0.5]; a list of 2 is expected"),
        ("arguments", {"betas": [0.5, 0.9, 0.9]}, "a list of 2 is expected"),
        ("arguments", {"lr": "0" * 2_000_000}, "a number is expected"),
        ("arguments", {"size": 9}, "image size is 9"),
    ],
)
def test_configurations_that_make_no_model(key: str, value: Any, said: str, folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    (folder / checkpoint.CONFIG).write_text(json.dumps({**config, key: value}))
    checkpoint.write_manifest(folder)
    refused(folder, str(folder / checkpoint.CONFIG), said)


def test_without_players_there_is_nothing_to_train_on(folder: Path) -> None:
    (folder / checkpoint.PLAYERS).unlink()
    checkpoint.write_manifest(folder)
    refused(folder, "holds no players.safetensors")
    assert ganzoo.load(folder).sample(1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"no picture"), "no readable picture"),
        (lambda path: cut_png(path), "no readable picture"),
        (lambda path: Image.new("L", (8, 9)).save(path), "where the model makes"),
        (lambda path: Image.new("L", (64 * 65, 64)).save(path), "no row of samples"),
        (lambda path: Image.new("L", (64 * 4, 64)).save(path), "makes other pictures than the golden ones"),
        (lambda path: bomb(path), "no readable picture"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_golden_pictures_that_are_none(make: Callable[[Path], Any], said: str, folder: Path) -> None:
    make(folder / checkpoint.GOLDEN)
    checkpoint.write_manifest(folder)
    refused(folder, str(folder / checkpoint.GOLDEN), said, by=ganzoo.verify)


def cut_png(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def bomb(path: Path) -> None:
    """A header of 40000x40000 pixels."""
    data = bytearray(path.read_bytes())
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    path.write_bytes(data)


# ---------------------------------------------------------------------------------------------------- random mutations


def mutated(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    kind = rng.randrange(3)
    at = rng.randrange(len(data))
    if kind == 0:
        for _ in range(rng.choice((1, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        del data[at : at + rng.choice((1, 3, 50, len(data)))]
    else:
        data[at:at] = rng.choice((rng.randbytes(5), b"0", b'"', b"[" * 50, b"9" * 400, b"-", b"e9", bytes(8)))
    return bytes(data)


@pytest.mark.parametrize("name", [*NEEDED, checkpoint.RESULTS, checkpoint.MANIFEST, checkpoint.GOLDEN])
def test_mutations_raise_the_one_error_or_load(name: str, folder: Path) -> None:
    """The manifest fits the mutated file, so that its content alone is in question."""
    rng = random.Random(0)
    content = (folder / name).read_bytes()
    loaded = 0
    for _ in range(85):
        (folder / name).write_bytes(mutated(rng, content))
        if name != checkpoint.MANIFEST:
            checkpoint.write_manifest(folder)
        try:
            if name == checkpoint.GOLDEN:
                ganzoo.verify(folder)
            else:
                game = ganzoo.load(folder, players=True)
                assert game.sample(1).shape == (1, 1, 8, 8)
            loaded += 1
        except GanzooError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, error
    (folder / name).write_bytes(content)
    checkpoint.write_manifest(folder)
    assert ganzoo.verify(folder)["golden"] == 0 and loaded < 85


# ------------------------------------------------------------------------------------------------------ absurd sizes

ABSURD: list[tuple[str, dict[str, Any]]] = [
    ("dcgan", {"width": 2**24}),
    ("dcgan", {"latent": 2**24, "channels": 2**24}),
    ("dcgan", {"size": 2**24}),
    ("wgan", {"size": 7 * 2**21, "width": 2**24}),
    ("gan", {"hidden": [2**24] * 1024}),
    ("gan", {"discriminator_hidden": [2**24] * 1024, "maxout": 2**24}),
    ("gan", {"shape": [2**24] * 1024}),
    ("gan", {"shape": [1] * 1024}),
    ("gan", {"shape": []}),
    ("gan", {"hidden": []}),
    ("infogan", {"categories": 2**24, "continuous": 2**24, "incompressible": 2**24}),
    ("unrolled", {"unroll": 2**24, "latent": 2**24}),
    ("unrolled", {"hidden": [2**24] * 1024}),
]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Half a GiB of address space more than the process has now."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**29, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
@pytest.mark.parametrize("number", range(len(ABSURD)))
def test_absurd_sizes_neither_allocate_nor_hang(number: int, folder: Path, little_memory: None) -> None:
    family, arguments = ABSURD[number]
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    config.update(family=family, arguments=arguments)
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    checkpoint.write_manifest(folder)
    start = time.process_time()
    refused(folder, str(folder))
    assert time.process_time() - start < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
@pytest.mark.parametrize("family", registry.list_families())
def test_no_argument_makes_a_family_loop_or_allocate(family: str, folder: Path, little_memory: None) -> None:
    """A configuration of 67 bytes (`{"family": "biggan", "arguments": {"depth": 16777216}}`) took minutes."""
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    signature = inspect.signature(registry.family(family).cls, eval_str=True)
    for name, parameter in signature.parameters.items():
        lists = "tuple" in str(parameter.annotation)
        for value in ([1] * 1024, [2**24] * 32) if lists else (2**24,):
            config.update(family=family, arguments={name: value})
            (folder / checkpoint.CONFIG).write_text(json.dumps(config))
            checkpoint.write_manifest(folder)
            start = time.process_time()
            refused(folder, str(folder))
            assert time.process_time() - start < 5, f"{name} is {str(value)[:40]}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
def test_the_limit_is_one(little_memory: None) -> None:
    with pytest.raises(RuntimeError, match="allocate memory"):
        torch.ones(2**28)


# ------------------------------------------------------------------------------------------------------------- writing


def test_the_files_of_a_model_folder_are_known_to_one_file() -> None:
    """`folder.py` alone says what they are called; docstrings may speak of them."""
    for path in Path(ganzoo.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        said = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, kinds)}
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        names = {t for t in texts if isinstance(t, str) and t not in said for n in NEEDED[:2] if n in t}
        assert bool(names) == (path.name == "folder.py" and path.parent.name == "ganzoo"), path


@pytest.mark.parametrize("players", [True, False])
def test_what_is_saved_is_the_model(players: bool, folder: Path, tmp_path: Path) -> None:
    game = ganzoo.load(folder, players=players)
    assert ganzoo.save(game, tmp_path / "again") == tmp_path / "again"
    again = ganzoo.load(tmp_path / "again", players=players)
    assert torch.equal(game.sample(4), again.sample(4)) and again.card == game.card
    before, after = (checkpoint.ModelFolder(path).hashes() for path in (folder, tmp_path / "again"))
    assert {name for name in before if before[name] != after.get(name)} <= {checkpoint.CONFIG, checkpoint.PLAYERS}
    assert (checkpoint.PLAYERS in after) == players and ganzoo.verify(tmp_path / "again")["golden"] == 0


def test_what_has_learned_since_it_was_loaded_is_saved_as_another_model(tmp_path: Path) -> None:
    facts = {"name": "x", "license": "mit", "data": {"name": "old"}, "steps": 999, "storage": "float16"}
    write_model(tiny("dcgan"), tmp_path / "x", facts, [{"key": "fd", "value": 1.0}])
    results = checkpoint.peek(ganzoo.save(ganzoo.load(tmp_path / "x"), tmp_path / "copy"))[1]
    assert results == [{"key": "fd", "value": 1.0}], "of these very weights"
    game = ganzoo.load(tmp_path / "x", players=True)
    fit(game, 2)
    ganzoo.save(game, str(tmp_path / "y"))
    config, results = checkpoint.peek(tmp_path / "y")
    assert (config["license"], config["training"], config["steps"]) == ("mit", {"init_from": "x"}, 2)
    assert "data" not in config and results == [] and "storage" not in config


def test_a_fresh_model_is_saved_and_other_things_are_not_written_over(tmp_path: Path) -> None:
    game = tiny("unrolled")
    assert torch.equal(ganzoo.load(ganzoo.save(game, tmp_path / "m"), players=True).sample(9), game.sample(9))
    ganzoo.save(game, tmp_path / "m")
    (tmp_path / "diary.txt").write_text("dear diary")
    for target, said in ((tmp_path, "holds other things than a model"), (tmp_path / "diary.txt", "a file stands")):
        with pytest.raises(BadArgument, match=said):
            ganzoo.save(game, target)
    assert (tmp_path / "diary.txt").read_text() == "dear diary"


def test_the_key_of_0_1_for_the_license_is_read(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    config |= {"licence": "mit", "data": {"licence": "cc0-1.0"}}
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    checkpoint.write_manifest(folder)
    for found in (ganzoo.load(folder).card.facts, checkpoint.peek(folder)[0]):  # type: ignore[union-attr]
        assert (found["license"], found["data"]) == ("mit", {"license": "cc0-1.0"}) and "licence" not in found


def test_a_family_of_ones_own_is_looked_for_in_no_module(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    for module in ("my_gans.ebgan", "os; evil", "\x1b[2J", ["os"], None):
        (folder / checkpoint.CONFIG).write_text(json.dumps({**config, "family": "own_ebgan", "module": module}))
        checkpoint.write_manifest(folder)
        text = refused(folder, "there is no family 'own_ebgan'")
        if module == "my_gans.ebgan":
            assert f"GANZOO_IMPORT={module} on the command line" in text and "my_gans" not in sys.modules
        else:
            assert str(module) not in text and "GANZOO_IMPORT" not in text


@pytest.mark.parametrize("name", ["improved_gan", "biggan"])
def test_a_loaded_model_is_saved_by_torch_too(name: str, tmp_path: Path) -> None:
    write_model(tiny(name), tmp_path / "m", {})
    for players in (True, False):
        torch.save(ganzoo.load(tmp_path / "m", players=players).state_dict(), tmp_path / "x.pt")


def test_nothing_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), files.atomic(path) as part:
        part.write_text("new")
        raise RuntimeError("midway")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with files.atomic(path) as part:
        part.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~files.umask()


def test_the_longest_name_can_be_written_and_swept(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".json")  # 255 bytes
    with pytest.raises(RuntimeError, match="midway"), files.atomic(path) as part:
        left = part.with_name(f"{part.name[:-5]}x.part")
        left.write_text("what a killed writer left")
        raise RuntimeError("midway")
    files.write_json(path, 1)
    checkpoint.sweep(tmp_path / "other", path.with_name("é" * 125 + ".toml"))
    assert {*tmp_path.iterdir()} == {path, left}, "another file's is left"
    checkpoint.sweep(path)
    assert [*tmp_path.iterdir()] == [path] and path.read_text() == "1\n"


def test_a_folder_is_exchanged_whole_or_not_at_all(folder: Path) -> None:
    before = ganzoo.verify(folder)["files"]
    with pytest.raises(RuntimeError, match="midway"), checkpoint.writing(folder) as fresh:
        (fresh / "config.json").write_text("{}")
        raise RuntimeError("midway")
    assert ganzoo.verify(folder)["files"] == before
    assert [path.name for path in folder.parent.iterdir() if path.suffix != ".lock"] == ["model"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_average_and_one_with(tmp_path: Path) -> None:
    for average in (None, 5.0):
        game = tiny("dcgan")
        game.engine = Engine(average=average)
        game.start_averages()
        write_model(game, tmp_path / "model", {"name": "x"})
        config = json.loads((tmp_path / "model" / "config.json").read_text())
        assert config["averaged"] == (average is not None)
        assert bool(ganzoo.load(tmp_path / "model", players=True)._averages) == (average is not None)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_model(tiny("dcgan"), tmp_path / name, {"name": "x"})
    one, other = (ganzoo.verify(tmp_path / name)["files"] for name in ("one", "other"))
    assert one == other


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_file_does_not_hang(folder: Path) -> None:
    (folder / checkpoint.MODEL).unlink()
    os.mkfifo(folder / checkpoint.MODEL)
    refused(folder, checkpoint.MODEL, "missing")
