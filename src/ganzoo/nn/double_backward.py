"""A convolution whose second derivatives are as fast as its first, for penalties on gradients.

R1 and the path length differentiate a convolution's backward pass. Torch derives that from a general formula, which
convolves with kernels as large as the images. Here the two linear maps that there are, a convolution (or its adjoint)
and the gradient of its weights, are each other's derivatives, so that every order runs at the speed of the first: a
quarter less time for R1 and the path length on a CPU. Elsewhere torch's own convolutions are the faster ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_inside = False  # `input_gradients`


@contextmanager
def input_gradients() -> Iterator[None]:
    """Makes the gradient of a network's input, taken and penalized inside, fast to differentiate.

    The network runs inside, and so does `torch.autograd.grad(..., inputs, create_graph=True)`, which leaves the
    gradients of weights out: a function that is written in Python cannot see what it is asked for. Those of the
    penalty, from a backward pass outside, are complete.
    """
    global _inside
    before, _inside = _inside, True
    try:
        yield
    finally:
        _inside = before


def recorded() -> bool:
    """Whether operations are being recorded, to be compiled or exported: only torch's own can be."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    adjoint: bool = False,
) -> Tensor:
    """Torch's convolution, or its adjoint, the transposed one.

    Every pixel of the strided convolution's input must be used: (H + 2 padding - k) divisible by the stride.

    Args:
        x: images `(N, I, H, W)`; of the adjoint `(N, O, H, W)`.
        weight: `(O, I / groups, k, k)`.
        bias: of the outputs, or None.
        stride: keeps every so manieth pixel; of the adjoint, zeros stand between the pixels.
        padding: zeros on every side; the adjoint crops.
        groups: parts of the feature maps that are convolved each on its own.
        adjoint: from O to I feature maps.
    """
    if _inside and torch.is_grad_enabled() and not (recorded() or torch.is_autocast_enabled(x.device.type)):
        return _Convolution.apply(x, weight, bias, stride, padding, groups, adjoint)
    run = F.conv_transpose2d if adjoint else F.conv2d
    return run(x, weight, bias, stride=stride, padding=padding, groups=groups)


class _Convolution(torch.autograd.Function):
    """y = W * x + b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int, adjoint: bool
    ) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.how = stride, padding, groups, adjoint
        if adjoint and stride == 1 and groups > 1:  # a plain convolution too, which is a third faster in groups
            mirrored = weight.flip(2, 3).unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
            return F.conv2d(x, mirrored, bias, padding=weight.shape[-1] - 1 - padding, groups=groups)
        run = F.conv_transpose2d if adjoint else F.conv2d
        return run(x, weight, bias, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (g,), (x, weight), (*how, adjoint) = grads, ctx.saved_tensors, ctx.how
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        return (
            _Convolution.apply(g, weight, None, *how, not adjoint) if for_x else None,
            _WeightGradient.apply(g, x, weight.detach(), *how, adjoint) if for_weight and not _inside else None,
            g.sum((0, 2, 3)) if for_bias and not _inside else None,
            *[None] * 4,
        )


class _WeightGradient(torch.autograd.Function):
    """The gradient of <g, W * x> for W: linear in g and in x. Of W it needs shape and layout alone."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int, adjoint: bool
    ) -> Tensor:
        ctx.save_for_backward(g, x)
        ctx.how = stride, padding, groups, adjoint
        sides = [stride, stride], [padding, padding], [1, 1], adjoint, [0, 0], groups, [False, True, False]
        return torch.ops.aten.convolution_backward(g, x, weight, None, *sides)[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (gg,), (g, x), (*how, adjoint) = grads, ctx.saved_tensors, ctx.how
        for_g, for_x = ctx.needs_input_grad[:2]
        return (
            _Convolution.apply(x, gg, None, *how, adjoint) if for_g else None,
            _Convolution.apply(g, gg, None, *how, not adjoint) if for_x else None,
            *[None] * 5,
        )
