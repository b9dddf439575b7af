"""Adapters, against the product of matrices that they stand for."""

import copy

import torch
from helpers import close
from torch import nn

from ganzoo.nn.low_rank import adaptable, add_adapters, holding, merged, size


def network() -> nn.Sequential:
    torch.manual_seed(0)
    last = nn.Conv2d(16, 1, 1)
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ConvTranspose2d(32, 16, 4), nn.ReLU(), last)


def test_nothing_changes_at_first_and_only_small_things_learn() -> None:
    one, x = network().eval(), torch.randn(2, 3, 8, 8)
    before, state = one(x), copy.deepcopy(one.state_dict())
    assert [*adaptable(one, 2)] == ["0", "2"], "of the last layer's 16 weights a rank of 2 would make 34"
    assert [*adaptable(one, 2, {id(one[0].weight)})] == ["2"], "what is to keep its values does"
    add_adapters(one, 2, ["0", "2"])
    assert torch.equal(one(x), before)
    learning = {name for name, value in one.named_parameters() if value.requires_grad}
    ends = {"up", "down"}
    assert {name.rpartition(".")[2] for name in learning if name[0] in "02"} == ends | {"bias"}
    assert {"1.weight", "4.weight"} <= learning
    plain = merged(one)
    assert plain.keys() == state.keys() and all(torch.equal(plain[key], state[key]) for key in state)


def test_merged_weights_compute_what_the_adapters_did() -> None:
    one, x = network(), torch.randn(4, 3, 8, 8)
    frozen = {key: value.clone() for key, value in one.state_dict().items()}
    add_adapters(one, 2, ["0", "2"])
    learning = [value for value in one.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        one(x).square().mean().backward()
        optimizer.step()
    plain = network()
    plain.load_state_dict(merged(one))
    assert close(plain.eval()(x), one.eval()(x))
    change = (merged(one)["2.weight"] - frozen["2.weight"]).flatten(1)
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    state = one.state_dict()
    up, down = (state[f"2.parametrizations.weight.0.{name}"] for name in ("up", "down"))
    assert close(change, up @ down, 1e-4)


def test_another_state_is_held_for_a_while() -> None:
    one, other, x = network().eval(), network().eval(), torch.randn(2, 3, 8, 8)
    whole = size(one)
    add_adapters(one, 2, ["0", "2"])
    nn.init.normal_(one[0].parametrizations.weight[0].up)  # type: ignore[union-attr, index]
    before = one(x)
    with torch.no_grad():
        for value in other.parameters():
            value.mul_(2)
    with holding(one, other.state_dict()):
        assert torch.equal(one(x), other(x))
        assert all(torch.equal(merged(one)[key], value) for key, value in other.state_dict().items())
    assert torch.equal(one(x), before) and size(one) == whole == size(other)
