from __future__ import annotations

import dataclasses
import inspect
import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_pickles
import numpy as np
import parity_files
import pytest
import torch

import ganzoo
import ganzoo.layouts
from ganzoo.game import registry
from ganzoo.layouts import Contents, Converted, Layout, Ledger, Module, check_shapes, layouts, open_file, recognise
from ganzoo.layouts.containers import unwrapped
from ganzoo.layouts.pickles import Call
from ganzoo.types import BadCheckpoint


def contents(tree: Any = None) -> Contents:
    return Contents(Path("net.pth"), "torch", {} if tree is None else tree)


def table() -> dict[str, torch.Tensor]:
    return {
        "mapping.fc0.weight": torch.ones(3, 4),
        "mapping.fc0.bias": torch.ones(3),
        "synthesis.b4.const": torch.zeros(5, 4, 4),
        "synthesis.b4.resample_filter": torch.zeros(4, 4),
    }


# The ledger


def test_every_tensor_is_taken_once() -> None:
    with Ledger(contents(), "G_ema", table()) as ledger:
        assert "synthesis.b4.const" in ledger and len([*ledger]) == 4
        assert ledger.shape("mapping.fc0.weight") == (3, 4)
        assert torch.equal(ledger.take("synthesis.b4.const", (5, -1, 4)), torch.zeros(5, 4, 4))
        assert "synthesis.b4.const" not in ledger
        made = ledger.rename({r"mapping\.fc(\d)\.(weight|bias)": r"layers.\1.\2"}, lambda value: value * 2)
        assert {name: value.flatten()[0].item() for name, value in made.items()} == {
            "layers.0.weight": 2,
            "layers.0.bias": 2,
        }
        assert ledger.names(r".*filter") == ["synthesis.b4.resample_filter"]
        ledger.ignore(r".*filter")


def test_what_is_left_is_named() -> None:
    with (
        pytest.raises(BadCheckpoint, match=r"net.pth: G_ema holds tensors .*'mapping.fc0.weight'.* and 1 more$"),
        Ledger(contents(), "G_ema", table()),
    ):
        pass
    with (
        pytest.raises(ZeroDivisionError),
        Ledger(contents(), "G_ema", table()),
    ):  # the first error is the one that counts
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mapping.fc1.weight", None, "lacks 'mapping.fc1.weight'; it has 'mapping.fc0.weight' among 4"),
        ("mapping.fc0.weight", (4, 3), r"'mapping.fc0.weight' is \[3, 4\]; expected \[4, 3\]"),
        ("mapping.fc0.weight", (3,), r"is \[3, 4\]; expected \[3\]"),
        ("mapping.fc0.weight", (-1, 5), r"expected \[-1, 5\]"),
        ("mapping.fc0.bias", (), r"is \[3\]; expected \[\]"),
    ],
)
def test_what_is_missing_or_misshapen_is_named(name: str, shape: tuple[int, ...] | None, message: str) -> None:
    ledger = Ledger(contents(), "G_ema", table())
    with pytest.raises(BadCheckpoint, match=message) as caught:
        ledger.take(name, shape)
    assert str(caught.value).startswith("net.pth: G_ema ")
    assert len([*ledger]) == 4


def test_a_tensor_is_not_there_twice() -> None:
    ledger = Ledger(contents(), "G", table())
    ledger.take("mapping.fc0.bias")
    with pytest.raises(BadCheckpoint, match=r"lacks 'mapping.fc0.bias'"):
        ledger.take("mapping.fc0.bias")
    with pytest.raises(BadCheckpoint, match="both become 'one'"):
        ledger.rename({r".*": "one"})
    ledger = Ledger(contents(), "G", table() | {"complex": torch.ones(2, dtype=torch.complex64)})
    with pytest.raises(BadCheckpoint, match=r"'mapping.fc0.weight' of an impossible shape"):
        ledger.rename({r"(mapping.*)": r"\1"}, lambda value: value.permute(3, 2, 0, 1))
    with pytest.raises(BadCheckpoint, match="'complex' is of complex numbers"):
        ledger.take("complex")


def test_arrays_become_tensors() -> None:
    stored: dict[str, np.ndarray[Any, Any]] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "b": np.array(2.0),
        "c": np.ones(2, ">f4"),
    }
    ledger = Ledger(contents(), "Gs", stored)
    assert ledger.take("a", (3, 2)).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert ledger.take("b", ()).shape == ()
    assert ledger.take("c").tolist() == [1, 1]  # big-endian
    unsigned = Ledger(contents(), "Gs", {"a": np.ones(2, np.uint64)})
    assert unsigned.take("a").tolist() == [1, 1]


def test_what_is_no_tensor_is_no_tensor() -> None:
    stored: dict[str, Any] = {"epoch": 3, "a": torch.ones(1), "sparse": torch.ones(2).to_sparse()}
    module = unwrapped(Path("net.pth"), {"netG": stored}).modules["G"]
    assert [*module.tensors] == ["a", "sparse"] and module.constants == {"epoch": 3}
    with pytest.raises(BadCheckpoint, match="holds no network and no tensor"):
        unwrapped(Path("net.pth"), {"netG": [1]})


def test_converted_tensors_are_checked_against_the_family() -> None:
    made = {"generator.a": torch.ones(2, 3), "generator.b": torch.ones(())}
    check_shapes(contents(), made, {"generator.a": (2, 3), "generator.b": torch.empty((), device="meta")})
    for expected, message in (
        ({"generator.a": (2, 3)}, "net.pth: converted, it has too much: generator.b"),
        ({"generator.a": (2, 3), "generator.b": (), "generator.c": ()}, "lacks generator.c"),
        ({"generator.a": (2, 4), "generator.b": ()}, r"generator.a is \[2, 3\]; expected \[2, 4\]"),
        ({f"x{i}": () for i in range(9)}, "lacks x0, x1, x2 and 6 more and has too much: generator.a, generator.b"),
    ):
        with pytest.raises(BadCheckpoint, match=message):
            check_shapes(contents(), made, expected)


# Recognising


def test_layouts_are_found_and_their_families_exist() -> None:
    found = layouts()
    assert len({layout.name for layout in found}) == len(found)
    for layout in found:
        assert isinstance(layout, Layout) and layout.name.isprintable()
        assert registry.family(layout.family).name == layout.family


def test_no_layout_takes_what_it_does_not_know() -> None:
    trees: list[Any] = [
        {},
        [],
        None,
        3,
        {"g_ema": 3},
        {"generator": {"a": 1}},
        {1: {2: torch.ones(1)}},
        [torch.ones(1)],
    ]
    trees += [torch.ones(3), {"netG": {"scaleLayers": []}}, {"models": {"generator": None}}, {"g": torch.ones(1)}]
    for tree in trees:
        for layout in layouts():
            assert not layout.recognises(contents(tree)), (layout.name, tree)


def test_recognising(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(name: str, family: str, key: str) -> Layout:
        return Layout(name, family, lambda c: key in c.tree, lambda c: Converted(family, {}, {}))

    known = (make("Ada's StyleGAN", "stylegan2", "g_ema"), make("Bob's WGAN", "wgan_gp", "critic"))
    monkeypatch.setattr(ganzoo.layouts, "layouts", lambda: known)
    assert recognise(contents({"critic": 1})) is known[1]
    assert recognise(contents({"critic": 1}), "wgan-gp") is known[1]
    assert recognise(contents({"g_ema": 1, "critic": 1}), "wgan_gp") is known[1]
    with pytest.raises(BadCheckpoint, match=r"net.pth: is Bob's WGAN, of the family wgan_gp; expected .* stylegan2"):
        recognise(contents({"critic": 1}), "stylegan2")
    with pytest.raises(BadCheckpoint, match=r"'netG', in 'netG' 'w'; no layout fits. `ganzoo convert --list` shows"):
        recognise(contents({"netG": {"w": 1}}))
    with pytest.raises(BadCheckpoint, match=r"no layout fits. `ganzoo convert --list`"):
        recognise(contents({"netG": {"wgan": 1}}))  # a word in common with a layout's name says nothing
    with pytest.raises(BadCheckpoint, match=r"no layout of biggan fits. `ganzoo"):
        recognise(contents({"netG": {"wgan": 1}}), "biggan")


def test_what_is_not_recognised_is_one_short_line() -> None:
    with pytest.raises(BadCheckpoint) as found:
        recognise(contents({f"stylegan progan torch {i}": {"w": 1} for i in range(99)}))
    assert len(str(found.value)) < 500 and "\n" not in str(found.value)


def test_convert_is_a_function_and_layouts_a_package(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"absent\.pkl: cannot be read"):
        ganzoo.convert(tmp_path / "absent.pkl", to=tmp_path / "model")
    assert inspect.isfunction(ganzoo.convert) and not callable(sys.modules["ganzoo.layouts"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_is_written_of_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pkl"
    cases = [content for _, content in hostile_pickles.cases()[::25]]
    cases.append(pickle.dumps({"weight": np.ones(3)}))  # honest, and of no layout
    for content in cases:
        path.write_bytes(content)
        with pytest.raises(BadCheckpoint):
            ganzoo.convert(path, to=tmp_path / "models" / "made")
        assert [*tmp_path.rglob("*")] == [path]


def test_converted_is_plain() -> None:
    made = Converted("wgan", {"size": 8}, {})
    assert (made.players, made.facts) == (None, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.family = "gan"  # type: ignore[misc]


# Files that were changed where no checksum tells


WEIRD: list[Any] = [
    None,
    -1,
    0,
    1,
    3,
    True,
    "x",
    "",
    [],
    {},
    (1, 2),
    1e30,
    float("nan"),
    float("inf"),
    -2.5,
    0.5,
    2**40,
    10**30,
]
CHANGES: list[Callable[[torch.Tensor], torch.Tensor]] = [
    lambda t: t.reshape(-1),
    lambda t: t.unsqueeze(0),
    lambda t: t.to(torch.int64),
    lambda t: t.to(torch.complex64),
    lambda t: torch.zeros(()),
    lambda t: torch.zeros(0),
    lambda t: t.transpose(0, -1) if t.ndim else t,
    lambda t: t[:1] if t.ndim else t,
    lambda t: torch.cat([t, t]) if t.ndim else t,
    lambda t: t.double() * float("nan"),
]


def changed(value: Any, rng: random.Random) -> Any:
    """Another value in a value's place."""
    if isinstance(value, np.ndarray):
        return rng.choice(CHANGES)(torch.from_numpy(value.copy())).numpy()
    return rng.choice(CHANGES)(value) if isinstance(value, torch.Tensor) else rng.choice(WEIRD)


def change(table: dict[Any, Any], rng: random.Random) -> None:
    """Takes away, exchanges, doubles or renames one entry, here or in a dictionary inside."""
    if not table:
        return
    key = rng.choice([*table])
    kind, value = rng.randrange(5), table[key]
    if isinstance(value, dict) and kind < 3:
        change(value, rng)
    elif kind < 2:
        table[key] = changed(value, rng)
    elif kind == 2:
        del table[key]
    elif kind == 3:
        table[f"{key}{rng.choice(['x', '.weight', '0'])}"] = value
    else:
        table[f"{key}".replace(rng.choice("0148"), rng.choice("0259"))] = table.pop(key)


def copied(value: Any) -> Any:
    """Dictionaries and lists anew; the rest is the same."""
    if isinstance(value, Call):
        return dataclasses.replace(value, state=copied(value.state))
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return [copied(entry) for entry in value] if isinstance(value, list) else value


def damaged(found: Contents, rng: random.Random) -> Contents:
    """The contents with one to three changes."""
    modules = {
        key: dataclasses.replace(
            m, arguments=copied(m.arguments), tensors=dict(m.tensors), constants=copied(m.constants)
        )
        for key, m in found.modules.items()
    }
    networks = [
        dataclasses.replace(n, arguments=copied(n.arguments), variables=dict(n.variables)) for n in found.networks
    ]
    tree = copied(found.tree) if not modules and not networks else found.tree
    for _ in range(rng.choice((1, 1, 2, 3))):
        if modules:
            module = rng.choice([*modules.values()])
            change(rng.choice([modules, module.arguments, module.constants, module.tensors, module.tensors]), rng)
            modules = {key: value for key, value in modules.items() if isinstance(value, Module)}
        elif networks:
            network = rng.choice(networks)
            change(rng.choice([network.arguments, network.variables, network.variables]), rng)
        elif isinstance(tree, dict):
            parts = [value.state if isinstance(value, Call) else value for value in tree.values()]
            change(rng.choice([part for part in parts if isinstance(part, dict)] + [tree]), rng)
    return dataclasses.replace(found, modules=modules, networks=tuple(networks), tree=tree)


FIXTURES = [
    "stylegan2_ada.cond.pkl",
    "stylegan2_ada.uncond.pkl",
    "stylegan2_tf_pickle.config_f.pkl",
    "rosinality_stylegan2.uncond.pt",
    "stylegan3.r.pkl",
    "stylegan3.t.pkl",
    "genforce.pggan.pth",
    "genforce.pggan.pth.tf.pkl",
    "genforce.stylegan.pth",
    "genforce.stylegan.pth.tf.pkl",
    "genforce.stylegan2.pth",
    "pgan_zoo.pgan.pth",
]


def convert_damaged(name: str, seed: int, times: int) -> int:
    """How many of `times` changed files were refused; anything but a `BadCheckpoint` passes through."""
    found, rng, refused = open_file(parity_files.fixture(name)), random.Random(seed), 0
    recognise(found).convert(found)
    for _ in range(times):
        file = damaged(found, rng)
        try:
            recognise(file).convert(file)
        except BadCheckpoint as error:
            refused += 1
            assert "\n" not in str(error) and str(found.path) in str(error)
    return refused


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("name", FIXTURES)
def test_changed_files_raise_only_typed_errors(name: str) -> None:
    assert convert_damaged(name, 0, 25) > 5


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("name", FIXTURES)
def test_many_changed_files(name: str) -> None:
    assert convert_damaged(name, 1, 1000) > 200
