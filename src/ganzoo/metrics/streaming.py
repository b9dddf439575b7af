"""Any metric of samples as a `torchmetrics.Metric`, to be fed batch by batch on any number of ranks.

torchmetrics' own KID and Inception Score are wrong when ranks update unequally often, and draw subsets from each rank's
own random numbers, so that ranks disagree. Here every rank ends with the same samples in the same order.
"""

import hashlib
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ganzoo.metrics import metric as registry
from ganzoo.metrics.functional.checks import check_features
from ganzoo.metrics.ranks import rank_and_world
from ganzoo.types import BadArgument


class StreamingMetric(Metric):
    """Collects what a metric compares, and computes it of all ranks' samples: `StreamingMetric("kid", subsets=10)`.

    Args:
        metric: its name, such as `fd`, `kid`, `pr` or `is`; see `ganzoo.metrics.metrics()`.
        settings: of the metric's own, such as `k` or `subsets`, and `seed`.

    Raises:
        UnknownName: for a metric that there is not.
        BadArgument: for a setting that it does not have, or a metric of other things than samples.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, metric: str, **settings: Any) -> None:
        super().__init__()
        self.of = registry.named(metric)
        self.kinds = sorted(set(self.of.inputs) - {"names"})
        if not any(need.split()[0] == "samples" for need in self.of.needs):
            raise BadArgument(f"{metric} is not measured from samples, so it cannot be fed with them.")
        known = {**self.of.settings, "seed": registry.Setting("seed", int, 0)}
        for name in settings.keys() - known.keys():
            raise BadArgument(f"{metric} has no setting {name}; it has {', '.join(known)}.")
        self.settings = {name: setting.checked(settings.get(name, setting.default)) for name, setting in known.items()}
        for kind in self.kinds:
            self.add_state(f"{kind}_rows", [], dist_reduce_fx="cat")
            self.add_state(f"{kind}_index", [], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """As the metric says."""
        return {"higher": True, "lower": False}.get(self.of.better or "")

    def update(self, *, index: Tensor | None = None, **rows: Tensor) -> None:
        """Adds rows of one or several kinds.

        Args:
            index: the samples' numbers `(n,)` in the whole set, which settle the order; a number seen twice, such as a
                sampler's padding, counts once. Without it the order is that of a hash of the rows.
            rows: what the metric compares: `real` and `generated` features `(n, d)`, class `probabilities`, `labels`.

        Raises:
            BadArgument: for what the metric does not compare, or rows of another width than before.
            BadData: for features that are not finite.
        """
        for kind, given in rows.items():
            if kind not in self.kinds:
                raise BadArgument(f"{self.of.name} compares {' and '.join(self.kinds)}, not {kind}.")
            if given.is_floating_point():
                check_features(given, *getattr(self, f"{kind}_rows")[:1])
            # what is said of the same samples is put in the same order
            at = _hashes([rows[k] for k in rows if _is_real(k) == _is_real(kind)]) if index is None else index
            if at.shape != given.shape[:1] or at.is_floating_point():
                raise BadArgument(f"index must be integers ({len(given)},), not {at.dtype} {tuple(at.shape)}.")
            getattr(self, f"{kind}_rows").append(given.detach())
            getattr(self, f"{kind}_index").append(at.detach().to(given.device, torch.int64))

    def sync(self, *args: Any, **named: Any) -> None:
        """Joins the ranks' samples; see `torchmetrics.Metric.sync`."""
        _, world = rank_and_world()
        for name in (f"{kind}_{part}" for kind in self.kinds for part in ("rows", "index") if world > 1):
            # a rank without samples takes part in gathering, with tensors of the others' width and type
            held, like = getattr(self, name), list[Any]([None] * world)
            dist.all_gather_object(like, (held[0].shape[1:], held[0].dtype) if held else None)
            for shape, dtype in [each for each in like if each is not None][:1] if not held else []:
                held.append(torch.empty(0, *shape, dtype=dtype, device=self.device))
        super().sync(*args, **named)

    def compute(self) -> dict[str, Tensor]:
        """The metric's numbers, float64 scalars: `value`, `spread` where it has one, or parts by their names.

        Raises:
            BadArgument: if nothing was added of something that the metric compares.
            BadData: see the metric's function.
        """
        found = {kind: self.of.prepared(kind, rows) for kind in self.kinds if (rows := self._set(kind)) is not None}
        values = self.of.values(found, self.settings)
        if values is None:
            missing = [kind for kind in self.kinds if kind not in found]
            raise BadArgument(f"{self.of.name} needs {' and '.join(missing)}, of which nothing was added.")
        numbers = {value.part or "value": value.value for value in values}
        numbers |= {"spread": values[0].spread} if values[0].spread is not None else {}
        return {k: torch.tensor(float(v), dtype=torch.float64, device=self.device) for k, v in numbers.items()}

    def _set(self, kind: str) -> Tensor | None:
        """All rows of a kind `(n, ...)`, in order."""
        if not len(getattr(self, f"{kind}_rows")):
            return None
        rows, index = (dim_zero_cat(getattr(self, f"{kind}_{part}")) for part in ("rows", "index"))
        order = index.argsort(stable=True)
        numbers = index[order]
        again = torch.zeros_like(numbers, dtype=torch.bool)
        again[1:] = (numbers[1:] == numbers[:-1]) & (numbers[1:] >= 0)
        return rows[order[~again]]


def _is_real(kind: str) -> bool:
    return kind.startswith("real")


def _hashes(rows: list[Tensor]) -> Tensor:
    """A negative number `(n,)` for each sample, from all that is said of it."""
    arrays = [each.detach().cpu().contiguous().numpy() for each in rows]
    digests = [hashlib.blake2b(b"".join(v.tobytes() for v in row), digest_size=8) for row in zip(*arrays, strict=True)]
    return torch.tensor([-1 - (int.from_bytes(each.digest()) >> 1) for each in digests], dtype=torch.int64)
