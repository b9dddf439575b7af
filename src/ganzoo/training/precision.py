"""In which precision a run computes: `auto` is bfloat16 where the hardware computes in it, and float32 elsewhere."""

from pathlib import Path
from typing import Any, Final

import torch

from ganzoo.types import BadArgument

AUTO: Final = "auto"
_NAMES: Final = {"None": "32-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
_KNOWN: Final = ("32-true", "bf16-mixed", "16-mixed")
_CPU_FLAGS: Final = frozenset({"amx_bf16", "avx512_bf16", "bf16"})  # Intel's and AMD's; the last is Arm's


def resolve(asked: Any, accelerator: Any) -> str:
    """The precision of a run by its full name."""
    if asked == AUTO:
        return "bf16-mixed" if computes_bf16(accelerator) else "32-true"
    name = _NAMES.get(str(asked), asked)
    if name not in _KNOWN:
        why = "weights, moving averages and optimizers are float32 here, which is what -mixed keeps"
        raise BadArgument(f"trainer.precision is {asked}; {', '.join(_KNOWN)} or {AUTO} is expected: {why}")
    if name == "16-mixed" and (accelerator == "cpu" or (accelerator == "auto" and not _has_gpu())):
        raise BadArgument("trainer.precision is 16-mixed, which is of GPUs; bf16-mixed or 32-true is expected here")
    return str(name)


def cost_of(precision: str, accelerator: Any) -> str | None:
    """What a precision costs on hardware that does not compute in it, as a line to print; None where nothing."""
    if precision != "bf16-mixed" or computes_bf16(accelerator):
        return None
    if _on_cuda(accelerator):
        return "trainer.precision is bf16-mixed, which this GPU emulates: 32-true or 16-mixed is faster here"
    return (
        "trainer.precision is bf16-mixed, in which this processor does not compute: a step takes up to 15 times as "
        "long as with --trainer.precision 32-true"
    )


def computes_bf16(accelerator: Any) -> bool:
    """Whether the device has bfloat16 arithmetic: CUDA since Ampere, CPUs with AMX or AVX-512 BF16, Arm with BF16."""
    if _on_cuda(accelerator):
        return torch.cuda.get_device_capability() >= (8, 0)
    return (accelerator == "cpu" or (accelerator == "auto" and not _has_gpu())) and bool(_CPU_FLAGS & _cpu_flags())


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _on_cuda(accelerator: Any) -> bool:
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _cpu_flags() -> set[str]:
    """What the processor says that it can do; nothing where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
