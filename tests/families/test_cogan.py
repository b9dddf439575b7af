from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import fit, tiny
from safetensors import safe_open

import ganzoo
from ganzoo.folder import write_model
from ganzoo.types import BadArgument, BadData, Batch


def game(**arguments: Any) -> Any:
    return tiny("cogan", **arguments)


def batch_for(cogan: Any, n: int = 4) -> Batch:
    return Batch(torch.rand(n, *cogan.shape) * 2 - 1, targets=torch.rand(n, *cogan.shape) * 2 - 1)


@pytest.mark.parametrize("size", [8, 16, 20, 28, 32])
def test_sizes(size: int) -> None:
    cogan = game(size=size, width=2, maps=[3, 4, 5])
    made = cogan.generator(torch.rand(2, 6))
    assert [tuple(each.shape) for each in made] == [(2, 1, size, size)] * 2
    assert cogan.discriminator(made).shape == (4,)


@pytest.mark.parametrize("size", [5, 7, 9, 15])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(BadArgument, match=f"image size is {size}; an even one of at least 8"):
        game(size=size)


def test_the_papers_networks() -> None:
    """The supplement's table for digits: the layers' widths, kernels and which are shared."""
    with torch.device("meta"):
        cogan: Any = ganzoo.create("cogan")
    shapes = {name: tuple(p.shape) for name, p in cogan.generator.named_parameters() if p.dim() > 1}
    assert list(shapes.values()) == [
        (100, 1024, 4, 4), (1024, 512, 3, 3), (512, 256, 3, 3), (256, 128, 3, 3), (128, 1, 6, 6), (128, 1, 6, 6)
    ]  # fmt: skip
    assert [name.split(".")[0] for name in shapes] == ["shared"] * 4 + ["own"] * 2
    shapes = {name: tuple(p.shape) for name, p in cogan.discriminator.named_parameters() if p.dim() > 1}
    assert list(shapes.values()) == [(20, 1, 5, 5), (20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (1, 500)]
    assert [name.split(".")[0] for name in shapes] == ["own"] * 2 + ["shared"] * 3


@pytest.mark.parametrize("generator", [0, 1, 2])
@pytest.mark.parametrize("discriminator", [0, 1, 3])
def test_the_number_of_shared_layers(generator: int, discriminator: int) -> None:
    """What is shared stands once; the two domains have the same layers whatever is shared, and their own weights."""
    whole, some = game(), game(generator_shared=generator, discriminator_shared=discriminator)
    convolutions = [m for m in some.generator.shared if isinstance(m, torch.nn.ConvTranspose2d)]
    assert len(convolutions) == generator
    taught = [m for m in some.discriminator.shared if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert len(taught) == discriminator
    for network, other in ((some.generator, whole.generator), (some.discriminator, whole.discriminator)):
        paths = [[p.shape for p in (*n.shared.parameters(), *n.own[0].parameters())] for n in (network, other)]
        assert sorted(paths[0]) == sorted(paths[1])
        assert [p.shape for p in network.own[0].parameters()] == [p.shape for p in network.own[1].parameters()]
    made = some.generator(torch.rand(3, 6))
    assert made[0].shape == (3, *some.shape) and not torch.allclose(made[0], made[1])
    assert some.discriminator(made).shape == (6,)


def test_more_shared_layers_than_there_are() -> None:
    with pytest.raises(BadArgument, match="generator_shared is 9; at most 2 of a generator's 3 layers"):
        game(generator_shared=9)


def test_shared_layers_feel_both_domains_and_own_ones_theirs() -> None:
    cogan = game()
    for domain in (0, 1):
        cogan.zero_grad()
        cogan.generator(torch.rand(4, 6))[domain].square().sum().backward()
        touched = [p.grad is not None and bool(p.grad.any()) for p in cogan.generator.own[domain].parameters()]
        other = [p.grad is not None and bool(p.grad.any()) for p in cogan.generator.own[1 - domain].parameters()]
        shared = [p.grad is not None and bool(p.grad.any()) for p in cogan.generator.shared[0].parameters()]
        assert all(touched) and not any(other) and shared[0]


def test_what_is_shared_is_saved_once(tmp_path: Path) -> None:
    cogan = game()
    fit(cogan, 1)
    write_model(cogan, tmp_path / "model", {})
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        names = list(file.keys())
        count = sum(file.get_tensor(name).numel() for name in names if "running" not in name and "num_b" not in name)
    assert count == sum(p.numel() for p in cogan.generator.parameters())
    assert sum("own.0" in name for name in names) == sum("own.1" in name for name in names) == 2
    assert torch.allclose(ganzoo.load(tmp_path / "model").sample(2, domain=1), cogan.sample(2, domain=1), atol=1e-5)


def test_losses_in_closed_form() -> None:
    """The mean over both domains of the binary cross-entropies, as one discriminator a domain would give them."""
    cogan = game(dropout=0.0)
    cogan.eval()
    batch = batch_for(cogan)
    torch.manual_seed(1)
    found = cogan.discriminator_loss(batch).item(), cogan.generator_loss(batch).item()
    torch.manual_seed(1)
    z, again = cogan.noise(batch), cogan.noise(batch)

    def logits(domain: int, images: torch.Tensor) -> Any:
        return cogan.discriminator.shared(cogan.discriminator.own[domain](images)).flatten()

    bce = F.binary_cross_entropy_with_logits
    discriminator, generator = torch.zeros(()), torch.zeros(())
    for domain, real in enumerate((batch.images, batch.targets)):
        assert real is not None
        said, fake = logits(domain, real), logits(domain, cogan.generator(z)[domain])
        discriminator = discriminator + (bce(said, torch.ones(4)) + bce(fake, torch.zeros(4))) / 2
        generator = generator + bce(logits(domain, cogan.generator(again)[domain]), torch.ones(4)) / 2
    assert found == pytest.approx((discriminator.item(), generator.item()), rel=1e-5)


def test_one_seed_gives_a_pair() -> None:
    cogan = game()
    fit(cogan, 2)
    cogan.eval()
    z = cogan.draw([5, 6])[0]
    assert z.abs().max() <= 1
    with torch.no_grad():
        made = cogan.generator(z)
    for domain in (0, 1):
        assert torch.allclose(cogan.sample(2, seed=5, domain=domain), made[domain], atol=1e-5)
    assert torch.equal(cogan.sample(2), cogan.sample(2, domain=0))
    assert not torch.allclose(cogan.sample(2), cogan.sample(2, domain=1), atol=1e-3)
    with pytest.raises(BadArgument, match="domain is 2; 0 or 1"):
        cogan.sample(1, domain=2)
    table = cogan.pictures(None)["pairs"]
    assert table.shape == (4, 12, *cogan.shape)
    assert torch.allclose(table[3], cogan.sample(12, seed=12, domain=1), atol=1e-6)


def test_data_of_one_domain_are_refused() -> None:
    cogan = game()
    with pytest.raises(BadData, match="CoGAN learns two domains, and the data have one"):
        cogan.discriminator_loss(Batch(torch.rand(4, *cogan.shape)))
