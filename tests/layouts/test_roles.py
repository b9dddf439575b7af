"""A file whose networks lack the very tensor by which a layout knows them is refused, not read as another file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from parity_files import fixture

from ganzoo.layouts import open_file, recognise
from ganzoo.types import BadCheckpoint


@pytest.mark.parametrize("key", ["G_ema", "G", "D"])
def test_a_stylegan3_module_without_its_marker(key: str) -> None:
    contents = open_file(fixture("stylegan3.r.pkl"))
    missing = "b4.out.weight" if key == "D" else "synthesis.input.freqs"
    tensors = {name: value for name, value in contents.modules[key].tensors.items() if name != missing}
    changed = replace(contents, modules={**contents.modules, key: replace(contents.modules[key], tensors=tensors)})
    with pytest.raises(BadCheckpoint, match=f"{key} .*{missing}"):
        recognise(changed).convert(changed)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_tensorflow_network_without_its_marker(place: int) -> None:
    contents = open_file(fixture("stylegan2_tf_pickle.config_f.pkl"))
    network = contents.networks[place]
    marks: Any = ("Output/weight", "synthesis/4x4/Conv/mod_weight")
    variables = {name: value for name, value in network.variables.items() if name not in marks}
    networks = [*contents.networks]
    networks[place] = replace(network, variables=variables)
    changed = replace(contents, networks=tuple(networks))
    with pytest.raises(BadCheckpoint, match=network.name):
        recognise(changed).convert(changed)
