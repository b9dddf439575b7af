from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_pickles
import numpy as np
import parity_files
import pytest
import torch
from hostile_pickles import new, nvidia, pickled, short, whole
from safetensors.torch import save_file

from ganzoo.layouts.containers import Contents, Network, open_file, plain
from ganzoo.types import BadCheckpoint

NVIDIA = ["stylegan2_ada.cond", "stylegan2_ada.uncond", "stylegan3.r", "stylegan3.t", "r3gan.uncond"]


def opened(folder: Path, content: bytes) -> Contents:
    path = folder / "file.pkl"
    path.write_bytes(content)
    return open_file(path)


# NVIDIA's modules


@pytest.mark.parametrize("name", NVIDIA)
def test_modules_have_the_tensors_of_their_state_dicts(name: str) -> None:
    contents = open_file(parity_files.fixture(f"{name}.pkl"))
    assert contents.kind == "nvidia" and {"G", "D", "G_ema"} <= contents.modules.keys()
    for network, table in parity_files.keys(name).items():
        module = contents.modules[network]
        assert {k: (tuple(v.shape), str(v.dtype)[6:]) for k, v in module.tensors.items()} == table
        assert all(isinstance(value, torch.Tensor) and not value.requires_grad for value in module.tensors.values())
    live, averaged = (contents.modules[key].tensors for key in ("G", "G_ema"))
    assert any(not torch.equal(live[key], averaged[key]) for key in live)


def test_modules_have_their_arguments_and_attributes() -> None:
    contents = open_file(parity_files.fixture("stylegan3.r.pkl"))
    _, meta = parity_files.answers("stylegan3.r")
    module = contents.modules["G_ema"]
    assert module.class_name == "Generator"
    assert meta["cfg"]["kw"].items() <= module.arguments.items()
    assert (module.arguments["z_dim"], module.arguments["w_dim"]) == (meta["z_dim"], meta["w_dim"])
    json.dumps(module.arguments)
    assert module.constants["num_ws"] == meta["num_ws"]
    assert module.constants["synthesis.input.sampling_rate"] == 16  # a numpy scalar in the file
    assert module.constants["synthesis.input.size"] == [36, 36]  # an array in the file
    assert module.classes["synthesis.input"] == "SynthesisInput" and module.classes[""] == "Generator"
    assert not any(name.startswith("_") for name in module.constants)
    assert contents.tree["training_set_kwargs"]["class_name"] == "training.dataset.ImageFolderDataset"


def test_a_written_pickle_is_read_back(tmp_path: Path) -> None:
    table = parity_files.keys("stylegan2_ada.cond")["G_ema"]
    made, path = parity_files.from_table(table), tmp_path / "n.pkl"
    data = {"class_name": "training.dataset.ImageFolderDataset", "path": Path("/data"), "resolution": np.int64(32)}
    parity_files.write_nvidia(
        path,
        {
            "G_ema": ("Generator", {"z_dim": 512}, made),
            "augment_pipe": ("AugmentPipe", {"xflip": 1}, {"p": torch.ones(())}),
        },
        training_set_kwargs=data,
        D=None,
    )
    contents = open_file(path)
    assert [*contents.modules] == ["G_ema", "augment_pipe"]
    found = contents.modules["G_ema"].tensors
    assert found.keys() == made.keys() and all(torch.equal(found[key], made[key]) for key in made)
    assert contents.modules["G_ema"].arguments == {"z_dim": 512}
    assert "Generator" in contents.describe() and "G_ema" in contents.describe()


def test_positional_arguments_have_their_index(tmp_path: Path) -> None:
    state = {
        "_parameters": {},
        "_buffers": {},
        "_modules": {},
        "_init_args": (512, np.float64(2)),
        "_init_kwargs": {"a": 1},
    }
    meta = {"type": "class", "version": 6, "class_name": "Layer", "state": "@"}
    content = whole(new("torch_utils.persistence._reconstruct_persistent_obj") + pickled_with(meta, state) + b"\x85R")
    module = opened(tmp_path, content).modules[""]
    assert module.arguments == {"0": 512, "1": 2.0, "a": 1}


def pickled_with(meta: dict[str, Any], state: dict[str, Any]) -> bytes:
    """A dictionary with another one in the place of "@"; numpy's scalars are pickled too."""
    return pickled({key: state if value == "@" else value for key, value in meta.items()})


def test_whole_modules_of_torch(tmp_path: Path) -> None:
    # A module that torch.save pickled whole, with a buffer that its state dict leaves out and a parameter that is None.
    module = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4))
    module.register_buffer("hidden", torch.ones(2), persistent=False)
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.pth"
        torch.save({"netG": module, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
        contents = open_file(path)
        assert contents.kind == "torch" and [*contents.modules] == ["G"] and contents.beside == {"epoch": 3}
        found, state = contents.modules["G"], module.state_dict()
        assert found.tensors.keys() == state.keys()
        assert all(torch.equal(found.tensors[key], value) for key, value in state.items())
        assert torch.equal(found.constants["hidden"], torch.ones(2)) and found.constants["1.eps"] == 1e-5
        assert found.classes == {"": "Sequential", "0": "Linear", "1": "BatchNorm1d"} and found.arguments == {}


def broken(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A module whose state was changed."""
    state: dict[str, Any] = {"_parameters": {}, "_buffers": {}, "_modules": {}}
    change(state)
    return whole(b"}" + short("G") + new("a.Generator") + b")\x81" + pickled(state) + b"bs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(lambda s: s["_parameters"].update(weight=3)), "'weight' is no tensor"),
        (broken(lambda s: s["_modules"].update(block=3)), "'block.' is no module"),
        (broken(lambda s: s["_modules"].update(block={})), "'block.' is no module"),
        (broken(lambda s: s.update(_buffers=[])), "no dictionaries"),
        (broken(lambda s: s.update(_init_kwargs=[])), "no arguments"),
        (broken(lambda s: s["_parameters"].update({5: 3})), "is no tensor"),
        (broken(lambda s: s["_modules"].update({5: 3})), "is no module"),
        (broken(lambda s: s.pop("_buffers")), "no network and no tensor"),
        (whole(b"}"), "no network and no tensor"),
        (whole(b"N"), "no network and no tensor"),
        (whole(pickled({"epoch": 3, "opt": {"lr": 0.1}})), "the keys 'epoch', 'opt', in 'opt' 'lr'"),
        (nvidia(b"N").replace(b"\x05class\x8c", b"\x05klass\x8c", 1), "does not say its class"),
        (nvidia(b"N").replace(b"\x05state", b"\x05stata", 1), "has no state"),
        (nvidia(b"N").replace(b"\x09Generator", b"\x09Gener\ntor", 1), "does not say its class"),
    ],
)  # fmt: skip
def test_modules_that_are_none(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        opened(tmp_path, content)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


# TensorFlow's networks


@pytest.mark.parametrize(
    ("name", "npz"),
    [
        ("stylegan2_tf_pickle.config_f.pkl", "stylegan2_tf_pickle.config_f"),
        ("genforce.stylegan.pth.tf.pkl", "genforce.stylegan"),
        ("genforce.pggan.pth.tf.pkl", "genforce.pggan"),
    ],
)
def test_tensorflow_networks(name: str, npz: str) -> None:
    contents = open_file(parity_files.fixture(name))
    assert contents.kind == "tensorflow" and len(contents.networks) == 3 and not contents.modules
    generator, discriminator, averaged = contents.networks
    assert discriminator.name == "D" and generator.function == averaged.function
    for network in contents.networks:
        assert network.version in (2, 3, 4) and all(isinstance(v, np.ndarray) for v in network.variables.values())
        json.dumps(network.arguments)
        for key, component in network.components.items():
            for variable, value in component.variables.items():
                assert network.variables[f"{key}/{variable}"] is value
    assert averaged.arguments["resolution"] == discriminator.arguments["resolution"]
    assert generator.variables.keys() == averaged.variables.keys()
    assert "TensorFlow networks 'G'" in contents.describe()


def network(**changes: Any) -> bytes:
    state: dict[str, Any] = {"version": 4, "name": "Gs", "static_kwargs": {"resolution": 4}, "components": {}}
    state |= {"build_func_name": "G_main", "variables": [("lod", np.float32(0)), ("w", np.ones(3, "f4"))]}
    state = {key: value for key, value in (state | changes).items() if value is not ...}
    return new("dnnlib.tflib.network.Network") + b")\x81" + pickle.dumps(state, 2)[2:-1] + b"b"


def tuple_of(*parts: bytes) -> bytes:
    return whole(b"(" + b"".join(parts) + b"t")


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_known_versions(version: int, tmp_path: Path) -> None:
    networks = opened(tmp_path, tuple_of(network(version=version), network(name="D"))).networks
    assert [n.name for n in networks] == ["Gs", "D"] and networks[0].version == version
    assert networks[0].variables["lod"].shape == () and networks[0].variables["w"].tolist() == [1, 1, 1]
    assert isinstance(opened(tmp_path, whole(network())).networks[0], Network)  # alone
    assert opened(tmp_path, whole(b"}" + short("Gs") + network() + b"s")).networks[0].name == "Gs"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "of version 1; known: 2, 3, 4, 5"),
        ({"version": 6}, "'Gs' is of version 6"),
        ({"version": 99}, "of version 99"),
        ({"version": "4"}, "of version '4'"),
        ({"version": True}, "of version True"),
        ({"version": [4]}, "of version list"),
        ({"version": ...}, "of version None"),
        ({"name": ...}, "lacks its name"),
        ({"name": 5}, "lacks its name"),
        ({"static_kwargs": None}, "lacks its name, arguments"),
        ({"components": []}, "lacks its name, arguments"),
        ({"components": {"mapping": {}}}, "component 'mapping' of 'Gs' is no network"),
        ({"variables": [("w", "text")]}, "variable 'w' of 'Gs' is no array"),
        ({"variables": [("w", True)]}, "variable 'w' of 'Gs' is no array"),
        ({"variables": [("w", 1.0), ("w", 2.0)]}, "is there twice"),
        ({"variables": [("w",)]}, "no pairs"),
        ({"variables": ["w"]}, "no pairs"),
        ({"variables": [(3, 1.0)]}, "no pairs"),
        ({"variables": 5}, "no pairs"),
        ({"variables": ...}, "no network and no tensor"),
    ],
)
def test_networks_that_are_none(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        opened(tmp_path, tuple_of(network(**changes)))
    assert "\n" not in str(caught.value)


# Wrappers


class Wrapped(torch.nn.Module):
    """A module of somebody's, pickled whole."""

    def __init__(self, inner: torch.nn.Module, name: str) -> None:
        super().__init__()
        self.add_module(name, inner)


WRAPS: dict[str, Callable[[torch.nn.Module, dict[str, torch.Tensor]], Any]] = {
    "alone": lambda net, state: state,
    "state_dict": lambda net, state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {0: state}}},
    "model in model": lambda net, state: {"model": {"module": state}},
    "DataParallel": lambda net, state: {f"module.{name}": value for name, value in state.items()},
    "compiled and distributed": lambda net, state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    "by its role": lambda net, state: {"generator_state_dict": state, "netD": {"weight": torch.ones(3)}},
    "by its role, wrapped": lambda net, state: {"G": {"state_dict": {f"module.{k}": v for k, v in state.items()}}},
    "one state dict of two": lambda net, state: (
        {f"generator.module.{name}": value for name, value in state.items()} | {"discriminator.weight": torch.ones(3)}
    ),
    "Lightning's": lambda net, state: {"state_dict": {f"generator.{k}": v for k, v in state.items()}, "loops": {}},
    "averaged and live": lambda net, state: {"params_ema": state, "params": {k: v + 1 for k, v in state.items()}},
    "a module": lambda net, state: net,
    "a module in DataParallel": lambda net, state: Wrapped(net, "module"),
    "modules": lambda net, state: {"netG": net, "netD": torch.nn.Linear(2, 1), "epoch": 3},
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_networks_are_unwrapped_once(wrap: str, suffix: str, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4))
    made, state = WRAPS[wrap](net, net.state_dict()), net.state_dict()
    path = tmp_path / f"file{suffix}"
    if suffix == ".pth":
        torch.save(made, path)
    elif isinstance(made, dict) and all(isinstance(value, torch.Tensor) for value in made.values()):
        save_file(made, path)
    else:
        return  # safetensors hold nothing but tensors
    contents = open_file(path)
    (key,) = {"", "G"} & contents.modules.keys()
    tensors = contents.modules[key].tensors
    assert tensors.keys() == state.keys() and all(torch.equal(tensors[name], state[name]) for name in state)
    assert ("D" in contents.modules) == (wrap in ("by its role", "one state dict of two", "modules"))
    assert ("epoch" in contents.beside) == (wrap in ("state_dict", "modules"))


def test_names_that_hold_module_in_the_middle_stay(tmp_path: Path) -> None:
    torch.save({"netG": {"formatLayer.module.weight": torch.ones(2)}}, tmp_path / "file.pth")  # pytorch_GAN_zoo's
    assert [*open_file(tmp_path / "file.pth").modules["G"].tensors] == ["formatLayer.module.weight"]


def test_safetensors_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_file({"w": torch.ones(3)}, path)
    content = path.read_bytes()
    for damage, says in (
        (content[:-4], "damaged"),
        (content.replace(b"F32", b"F99"), "damaged"),
        ((2**40).to_bytes(8, "little") + content[8:], "a header of 1,099,511,627,776 bytes: refused"),
    ):
        path.write_bytes(damage)
        with pytest.raises(BadCheckpoint, match=says) as caught:
            open_file(path)
        assert "\n" not in str(caught.value)


# Others


def test_torch_files_keep_their_tree(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save({"g_ema": OrderedDict(weight=torch.ones(2)), "latent_avg": torch.zeros(3), "args": None}, path)
    contents = open_file(path)
    assert contents.kind == "torch" and [*contents.tree] == ["g_ema", "latent_avg", "args"]
    assert [*contents.modules] == ["G_ema"] and [*contents.beside] == ["latent_avg", "args"]
    assert "'g_ema', 'latent_avg', 'args', in 'g_ema' 'weight'" in contents.describe()
    path.write_bytes(pickle.dumps({"weight": np.ones(3)}))
    assert open_file(path).kind == "torch"


def test_plain() -> None:
    value = {"a": np.float64(2), "b": [np.arange(2), (np.bool_(True), "x")], "c": None}
    assert plain(value) == {"a": 2.0, "b": [[0, 1], (True, "x")], "c": None}
    assert type(plain(value)["a"]) is float


def test_what_is_described_is_one_short_line(tmp_path: Path) -> None:
    tree = {f"key {i} " + "x" * 500: torch.ones(1) for i in range(100)}
    path = tmp_path / "file.pt"
    torch.save(tree, path)
    assert len(open_file(path).describe()) < 300
    for name, content in hostile_pickles.lies():
        with pytest.raises(BadCheckpoint) as caught:
            opened(tmp_path, content)
        assert "\n" not in str(caught.value), name
