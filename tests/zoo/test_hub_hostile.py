"""Hostile model folders, as a repository could hold them: whatever is in them, one line says what is wrong.

The hashes fit in all of these: who wrote the folder wrote its manifest.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_tools import manifest, write_files

import ganzoo
from ganzoo import folder as checkpoint
from ganzoo.types import BadModelFolder, GanzooError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sound model folder's files."""
    from ganzoo.folder import write_model

    folder = tmp_path_factory.mktemp("sound") / "model"
    write_model(ganzoo.create("dcgan", size=8, channels=1, latent=4, width=4), folder, {"name": "sound"})
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != checkpoint.MANIFEST}


def with_config(tmp_path: Path, files: dict[str, bytes], config: bytes) -> Path:
    changed = {**files, checkpoint.CONFIG: config}
    return write_files(tmp_path / "model", {**changed, checkpoint.MANIFEST: manifest(changed)})


def test_the_sound_folder_loads(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = with_config(tmp_path, files, files[checkpoint.CONFIG])
    assert ganzoo.load(folder).sample(1).shape == (1, 1, 8, 8)


DEEP = "[" * 100_000 + "]" * 100_000
EVIL: list[dict[str, Any]] = [
    {"family": "no_such_family"},
    {"family": "evil_module"},
    {"family": "../evil_module"},
    {"family": "evil_module.Evil"},
    {"family": "ganzoo.families.dcgan"},
    {"family": "dcgan.DCGAN"},
    {"family": "__init__"},
    {"family": "os"},
    {"family": ""},
    {"family": "d" * 100_000},
    {"family": ["dcgan"]},
    {"family": {"class_path": "evil_module.Evil", "init_args": {}}},
    {"family": None},
    {"format": 2},
    {"format": "1"},
    {"arguments": None},
    {"arguments": []},
    {"arguments": {"class_path": "evil_module.Evil"}},
    {"arguments": {"__class__": "evil_module.Evil"}},
    {"arguments": {"self": 1}},
    {"arguments": {"size": {"class_path": "evil_module.Evil"}}},
    {"arguments": {"betas": ["evil_module:Evil", 0.9]}},
    {"arguments": {"size": 10**30}},
    {"arguments": {"size": 2**24, "width": 2**24}},
    {"arguments": {"size": -8}},
    {"arguments": {"size": 0}},
    {"arguments": {"size": 8.5}},
    {"arguments": {"size": "8"}},
    {"arguments": {"size": True}},
    {"arguments": {"lr": 1e308}},
    {"arguments": {"latent": [4] * 100_000}},
    {"arguments": {"no_such_argument": 1}},
    {"arguments": {"x" * 100_000: 1}},
]


@pytest.mark.parametrize("number", range(len(EVIL)))
def test_a_hostile_configuration_is_refused_in_one_line(
    number: int, tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    config = {**json.loads(files[checkpoint.CONFIG]), **EVIL[number]}
    refused(with_config(tmp_path, files, json.dumps(config).encode()))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", '"dcgan"', "\x00", DEEP, '{"format": 1, "family": "dcgan", "arguments": ' + DEEP + "}",
     '{"format": 1, "family": "dcgan", "arguments": {"lr": NaN}}',
     '{"format": 1, "family": "dcgan", "arguments": {"lr": 1e999}}',
     '{"format": 1, "family": "dcgan", "arguments": {"size": ' + "9" * 5000 + "}}"],
)  # fmt: skip
def test_json_that_is_none_is_refused_in_one_line(text: str, tmp_path: Path, files: dict[str, bytes]) -> None:
    refused(with_config(tmp_path, files, text.encode()))


def refused(folder: Path) -> None:
    with pytest.raises(GanzooError) as caught:
        ganzoo.load(folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    assert "evil_module" not in sys.modules


def test_harmless_extra_keys_are_let_be(tmp_path: Path, files: dict[str, bytes]) -> None:
    config = {**json.loads(files[checkpoint.CONFIG]), "notes": "mine", "class_path": "evil_module.Evil"}
    assert ganzoo.load(with_config(tmp_path, files, json.dumps(config).encode())).card is not None
    assert "evil_module" not in sys.modules


# --------------------------------------------------------------------------------------------- mutated safetensors


def mutated(rng: random.Random, content: bytes) -> bytes:
    """One of the ways in which a safetensors file can be wrong."""
    data = bytearray(content)
    length = struct.unpack("<Q", content[:8])[0]
    kind = rng.randrange(8)
    if kind == 0:  # bytes turned, anywhere, or in the header only
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            data[rng.randrange(len(data) if rng.random() < 0.3 else 8 + length)] = rng.randrange(256)
    elif kind == 1:
        del data[rng.randrange(len(data)) :]
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.choice((1, 8, 1000)))
    elif kind == 3:
        length = rng.choice((0, 1, 2, 2**31, 2**32, 2**63, 2**64 - 1, length - 1, length + 1, len(data), len(data) - 8))
        data[:8] = struct.pack("<Q", length)
    else:
        header = json.loads(content[8 : 8 + length])
        change_header(rng, header)
        text = json.dumps(header).encode()
        if kind == 7:
            text = text.replace(b'"shape"', rng.choice((b'"shape": [1], "shape"', b'"Shape"', b'"shape": 1, "x"')))
        data[:] = struct.pack("<Q", len(text)) + text + content[8 + length :]
    return bytes(data)


def change_header(rng: random.Random, header: dict[str, Any]) -> None:
    name = rng.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    change = rng.randrange(7)
    if change == 0:
        entry["dtype"] = rng.choice(("F64", "I64", "BOOL", "F8_E4M3", "f32", "", None, 32, "X" * 5000))
    elif change == 1:
        entry["shape"] = rng.choice(([], [0], [-1], [2**62, 4], [10**30], [1.5], ["4"], None, {}, [1] * 2000, [[4]]))
    elif change == 2:
        begin, end = entry["data_offsets"]
        entry["data_offsets"] = rng.choice(
            (
                [end, begin],
                [begin, end + 4],
                [begin - 4, end],
                [0, 2**63],
                [begin],
                [],
                None,
                [0, 0],
                [-8, 8],
                ["0", "8"],
            )
        )
    elif change == 3:
        header[rng.choice(("", "../x", "a\x00b", "generator.evil", "x" * 10_000))] = dict(entry)
    elif change == 4:
        del header[name]
    elif change == 5:
        del entry[rng.choice(("dtype", "shape", "data_offsets"))]
    else:
        header[name] = rng.choice((None, 3, [], "x", {"__class__": "evil_module.Evil"}))


def storm(folder: Path, files: dict[str, bytes], rounds: int, seed: int) -> tuple[int, int]:
    """Reads mutated files as `load` does, and gives how many were refused, and how many were still sound."""
    rng = random.Random(seed)
    write_files(folder, {**files, checkpoint.MANIFEST: manifest(files)})
    good = checkpoint.ModelFolder(folder).tensors(checkpoint.MODEL)
    good = {key: value.clone() for key, value in good.items()}  # the file is about to change under them
    refused = sound = 0
    others = {name: content for name, content in files.items() if name != checkpoint.MODEL}
    for _ in range(rounds):
        content = mutated(rng, files[checkpoint.MODEL])
        changed = {checkpoint.MODEL: content}
        write_files(folder, {**changed, checkpoint.MANIFEST: manifest({**others, **changed})})
        try:
            model = checkpoint.ModelFolder(folder)
            tensors = model.tensors(checkpoint.MODEL, good)
        except BadModelFolder as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, error
            refused += 1
        else:
            assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in good.items()}
            sound += 1
    return refused, sound


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB


def test_two_thousand_mutated_files_raise_nothing_but_the_one_error(tmp_path: Path, files: dict[str, bytes]) -> None:
    before = memory()
    refused, sound = storm(tmp_path / "model", files, 2000, seed=0)
    assert refused + sound == 2000 and refused > 1500 and sound > 20
    assert memory() - before < 200 * 1024, "a header's numbers must not allocate"


@pytest.mark.nightly
def test_twenty_thousand_mutated_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    refused, sound = storm(tmp_path / "model", files, 20_000, seed=1)
    assert refused + sound == 20_000
