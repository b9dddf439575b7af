"""PPGN: the losses by hand, a chain's step by its equation, and classifiers that are plugged in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import close, fit, stirred, tiny
from torch import nn

import ganzoo
from ganzoo.data.batch import Images
from ganzoo.families.ppgn import of_class
from ganzoo.metrics.features.network import feature_network
from ganzoo.types import BadArgument, Batch, Condition


def game(**arguments: Any) -> Any:
    return stirred(tiny("ppgn", **arguments)).eval()


def batch(n: int = 4) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.rand(n, 1, 8, 8) * 2 - 1)


class Shade(nn.Module):
    """Two classes: how light an image is, and how dark."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = 50 * images.mean((1, 2, 3))
        return torch.stack([light, -light], 1)


def test_the_features_are_those_of_the_named_network() -> None:
    """Through the public feature network, which rounds nothing at its own size; its logits are the own classifier's."""
    made = game(size=32)
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    network = feature_network("fashion_mnist_cnn")
    features, probabilities = network.both(images)
    assert close(made.encode(images), features, 1e-5)
    assert probabilities is not None
    assert close(made.own_classifier(images).softmax(1), probabilities, 1e-4)


def test_the_generators_loss_by_hand() -> None:
    made = game(noise=0.2, pixels=2.0, maps=3.0, features=5.0, adversarial=0.7)
    made.record = lambda **_: None
    given = batch()
    with torch.no_grad():
        torch.manual_seed(2)
        found = made.generator_loss(given)
        torch.manual_seed(2)
        maps = made.encoder(given.images)[-1]
        h = maps.mean((2, 3))
        back = made.generator(h + 0.2 * (h**2).mean().sqrt() * torch.randn(h.shape))
        again = made.encoder(back)[-1]
        by_hand = 2 * ((given.images - back) ** 2).mean() + 3 * ((maps - again) ** 2).mean() / (maps**2).mean()
        by_hand = by_hand + 5 * ((h - again.mean((2, 3))) ** 2).mean() / (h**2).mean()
        by_hand = by_hand - 0.7 * made.discriminator(back).sigmoid().log().mean()
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_the_discriminators_loss_by_hand() -> None:
    made, given = game(noise=0.0), batch()
    with torch.no_grad():
        real, fake = (
            made.discriminator(x).sigmoid() for x in (given.images, made.generator(made.encoding(given.images)))
        )
        assert made.discriminator_loss(given).item() == pytest.approx(
            float(-real.log().mean() - (1 - fake).log().mean()), rel=1e-4
        )


def test_without_the_gan_nobody_criticises() -> None:
    made = tiny("ppgn", adversarial=0.0)
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    fit(made, 2)
    moved = {name.split(".")[0] for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"generator"}


def test_a_step_is_equation_11() -> None:
    """The gradient by finite differences, in float64."""
    made = game().double()
    torch.manual_seed(3)
    h, noise = torch.rand(2, 128).double() + 1, torch.randn(2, 128).double()
    labels = torch.tensor([0, 1])

    def said(at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return Shade()(made.generator(at)).log_softmax(1)[torch.arange(2), labels]

    gradient = torch.zeros_like(h)
    for i in range(128):
        moved = torch.zeros_like(h)
        moved[:, i] = 1e-5
        gradient[:, i] = (said(h + moved) - said(h - moved)) / 2e-5
    with torch.no_grad():
        back = made.encoding(made.generator(h))
    assert gradient.abs().max() > 0
    for e1, e2, e3 in ((0.3, 0.5, 0.1), (0.0, 0.5, 0.0), (0.3, 0.0, 0.0), (0.0, 0.0, 0.1)):
        found = made.step(h, Condition(labels), of_class(Shade()), noise, e1, e2, e3)
        assert close(found, (h + e1 * (back - h) + e2 * gradient + e3 * noise).clamp(min=0), 1e-6)
    assert torch.equal(made.step(-h, Condition(labels), of_class(Shade()), noise, 0.0, 0.0, 0.0), torch.zeros_like(h))


def test_any_classifier_steers() -> None:
    made = game()
    options: dict[str, Any] = {"classifier": Shade(), "steps": 20, "epsilon1": 0.0, "epsilon2": 1.0, "epsilon3": 0.0}
    light, dark = (made.sample(4, labels=label, **options).mean((1, 2, 3)) for label in (0, 1))
    plain = made.sample(4, labels=0, **options | {"epsilon2": 0.0}).mean((1, 2, 3))
    assert (light > plain).all() and (plain > dark).all()
    again = made.sample(4, labels=1, **options | {"epsilon2": 0.0}).mean((1, 2, 3))
    assert torch.equal(again, plain), "without it the class is of no matter"


def test_any_log_probability_steers_each_image_by_what_is_asked_of_it() -> None:
    """log p(y | x) = -50 (mean of x - y)^2 of the lightness y that the condition's text holds, at any batch size."""
    made, wanted = game(), torch.tensor([[-0.6], [0.6], [0.6], [-0.6]])

    def log_probability(images: torch.Tensor, condition: Condition) -> torch.Tensor:
        assert condition.text is not None
        return -50 * (images.mean((1, 2, 3)) - condition.text[:, 0]) ** 2

    options: dict[str, Any] = {"steps": 20, "epsilon1": 0.0, "epsilon2": 1.0, "epsilon3": 0.0, "batch_size": 3}
    found = made.sample(4, condition=Condition(text=wanted), log_probability=log_probability, **options)
    plain = made.sample(4, **options | {"epsilon2": 0.0})
    up = (found - plain).mean((1, 2, 3)) > 0
    assert up.tolist() == [False, True, True, False]


def test_a_chains_noise_is_its_images_own() -> None:
    made = game(steps=3, epsilon3=0.5)
    together = made.sample(3, seed=5)
    assert torch.allclose(made.sample(1, seed=6)[0], together[1], atol=1e-4)
    assert not torch.allclose(made.sample(3, seed=5, epsilon3=0.0), together, atol=1e-3)


def test_no_steps_bring_an_image_back_from_its_features() -> None:
    made = game()
    images = batch(24).images
    z = made.encode(images)
    with torch.no_grad():
        assert torch.allclose(made.sample(z=z, steps=0), made.generator(z), atol=1e-5)
    values = np.random.RandomState(0).randint(0, 256, (24, 1, 8, 8)).astype(np.uint8)
    table = made.pictures(Images("noise", values))["reconstructions"]
    shown = torch.from_numpy(values).float() / 127.5 - 1
    assert torch.allclose(table[[1, 3]].flatten(0, 1), made.sample(z=made.encode(shown), steps=0), atol=1e-5)


def test_what_it_cannot_do_is_one_line() -> None:
    with pytest.raises(BadArgument, match="latent is 6, and fashion_mnist_cnn has 128 features"):
        fit(tiny("ppgn", latent=6), 1)
    with pytest.raises(BadArgument, match="fashion_mnist_cnn does not tell 3 classes; give `classifier`"):
        tiny("ppgn", classes=3).sample(1)
    with pytest.raises(BadArgument, match="PPGN has no epsilon4"):
        game().sample(1, epsilon4=1.0)
    with pytest.raises(BadArgument, match="steps is -1; 0 or more is expected"):
        game().sample(1, steps=-1)
    with pytest.raises(BadArgument, match="class 2 is asked for"):
        game().sample(1, labels=2, classifier=Shade())
    with pytest.raises(BadArgument, match="both given"):
        game().sample(1, classifier=Shade(), log_probability=lambda images, condition: images.mean((1, 2, 3)))
    with pytest.raises(BadArgument, match="text is given, and no log_probability of it"):
        game().sample(1, condition=Condition(text=torch.zeros(1, 4)))
    assert ganzoo.create("ppgn").arguments["network"] == "fashion_mnist_cnn"


@pytest.mark.parametrize(
    ("log_probability", "why"),
    [
        (lambda images, condition: images.mean((2, 3)), r"has shape \(2, 1\); a tensor \(2,\)"),
        (lambda images, condition: images.mean(), r"has shape \(\); a tensor \(2,\)"),
        (lambda images, condition: 0.5, r"has shape \(\); a tensor \(2,\)"),
        (lambda images, condition: torch.zeros(2), "has no gradient"),
        (lambda images, condition: images.mean((1, 2, 3)) * math.nan, "not finite"),
        (lambda images, condition: images.mean((1, 2, 3)) - math.inf, "not finite"),
        (lambda images, condition: (images.mean((1, 2, 3)) * 0).sqrt(), "not finite"),
    ],
)
def test_a_log_probability_that_cannot_steer_is_refused(log_probability: Any, why: str) -> None:
    with pytest.raises(BadArgument, match=f"log_probability .*{why}"):
        game().sample(2, steps=1, log_probability=log_probability)
