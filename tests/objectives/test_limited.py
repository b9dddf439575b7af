"""Against closed forms: linear critics, whose scores and gradients are known."""

import pytest
import torch
from helpers import close

from ganzoo.objectives import limited, penalties
from ganzoo.types import BadArgument


def test_lecam_is_least_where_each_kind_is_scored_as_the_other_was() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.0, 2.0])
    found = limited.lecam(real, fake, torch.tensor(0.5), torch.tensor(-1.0))
    assert close(found, torch.tensor((4 + 16) / 2 + (6.25 + 0.25 + 2.25) / 3))
    real = torch.zeros(4, requires_grad=True)
    limited.lecam(real, fake, torch.tensor(0.5), torch.tensor(-1.0)).backward()
    assert real.grad is not None and close(real.grad, torch.full((4,), 2 * 1.0 / 4))


def test_consistency_of_a_linear_critic() -> None:
    torch.manual_seed(0)
    w, x, moved = torch.randn(12), torch.randn(5, 12), torch.randn(5, 12)
    found = limited.consistency(x @ w, moved @ w)
    assert close(found, ((x - moved) @ w).square().mean())
    with pytest.raises(BadArgument, match="not of the same samples"):
        limited.consistency(torch.zeros(3), torch.zeros(3, 1))


def test_flips_and_shifts_keep_pixels() -> None:
    torch.manual_seed(0)
    x = torch.zeros(400, 1, 16, 16)
    x[:, 0, 7, 3] = 1.0
    made = limited.flip_and_shift(x)
    assert made.flatten(1).sum(1).eq(1).all(), "one pixel stays one"
    columns = made.sum((1, 2)).argmax(1)
    assert set(columns.tolist()) == {1, 2, 3, 4, 5, 10, 11, 12, 13, 14}, "3 or its mirror image 12, and two pixels"
    assert set(made.sum((1, 3)).argmax(1).tolist()) == {5, 6, 7, 8, 9}
    share = float((columns > 7).float().mean())
    assert abs(share - 0.5) < 5 * 0.5 / 20


def test_the_hardest_scores_alone_have_a_gradient() -> None:
    scores = torch.tensor([0.3, -1.0, 2.0, 0.5], requires_grad=True)
    kept = limited.hardest(scores, 0.5)
    assert sorted(kept.tolist()) == [0.5, 2.0]
    (-kept.mean()).backward()
    assert scores.grad is not None and scores.grad.tolist() == [0, 0, -0.5, -0.5]
    patches = torch.tensor([[[[0.0, 4.0]]], [[[1.0, 1.0]]]])
    assert limited.hardest(patches, 0.5).tolist() == [[[[0.0, 4.0]]]]
    assert limited.hardest(scores, 1.0) is scores and len(limited.hardest(scores, 0.01)) == 1


def test_the_share_falls_by_a_hundredth_an_epoch() -> None:
    assert limited.top_k_share(49_999, 0.5) == 1.0
    assert limited.top_k_share(100_000, 0.5) == pytest.approx(0.9801)
    assert limited.top_k_share(10_000_000, 0.5) == 0.5


def test_the_approximate_penalty_is_r1_on_average() -> None:
    torch.manual_seed(0)
    w, x = torch.randn(10, dtype=torch.float64), torch.randn(3, 10)

    def critic(samples: torch.Tensor) -> torch.Tensor:
        return (samples.double() @ w).sin() + samples.double() @ w

    exact = penalties.r1(critic, x)
    many = x.repeat(20_000, 1)
    found = limited.approximate_penalty(critic, many, 0.001)
    # (w n)^2 / |w|^2 is chi-squared of one degree, of variance 2; 60,000 draws, five standard deviations
    assert abs(float(found) / float(exact) - 1) < 5 * 3**0.5 * (2 / 60_000) ** 0.5


def test_the_approximate_penalty_has_r1_s_gradient_in_the_critic_s_parameters() -> None:
    torch.manual_seed(0)
    w = torch.randn(6, dtype=torch.float64, requires_grad=True)
    limited.approximate_penalty(lambda x: x.double() @ w, torch.randn(1, 6).repeat(100_000, 1), 0.01).backward()
    assert w.grad is not None and close(w.grad, w.detach(), 0.03), "of 1/2 |w|^2"
