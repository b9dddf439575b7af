"""CVAE-GAN: its losses, written out; who learns from what; codes and what comes back of pictures."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from helpers import close, fit, pictures, stirred, tiny

from ganzoo.types import Batch


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("cvae_gan", channels=3, classes=3, kl=2.0, mean_features=0.3, class_features=0.7)).eval()
    x, c = pictures(5, (3, 8, 8)), torch.tensor([0, 2, 2, 0, 2])
    y = F.one_hot(c, 3).float()
    torch.manual_seed(0)
    mu, log_variance = game.encoder(torch.cat([x, y[:, :, None, None].expand(-1, -1, 8, 8)], 1)).chunk(2, 1)
    normal = torch.distributions.Normal(mu, log_variance.exp().sqrt())
    eps = torch.randn(5, 6)
    again = game.generator(torch.cat([normal.mean + normal.stddev * eps, y], 1))
    new = game.generator(torch.cat([torch.randn(5, 6), y], 1))
    real, fake, prior = (game.discriminator(each).sigmoid() for each in (x, again, new))
    torch.manual_seed(0)
    wanted = -(real.log() + (1 - fake).log() + (1 - prior).log()).mean()
    assert close(game.discriminator_loss(Batch(x, c)), wanted)
    assert close(game.classifier_loss(Batch(x, c)), -game.classifier(x).log_softmax(1)[range(5), c].mean())

    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    f_d = [game.discriminator.features(each).flatten(1) for each in (x, again, new)]
    f_c = [game.classifier.features(each).flatten(1) for each in (x, again, new)]
    pairs = ((x, again), f_d[:2], f_c[:2])
    back = sum((one - other).square().sum() / 5 for one, other in pairs) / 2
    means = (f_d[0].mean(0) - f_d[2].mean(0)).square().sum() / 2
    of_classes = sum((f_c[0][c == k].mean(0) - f_c[2][c == k].mean(0)).square().sum() for k in (0, 2)) / 2
    torch.manual_seed(0)
    assert close(game.generator_loss(Batch(x, c)), 2.0 * kl + back + 0.3 * means + 0.7 * of_classes)


def test_drawn_pictures_leave_the_classifier_as_it_is() -> None:
    game: Any = tiny("cvae_gan")
    before = {key: value.clone() for key, value in game.classifier.state_dict().items()}
    game.generator_loss(Batch(pictures(4, (1, 8, 8)), torch.tensor([0, 1, 2, 3])))
    assert all(torch.equal(value, before[key]) for key, value in game.classifier.state_dict().items())


def test_what_comes_back_is_of_the_class_that_the_classifier_sees() -> None:
    game: Any = stirred(tiny("cvae_gan"))
    fit(game, 2)
    x = pictures(3, (1, 8, 8))
    c = game.classify(x).argmax(1)
    maps = F.one_hot(c, 10).float()
    z = game.encoder.eval()(torch.cat([x, maps[:, :, None, None].expand(-1, -1, 8, 8)], 1))[:, :6]
    assert close(game.encode(x), z)
    assert close(game.reconstruct(x), game.sample(z=z.detach(), labels=c))
    assert game.pictures(None) == {}
