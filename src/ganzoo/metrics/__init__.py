"""Floor 3: the field's metrics as pure functions, the feature networks and the named protocols; loaded lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.metrics.features import FeatureNetwork, feature_network
    from ganzoo.metrics.frechet import Moments, frechet_distance, frechet_distance_of_moments, moments
    from ganzoo.metrics.kernel import KernelDistance, kernel_distance, kernel_distance_full
    from ganzoo.metrics.modes import ModeCoverage, mode_coverage
    from ganzoo.metrics.networks import Description, describe
    from ganzoo.metrics.scores import InceptionScore, class_accuracy, inception_score

_HOME = {
    "Description": "networks",
    "FeatureNetwork": "features",
    "InceptionScore": "scores",
    "KernelDistance": "kernel",
    "ModeCoverage": "modes",
    "Moments": "frechet",
    "class_accuracy": "scores",
    "describe": "networks",
    "feature_network": "features",
    "frechet_distance": "frechet",
    "frechet_distance_of_moments": "frechet",
    "inception_score": "scores",
    "kernel_distance": "kernel",
    "kernel_distance_full": "kernel",
    "mode_coverage": "modes",
    "moments": "frechet",
}

__all__ = [
    "Description",
    "FeatureNetwork",
    "InceptionScore",
    "KernelDistance",
    "ModeCoverage",
    "Moments",
    "class_accuracy",
    "describe",
    "feature_network",
    "frechet_distance",
    "frechet_distance_of_moments",
    "inception_score",
    "kernel_distance",
    "kernel_distance_full",
    "mode_coverage",
    "moments",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
