"""Floor 2: the field's metrics as pure functions, the feature networks and the named protocols."""

from ganzoo.metrics.evaluate import Score, check_comparable, measure, measure_images
from ganzoo.metrics.features.network import Description, feature_network
from ganzoo.metrics.functional.classes import inception_score
from ganzoo.metrics.functional.frechet import frechet_distance
from ganzoo.metrics.functional.kernel import kernel_distance
from ganzoo.metrics.functional.modes import mode_coverage
from ganzoo.metrics.functional.neighbours import density_coverage, nearest_neighbours, precision_recall
from ganzoo.metrics.functional.path import perceptual_path_length
from ganzoo.metrics.metric import metrics
from ganzoo.metrics.streaming import StreamingMetric
from ganzoo.metrics.subject import Subject

__all__ = [
    "Description",
    "Score",
    "StreamingMetric",
    "Subject",
    "check_comparable",
    "density_coverage",
    "feature_network",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "measure",
    "measure_images",
    "metrics",
    "mode_coverage",
    "nearest_neighbours",
    "perceptual_path_length",
    "precision_recall",
]
