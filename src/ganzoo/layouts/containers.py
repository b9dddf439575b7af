"""What a checkpoint file holds: networks, as modules whose tensors have names, whatever they were wrapped in.

`open_file` reads a file symbolically (pickles.py) and unwraps it once, so that a layout sees the tensors of a network
under the names of its state dict, and does not ask how they were saved: as a state dict, alone or among others, below
`state_dict`, `model` and their like, with the prefixes of `DataParallel` and `torch.compile`; as one state dict of
several networks; as modules pickled whole; or as safetensors. Networks go by their roles, G_ema, G and D, where the
file's own names say which they are, and by "" where there is one alone.

A module of NVIDIA's PyTorch code is pickled as a call of `_reconstruct_persistent_obj` with a dictionary: the class's
name, its source text (never looked at) and its `state`, which is the module's `__dict__`. Others pickle modules by
`NEWOBJ` and the same `__dict__`. A network of their TensorFlow code is a `Network` whose state names a version, its
arguments, its components and its variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ganzoo.layouts import ncnn, openvino
from ganzoo.layouts.pickles import Call, Limits, quoted, read_container
from ganzoo.types import BadCheckpoint

# How programs call a network, written without what is no letter
_ROLES = {
    "G_ema": ("gema", "generatorema", "generatorsmooth", "netgema", "avgg", "emag"),
    "G": ("g", "generator", "netg", "gen"),
    "D": ("d", "discriminator", "netd", "disc", "dis", "critic"),
}
# What they put around a network, or around several; the first that is there counts
_WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "models", "module", "net", "weights")
GRAPHS = (".xml", ".param")  # suffixes of graphs, OpenVINO's and ncnn's, whose weights lie in a `.bin` beside them
_PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
_TENSORFLOW_VERSIONS = (2, 3, 4, 5)
_LONGEST = 400  # letters of a module's dotted name
_SMALL = 4096  # entries of an array that is a plain value


@dataclass(frozen=True)
class Module:
    """A `torch.nn.Module`: its tensors, and what else the file says of it.

    Args:
        class_name: without the module's path; empty of a state dict.
        arguments: what its constructor was given: by keyword, and positional ones under "0", "1", ...; empty where the
            container does not say.
        tensors: parameters and buffers under the names of its state dict.
        constants: other plain attributes (numbers, strings, lists of them) by dotted name, and buffers that the
            module's state dict leaves out.
        classes: class names of the modules inside by dotted name.
        name: what the file calls it.
    """

    class_name: str
    arguments: dict[str, Any]
    tensors: dict[str, Tensor]
    constants: dict[str, Any]
    classes: dict[str, str]
    name: str = ""


@dataclass(frozen=True)
class Network:
    """A network of NVIDIA's TensorFlow code.

    Args:
        name: "G", "D", "Gs", ... as the file says.
        version: of the pickle's format.
        arguments: the static keyword arguments of its function.
        components: networks inside.
        variables: its own variables and, under "component/name", those of the networks inside.
        function: the name of the function that builds it, such as "G_style".
    """

    name: str
    version: int
    arguments: dict[str, Any]
    components: dict[str, Network]
    variables: dict[str, np.ndarray[Any, Any]]
    function: str


@dataclass(frozen=True)
class Contents:
    """A checkpoint file, opened.

    Args:
        path: the file.
        kind: "torch", "nvidia" (modules pickled whole by NVIDIA's code), "tensorflow", or a graph: "openvino", "ncnn".
        tree: all of it as plain data; a graph as it is.
        modules: the networks by their roles G_ema, G and D, or else by their keys; "" for one alone.
        beside: what else the file says at its top, such as the number of steps.
        networks: the TensorFlow networks in the file's order (G, D, Gs).
    """

    path: Path
    kind: Literal["torch", "nvidia", "tensorflow", "openvino", "ncnn"]
    tree: Any
    modules: dict[str, Module] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()

    def having(self, *names: str) -> list[str]:
        """The modules that have tensors of all these names."""
        return [key for key, module in self.modules.items() if {*names} <= module.tensors.keys()]

    def generators(self, mark: str) -> list[str]:
        """The modules that are generators, the averaged one first: by their roles, else by a tensor that marks them.

        By their roles first, so that a module that lacks that tensor is refused rather than overlooked.
        """
        return [key for key in ("G_ema", "G") if key in self.modules] or self.having(mark)

    def alone(self, what: str) -> Module:
        """The one network of a file."""
        if len(self.modules) != 1:
            names = " and ".join(map(quoted, self.modules)) or "none"
            raise BadCheckpoint(f"{self.path}: holds the networks {names}; expected {what} alone")
        return next(iter(self.modules.values()))

    def describe(self) -> str:
        """What the file holds, in a few words for an error message."""
        if self.networks:
            found = ", ".join(f"{quoted(n.name)} by {quoted(n.function)}" for n in self.networks[:4])
            return f"TensorFlow networks {found}"
        if self.kind == "openvino":
            return f"the OpenVINO graph {quoted(self.tree.name)} of {len(self.tree.layers)} layers"
        if self.kind == "ncnn":
            return f"an ncnn network of {len(self.tree.layers)} layers"
        if any(module.class_name for module in self.modules.values()):
            found = ", ".join(f"{quoted(name)}: {module.class_name}" for name, module in [*self.modules.items()][:6])
            first = next((name for module in self.modules.values() for name in module.tensors), "none")
            return f"pickled modules {found}; first tensor {quoted(first)}"
        if "ganzoo" in self.beside and "pytorch-lightning_version" in self.beside:
            return "a checkpoint of ganzoo's own, which its family's load_from_checkpoint reads"
        return f"a torch file with {_keys(self.tree)}"


def open_file(path: str | Path, limits: Limits | None = None) -> Contents:
    """Opens a checkpoint without executing anything in it.

    Args:
        path: a `.pkl`, `.pth`, `.pt` or `.bin` file, or a graph (`GRAPHS`) with its `.bin` beside it.
        limits: what an honest file stays below.

    Returns:
        What it holds. The tensors do not depend on the file any more.

    Raises:
        BadCheckpoint: see `pickles.read`; also when the file holds neither tensors nor networks, or networks of an
            unknown version.
    """
    path = Path(path)
    try:
        if path.suffix == ".xml":
            return of_graph(path, openvino.read(path, limits))
        if path.suffix == ".param":
            network = ncnn.read(path)
            named = {f"{layer.name}.{key}": value for layer in network.layers for key, value in layer.tensors.items()}
            return Contents(path, "ncnn", network, {"": Module("", {}, named, {}, {})})
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None
    container, tree = read_container(path, limits)
    try:
        return unwrapped(path, tree, "nvidia" if container == "pickle" else "torch")
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{path}: {error}") from None


def of_graph(path: Path, graph: openvino.Graph) -> Contents:
    """A network that is a graph, whose tensors are the constants that have names, with the values they have there."""
    tensors: dict[str, Tensor] = {}
    for layer in graph.of("Const"):
        assert layer.value is not None
        tensors |= dict.fromkeys(layer.outputs, layer.value)
    return Contents(path, "openvino", graph, {"": Module(graph.name, {}, tensors, {}, {})})


def unwrapped(path: Path, tree: Any, kind: Literal["torch", "nvidia"] = "torch") -> Contents:
    """Sorts what a file holds into its networks and the rest."""
    networks = tuple(_network(value) for value in _entries(tree).values() if _is_network(value))
    if networks:
        return Contents(path, "tensorflow", tree, networks=networks)
    modules, beside = _networks_in(tree)
    if not modules and not any(isinstance(value, (Tensor, np.ndarray)) for value in _walk(tree)):
        raise BadCheckpoint(f"holds no network and no tensor, but {_keys(tree)}; expected a checkpoint of a GAN")
    if [*modules] == [""]:
        modules = _split(modules[""])
    named: dict[str, Module] = {}
    for key, module in modules.items():
        role = _role(key)
        named[key if role in named else role] = replace(module, name=key)
    whole = any(module.class_name for module in modules.values())
    return Contents(path, kind if whole else "torch", tree, named, beside)


def _role(key: str) -> str:
    """G_ema, G or D of a name that says it, else the name."""
    plain_key = re.sub(r"[^a-z]", "", key.lower()).removesuffix("statedict")
    return next((role for role, names in _ROLES.items() if plain_key in names), key)


def _split(module: Module) -> dict[str, Module]:
    """The networks in one state dict that has all of them, such as Lightning's, by the first part of their names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in module.tensors.items():
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = tensor
    if not parts or not all(_role(part) in _ROLES and "" not in tensors for part, tensors in parts.items()):
        return {"": module}
    return {part: _cleaned(replace(module, tensors=tensors)) for part, tensors in parts.items()}


def _networks_in(tree: Any) -> tuple[dict[str, Module], dict[str, Any]]:
    """The networks of a file by their keys, and what stands beside them; "" for what is itself a network."""
    if isinstance(tree, Call):
        return ({"": _cleaned(_module(tree))}, {}) if _is_module(tree) else ({}, {})
    entries = _entries(tree)
    tensors: dict[str, Any] = {key: value for key, value in entries.items() if isinstance(value, (Tensor, np.ndarray))}
    inside = {key: _networks_in(value) for key, value in entries.items() if isinstance(value, (dict, Call))}
    if tensors and not inside and isinstance(tree, dict):
        rest = {key: plain(value) for key, value in entries.items() if key not in tensors and _is_plain(value)}
        return {"": _cleaned(Module("", {}, tensors, rest, {}))}, {}
    modules = {key: found[""] for key, (found, _) in inside.items() if [*found] == [""]}
    wrapper = next((key for key in _WRAPPERS if key in inside and inside[key][0]), None)
    if modules.keys() <= {*_WRAPPERS} and wrapper is not None:
        modules, below = inside[wrapper]
        return modules, {key: value for key, value in entries.items() if key != wrapper} | below
    return modules, {key: value for key, value in entries.items() if key not in modules}


def _cleaned(module: Module) -> Module:
    """The names without what `DataParallel` and `torch.compile` put before all of them."""
    tensors = module.tensors
    while tensors and all(name.startswith(("module.", "_orig_mod.")) for name in tensors):
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
    return module if tensors is module.tensors else replace(module, tensors=tensors)


def plain(value: Any) -> Any:
    """A value with numpy's numbers and small arrays as Python's, for arguments that are written as JSON."""
    if isinstance(value, np.ndarray) and value.size > _SMALL:
        raise BadCheckpoint(f"an argument is an array of {value.size} entries: damaged")
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(entry) for entry in value)
    return value


def _entries(tree: Any) -> dict[str, Any]:
    """The values at the top, each with its key."""
    if isinstance(tree, Mapping):
        return {str(key): value for key, value in tree.items()}
    return {str(i): value for i, value in enumerate(tree)} if isinstance(tree, (list, tuple)) else {"": tree}


def _walk(tree: Any) -> Iterator[Any]:
    todo = [tree]
    while todo:
        value = todo.pop()
        yield value
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, (list, tuple)):
            todo.extend(value)


def _keys(tree: Any) -> str:
    """The first keys, and those of the first dictionary inside."""
    if not isinstance(tree, dict):
        return f"one value of type {tree.function}" if isinstance(tree, Call) else f"one {type(tree).__name__}"
    text = ", ".join(quoted(key, 50) for key in [*tree][:4]) + (", ..." if len(tree) > 4 else "")
    inside = next(((key, value) for key, value in tree.items() if isinstance(value, dict) and value), None)
    if inside is None:
        return f"the keys {text}"
    return f"the keys {text}, in {quoted(inside[0])} " + ", ".join(quoted(key, 50) for key in [*inside[1]][:3])


# PyTorch modules


def _described(value: Any) -> tuple[str, dict[str, Any]] | None:
    """A module's class name and `__dict__`; None of what is no pickled object."""
    if not isinstance(value, Call):
        return None
    if (value.function.module, value.function.name) != _PERSISTENT:
        return (value.function.name, value.state) if isinstance(value.state, dict) else None
    meta = value.args[0] if len(value.args) == 1 else None
    kind, name = (meta.get("type"), meta.get("class_name")) if isinstance(meta, dict) else (None, None)
    if (
        not isinstance(meta, dict)
        or not isinstance(kind, str)
        or kind != "class"
        or not isinstance(name, str)
        or not name.isidentifier()
        or len(name) > 100
    ):
        raise BadCheckpoint("a persistent object does not say its class: damaged")
    if not isinstance(meta.get("state"), dict):
        raise BadCheckpoint(f"a persistent {name} has no state: damaged")
    return name, meta["state"]


def _is_module(value: Any) -> bool:
    found = _described(value)
    return found is not None and {"_parameters", "_buffers", "_modules"} <= found[1].keys()


def _module(value: Any) -> Module:
    described = _described(value)
    assert described is not None
    class_name, state = described
    args, kwargs = state.get("_init_args", ()), state.get("_init_kwargs", {})
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
        raise BadCheckpoint(f"the arguments of {quoted(class_name)} are no arguments: damaged")
    arguments = {str(i): plain(value) for i, value in enumerate(args)}
    arguments |= {str(key): plain(value) for key, value in kwargs.items()}
    module = Module(class_name, arguments, {}, {}, {})
    _flatten(value, "", module)
    return module


def _flatten(value: Any, prefix: str, into: Module) -> None:
    """Adds a module's tensors, constants and class under a prefix, and those of the modules inside it."""
    if len(prefix) > _LONGEST:  # it stands before each name inside, so that long ones multiply
        raise BadCheckpoint(f"the name of the module {quoted(prefix)} has {len(prefix)} letters: damaged")
    described = _described(value)
    if described is None or not _is_module(value):
        raise BadCheckpoint(f"{quoted(prefix)} is no module: damaged")
    into.classes[prefix.removesuffix(".")] = described[0]
    state = described[1]
    parameters, buffers, modules = (state[part] for part in ("_parameters", "_buffers", "_modules"))
    if not all(isinstance(part, dict) for part in (parameters, buffers, modules)):
        raise BadCheckpoint(f"the parts of the module {quoted(prefix)} are no dictionaries: damaged")
    hidden = state.get("_non_persistent_buffers_set")
    hidden = hidden if isinstance(hidden, (set, frozenset)) else set()
    for name, tensor in [*parameters.items(), *buffers.items()]:
        if tensor is None:
            continue
        key = f"{prefix}{name}"
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise BadCheckpoint(f"{quoted(key)} is no tensor: damaged")
        if name in hidden and name in buffers:
            into.constants[key] = tensor
            continue
        if key in into.tensors:
            raise BadCheckpoint(f"has two tensors of the name {quoted(key)}: damaged")
        into.tensors[key] = tensor
    for name, attribute in state.items():
        if isinstance(name, str) and not name.startswith("_") and _is_plain(attribute):
            into.constants[f"{prefix}{name}"] = plain(attribute)
    for name, inner in modules.items():
        if inner is not None:
            _flatten(inner, f"{prefix}{name}.", into)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(entry) for entry in value)
    small = not isinstance(value, np.ndarray) or value.size <= _SMALL
    return small and (value is None or isinstance(value, (bool, int, float, str, np.generic, np.ndarray)))


# TensorFlow networks


def _is_network(value: Any) -> bool:
    return (
        isinstance(value, Call)
        and value.function.name == "Network"
        and isinstance(value.state, dict)
        and "variables" in value.state
    )


def _network(value: Call) -> Network:
    state = value.state
    name, version = state.get("name"), state.get("version")
    if type(version) is not int or version not in _TENSORFLOW_VERSIONS:
        known = ", ".join(map(str, _TENSORFLOW_VERSIONS))
        raise BadCheckpoint(f"the TensorFlow network {quoted(name)} is of version {quoted(version)}; known: {known}")
    arguments, components, own = state.get("static_kwargs", {}), state.get("components", {}), state["variables"]
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(components, dict):
        raise BadCheckpoint(f"the TensorFlow network {quoted(name)} lacks its name, arguments or components: damaged")
    variables: dict[str, np.ndarray[Any, Any]] = {}
    for pair in own.items() if isinstance(own, dict) else own if isinstance(own, list) else [None]:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise BadCheckpoint(f"the variables of the TensorFlow network {quoted(name)} are no pairs: damaged")
        _add(variables, name, pair[0], pair[1])
    inner: dict[str, Network] = {}
    for key, component in components.items():
        if not isinstance(key, str) or not _is_network(component):
            raise BadCheckpoint(f"the component {quoted(key)} of {quoted(name)} is no network: damaged")
        inner[key] = _network(component)
        for variable, array in inner[key].variables.items():
            _add(variables, name, f"{key}/{variable}", array)
    function = state.get("build_func_name")
    return Network(name, version, plain(arguments), inner, variables, function if isinstance(function, str) else "")


def _add(variables: dict[str, np.ndarray[Any, Any]], network: str, name: str, value: Any) -> None:
    if not isinstance(value, (np.ndarray, np.generic, float, int)) or isinstance(value, bool):
        raise BadCheckpoint(f"the variable {quoted(name)} of {quoted(network)} is no array: damaged")
    if name in variables:
        raise BadCheckpoint(f"the variable {quoted(name)} of {quoted(network)} is there twice: damaged")
    variables[name] = np.asarray(value)
