from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import data_for, fit, tensors, tiny, trainer

from ganzoo.data.digits import Digits
from ganzoo.families.improved_gan.adam import RootAdam
from ganzoo.media.levels import to_float
from ganzoo.types import BadArgument, Batch


def game(**arguments: Any) -> Any:
    return tiny("improved_gan", **arguments)


def batch_for(improved: Any, labels: list[int] | None) -> Batch:
    n = len(labels) if labels is not None else 4
    given = None if labels is None else torch.tensor(labels)
    return Batch(torch.rand(n, *improved.shape) * 2 - 1, given)


def test_k_logits_are_those_of_k_plus_one_classes() -> None:
    """Section 5: with the last logit fixed at 0, the softmax over K + 1 classes gives D and the classes' part."""
    improved = game(noise=[0.0, 0.0])
    batch = batch_for(improved, [2, -1, 7, -1, -1, -1])
    torch.manual_seed(0)
    found = improved.discriminator_loss(batch).item()
    torch.manual_seed(0)
    fake = improved.generator(improved.noise(batch))

    def log_p(images: torch.Tensor) -> torch.Tensor:
        logits = improved.discriminator(images)[0]
        return torch.cat([logits, torch.zeros(len(images), 1)], 1).log_softmax(1)

    told, untold, made = log_p(batch.images[[0, 2]]), log_p(batch.images[[1, 4]]), log_p(fake)
    labels = torch.tensor([2, 7])
    real = (1 - told[:, 10].exp()).log()  # log p(y <= K | x)
    classes = -(told[torch.arange(2), labels] - real).mean()
    game_ = -(1 - untold[:, 10].exp()).log().mean() - made[:, 10].mean()
    assert found == pytest.approx((classes + 0.5 * game_).item(), rel=1e-4)


@pytest.mark.parametrize("labels", [None, [-1, -1, -1, -1], [1, 2, 3, 4]])
def test_which_samples_count(labels: list[int] | None) -> None:
    """Without labels there is no classes' part; where none is hidden, all images count as unlabelled, half for D."""
    improved = game(noise=[0.0, 0.0], unlabelled=2.0)
    batch = batch_for(improved, labels)
    torch.manual_seed(0)
    found = improved.discriminator_loss(batch).item()
    torch.manual_seed(0)
    fake = improved.discriminator(improved.generator(improved.noise(batch)))[0].logsumexp(1)
    logits = improved.discriminator(batch.images)[0]
    bce = F.binary_cross_entropy_with_logits
    expected = bce(logits[::2].logsumexp(1), torch.ones(2)) + bce(fake, torch.zeros(4))
    if labels == [1, 2, 3, 4]:
        expected = expected + F.cross_entropy(logits, torch.tensor(labels))
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_one_sided_label_smoothing() -> None:
    """The target of real images is 0.9, that of generated ones stays 0."""
    improved = game(noise=[0.0, 0.0], smoothing=0.1)
    batch = batch_for(improved, None)
    torch.manual_seed(0)
    found = improved.discriminator_loss(batch).item()
    torch.manual_seed(0)
    fake = improved.discriminator(improved.generator(improved.noise(batch)))[0].logsumexp(1)
    real = improved.discriminator(batch.images[::2])[0].logsumexp(1)
    bce = F.binary_cross_entropy_with_logits
    assert found == pytest.approx((0.5 * (bce(real, torch.full((2,), 0.9)) + bce(fake, torch.zeros(4)))).item())


def test_feature_matching() -> None:
    """The squared distance of the mean features of the last hidden layer, of unlabelled and of generated images."""
    improved = game(noise=[0.0, 0.0])
    batch = batch_for(improved, [2, -1, 7, -1, -1, -1])
    torch.manual_seed(0)
    found = improved.generator_loss(batch).item()
    torch.manual_seed(0)
    fake = improved.generator(improved.noise(batch)).flatten(1)
    real = batch.images[[3, 5]].flatten(1)  # 1 and 4 are the discriminator's
    for layer in improved.discriminator.layers:
        real, fake = layer(real).relu(), layer(fake).relu()
    assert found == pytest.approx((real.mean(0) - fake.mean(0)).square().mean().item(), rel=1e-4)


def test_without_feature_matching_the_generator_fools_the_discriminator() -> None:
    improved = game(noise=[0.0, 0.0], feature_matching=False, kernels=[3, 2])
    batch = batch_for(improved, None)
    torch.manual_seed(0)
    found = improved.generator_loss(batch).item()
    torch.manual_seed(0)
    z = improved.discriminator(improved.generator(improved.noise(batch)))[0].exp().sum(1)
    assert found == pytest.approx(torch.log(1 - z / (z + 1)).mean().item(), rel=1e-4)


def test_historical_averaging_stands_in_both_losses() -> None:
    improved = game(historical=3.0)
    fit(improved, 3)
    with torch.no_grad():
        for parameter in improved.parameters():
            parameter.add_(0.1)
    plain, batch = game(), batch_for(improved, None)
    plain.load_state_dict(improved.state_dict(), strict=False)  # but for the averages
    for name, network in (("discriminator", improved.discriminator), ("generator", improved.generator)):
        losses = []
        for each in (improved, plain):
            torch.manual_seed(0)
            losses.append(getattr(each, f"{name}_loss")(batch))
        term = improved.history.term(name, network)
        assert float(term.detach()) > 1e-3
        assert float((losses[0] - losses[1]).detach()) == pytest.approx(float(term.detach()), rel=1e-3)


def test_the_mean_of_past_parameters_is_saved(tmp_path: Any) -> None:
    whole, half, rest = (game(historical=3.0) for _ in range(3))
    fit(whole, 4)
    made = fit(half, 2)
    made.save_checkpoint(tmp_path / "half.ckpt")
    fit(rest, 4, ckpt=tmp_path / "half.ckpt")
    assert rest.history.means.keys() == whole.history.means.keys() and len(whole.history.means) > 4
    assert float(rest.history.means["generator"]) == 4
    assert all(torch.allclose(value, rest.history.means[key]) for key, value in whole.history.means.items())
    assert all(torch.equal(value, tensors(rest)[key]) for key, value in tensors(whole).items())


def test_the_reference_batch_is_chosen_once_and_kept() -> None:
    improved = game(reference=5)
    before = improved.generator.reference.clone()
    assert before.shape == (5, improved.latent) and before.min() >= 0 and before.max() <= 1
    fit(improved, 3)
    assert torch.equal(improved.generator.reference, before)
    assert "generator.reference" in improved.inference_tensors()
    alone = torch.cat([improved.sample(1, seed=i) for i in range(3)])
    assert torch.allclose(improved.sample(3), alone, atol=1e-5), "a sample does not depend on its batch"
    z = torch.rand(3, improved.latent)
    improved.train()
    assert torch.allclose(improved.generator(z)[1:], improved.generator(z[1:]), atol=1e-5), "in training neither"


def test_the_first_batch_sets_the_discriminators_scales_once() -> None:
    improved = game()
    assert not improved.discriminator.ready
    data = data_for(improved)
    trainer(1).fit(improved, data)
    assert improved.discriminator.ready
    scale = improved.discriminator.layers[0].scale.clone()
    assert not torch.equal(scale, torch.ones_like(scale))
    fit(improved, 3)
    assert torch.equal(improved.discriminator.layers[0].scale, scale)


def test_classify() -> None:
    improved = game()
    fit(improved, 2)
    improved.train()
    images = torch.rand(7, *improved.shape) * 2 - 1
    logits = improved.classify(images)
    assert logits.shape == (7, 10) and logits.dtype == torch.float32
    assert torch.allclose(improved.classify(images, batch_size=2), logits, atol=1e-5)
    assert torch.equal(improved.classify(images), logits), "no noise"
    with pytest.raises(BadArgument, match="images have shape"):
        improved.classify(images[0])


def test_noise_only_in_training() -> None:
    discriminator = game(noise=[0.3, 0.5]).discriminator
    x = torch.rand(4, 1, 8, 8)
    assert not torch.equal(discriminator(x)[0], discriminator(x)[0])
    discriminator.eval()
    assert torch.equal(discriminator(x)[0], discriminator(x)[0])


def test_it_learns_from_few_labels() -> None:
    """A step towards the table of docs/semi_supervised.md: far better than chance after a moment."""
    improved = tiny("improved_gan", latent=16, hidden=[32], discriminator_hidden=[64, 32])
    data = Digits(batch_size=64, known=50)
    trainer(120).fit(improved, data)
    test = data.open("test").batch(range(360))
    answers: Any = improved
    errors = (answers.classify(to_float(test.images)).argmax(1) != test.labels).float().mean()
    assert errors < 0.45 and math.isfinite(float(errors))


@pytest.mark.parametrize("matching", [True, False])
@pytest.mark.parametrize("given", [None, [-1] * 7, [3, -1, -1, 4, -1, -1, -1], [0, 1, 2, 3, 4, 5, 6], [-1]])
def test_no_real_image_is_for_both_players(given: list[int] | None, matching: bool) -> None:
    """As in the authors' code, where each player is shown a batch of its own; but an image alone is for both."""
    improved = game(feature_matching=matching)
    batch = batch_for(improved, given)
    labels, ours, theirs = improved.labels(batch)
    hidden = [i for i, label in enumerate(labels.tolist()) if label < 0] or list(range(len(batch)))
    whole = not matching or len(hidden) == 1
    assert ours.nonzero().flatten().tolist() == (hidden if whole else hidden[::2])
    assert theirs.nonzero().flatten().tolist() == (hidden if whole else hidden[1::2])


def test_adams_eps_stands_under_the_root() -> None:
    """Three steps by hand; where gradients are tiny, the step is lr m / sqrt(eps), and torch's 10,000 times that."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    optimizer = RootAdam([parameter], lr=0.1, betas=(0.5, 0.9))
    m, v, x = (torch.zeros(2, dtype=torch.float64) for _ in range(3))
    x += 1
    for step in (1, 2, 3):
        gradient = torch.tensor([1e-8, 0.3], dtype=torch.float64) * step
        parameter.grad = gradient.clone()
        optimizer.step()
        m, v = 0.5 * m + 0.5 * gradient, 0.9 * v + 0.1 * gradient**2
        x = x - 0.1 * (m / (1 - 0.5**step)) / (v / (1 - 0.9**step) + 1e-8).sqrt()
        assert torch.allclose(parameter.detach(), x, rtol=1e-12, atol=0)
        if step == 1:
            assert 1 - x[0].item() == pytest.approx(0.1 * 1e-8 / 1e-4, rel=1e-4)
    assert improved_optimizer() is RootAdam


def improved_optimizer() -> type:
    return type(game().players()["generator"].optimizer([torch.nn.Parameter(torch.zeros(1))]))
