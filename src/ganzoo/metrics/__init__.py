"""Floor 3: the field's metrics as pure functions, the feature networks and the named protocols; loaded lazily.

The protocol of a key is `ganzoo.metrics.protocol.protocol(key)`; every other name stands here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganzoo.metrics.checks import MeanAndStd
    from ganzoo.metrics.features import FeatureNetwork, feature_network
    from ganzoo.metrics.frechet import Moments, frechet_distance, frechet_distance_of_moments, moments
    from ganzoo.metrics.kernel import kernel_distance, kernel_distance_full
    from ganzoo.metrics.measuring import Score, check_comparable, measure, measure_images
    from ganzoo.metrics.memory import nearest_images, neighbours_picture
    from ganzoo.metrics.modes import ModeCoverage, mode_coverage
    from ganzoo.metrics.neighbours import (
        DensityAndCoverage,
        Neighbours,
        PrecisionAndRecall,
        density_coverage,
        nearest_neighbours,
        precision_recall,
    )
    from ganzoo.metrics.networks import Description, describe
    from ganzoo.metrics.path import PathLength, Paths, feature_distance, perceptual_path_length
    from ganzoo.metrics.protocol import METRICS, Protocol, protocols, protocols_for
    from ganzoo.metrics.scores import class_accuracy, inception_score
    from ganzoo.metrics.states import (
        DensityCoverage,
        FrechetDistance,
        InceptionScore,
        KernelDistance,
        ModesCovered,
        NearestDistance,
        PrecisionRecall,
    )
    from ganzoo.metrics.tasks import Abilities, measure_tasks

_HOME = {
    "Abilities": "tasks",
    "METRICS": "protocol",
    "DensityAndCoverage": "neighbours",
    "DensityCoverage": "states",
    "Description": "networks",
    "FeatureNetwork": "features",
    "FrechetDistance": "states",
    "InceptionScore": "states",
    "KernelDistance": "states",
    "MeanAndStd": "checks",
    "ModeCoverage": "modes",
    "ModesCovered": "states",
    "Moments": "frechet",
    "NearestDistance": "states",
    "Neighbours": "neighbours",
    "PathLength": "path",
    "Paths": "path",
    "PrecisionAndRecall": "neighbours",
    "PrecisionRecall": "states",
    "Protocol": "protocol",
    "Score": "measuring",
    "check_comparable": "measuring",
    "class_accuracy": "scores",
    "density_coverage": "neighbours",
    "describe": "networks",
    "feature_distance": "path",
    "feature_network": "features",
    "frechet_distance": "frechet",
    "frechet_distance_of_moments": "frechet",
    "inception_score": "scores",
    "kernel_distance": "kernel",
    "kernel_distance_full": "kernel",
    "measure": "measuring",
    "measure_images": "measuring",
    "measure_tasks": "tasks",
    "mode_coverage": "modes",
    "moments": "frechet",
    "nearest_images": "memory",
    "nearest_neighbours": "neighbours",
    "neighbours_picture": "memory",
    "perceptual_path_length": "path",
    "precision_recall": "neighbours",
    "protocols": "protocol",
    "protocols_for": "protocol",
}

__all__ = [
    "METRICS",
    "Abilities",
    "DensityAndCoverage",
    "DensityCoverage",
    "Description",
    "FeatureNetwork",
    "FrechetDistance",
    "InceptionScore",
    "KernelDistance",
    "MeanAndStd",
    "ModeCoverage",
    "ModesCovered",
    "Moments",
    "NearestDistance",
    "Neighbours",
    "PathLength",
    "Paths",
    "PrecisionAndRecall",
    "PrecisionRecall",
    "Protocol",
    "Score",
    "check_comparable",
    "class_accuracy",
    "density_coverage",
    "describe",
    "feature_distance",
    "feature_network",
    "frechet_distance",
    "frechet_distance_of_moments",
    "inception_score",
    "kernel_distance",
    "kernel_distance_full",
    "measure",
    "measure_images",
    "measure_tasks",
    "mode_coverage",
    "moments",
    "nearest_images",
    "nearest_neighbours",
    "neighbours_picture",
    "perceptual_path_length",
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
