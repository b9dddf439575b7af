"""Floor 3: the field's metrics as pure functions, the feature networks and the named protocols; loaded lazily.

The protocol of a key is `ganzoo.metrics.protocol.protocol(key)`; every other name stands here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.metrics.features import FeatureNetwork, feature_network
    from ganzoo.metrics.frechet import Moments, frechet_distance, frechet_distance_of_moments, moments
    from ganzoo.metrics.kernel import KernelDistance, kernel_distance, kernel_distance_full
    from ganzoo.metrics.measuring import Score, check_comparable, measure, measure_images
    from ganzoo.metrics.modes import ModeCoverage, mode_coverage
    from ganzoo.metrics.neighbours import (
        DensityCoverage,
        Neighbours,
        PrecisionRecall,
        density_coverage,
        nearest_neighbours,
        precision_recall,
    )
    from ganzoo.metrics.networks import Description, describe
    from ganzoo.metrics.protocol import METRICS, Protocol, protocols, protocols_for
    from ganzoo.metrics.scores import InceptionScore, class_accuracy, inception_score

_HOME = {
    "METRICS": "protocol",
    "DensityCoverage": "neighbours",
    "Description": "networks",
    "FeatureNetwork": "features",
    "InceptionScore": "scores",
    "KernelDistance": "kernel",
    "ModeCoverage": "modes",
    "Moments": "frechet",
    "Neighbours": "neighbours",
    "PrecisionRecall": "neighbours",
    "Protocol": "protocol",
    "Score": "measuring",
    "check_comparable": "measuring",
    "class_accuracy": "scores",
    "density_coverage": "neighbours",
    "describe": "networks",
    "feature_network": "features",
    "frechet_distance": "frechet",
    "frechet_distance_of_moments": "frechet",
    "inception_score": "scores",
    "kernel_distance": "kernel",
    "kernel_distance_full": "kernel",
    "measure": "measuring",
    "measure_images": "measuring",
    "mode_coverage": "modes",
    "moments": "frechet",
    "nearest_neighbours": "neighbours",
    "precision_recall": "neighbours",
    "protocols": "protocol",
    "protocols_for": "protocol",
}

__all__ = [
    "METRICS",
    "DensityCoverage",
    "Description",
    "FeatureNetwork",
    "InceptionScore",
    "KernelDistance",
    "ModeCoverage",
    "Moments",
    "Neighbours",
    "PrecisionRecall",
    "Protocol",
    "Score",
    "check_comparable",
    "class_accuracy",
    "density_coverage",
    "describe",
    "feature_network",
    "frechet_distance",
    "frechet_distance_of_moments",
    "inception_score",
    "kernel_distance",
    "kernel_distance_full",
    "measure",
    "measure_images",
    "mode_coverage",
    "moments",
    "nearest_neighbours",
    "precision_recall",
    "protocols",
    "protocols_for",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
