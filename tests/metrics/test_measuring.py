"""Measuring: the numbers are those of the pure functions on the same features, in whatever batches they came."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from metrics import metric_ranks
from torch import nn

from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.data.mixtures import Ring
from ganzoo.files import cache_folder
from ganzoo.metrics import (
    Description,
    Score,
    Subject,
    check_comparable,
    feature_network,
    frechet_distance,
    inception_score,
    kernel_distance,
    measure,
    measure_images,
    nearest_neighbours,
    perceptual_path_length,
    precision_recall,
)
from ganzoo.metrics import evaluate as runner
from ganzoo.metrics.evaluate import rounded
from ganzoo.metrics.functional.classes import class_accuracy
from ganzoo.metrics.functional.path import Paths, feature_distance
from ganzoo.metrics.protocol import protocol
from ganzoo.types import BadArgument, BadData, GanzooError

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Fréchet distance of"),
    pytest.mark.filterwarnings("ignore:No value of the generated images"),
]


@pytest.fixture(scope="module")
def train() -> Images:
    return Digits().open("train")


@pytest.fixture(scope="module")
def test() -> Images:
    return Digits().open("test")


def noisy(images: Images, n: int, strength: float = 0.3) -> torch.Tensor:
    random = np.random.RandomState(0)
    return torch.from_numpy(
        np.clip(images.values[:n] / 127.5 - 1 + strength * random.randn(n, 1, 8, 8), -1, 1).astype(np.float32)
    )


def by_key(scores: list[Score]) -> dict[str, Score]:
    return {score.key: score for score in scores}


KEYS = ["fd200_digits_cnn", "kid200_digits_cnn_5x50", "pr200_digits_cnn_k3", "nn200_digits_cnn", "is200_digits_cnn"]


def test_scores_are_the_pure_functions_of_the_same_features(train: Images, test: Images) -> None:
    made = noisy(test, 200)
    found = by_key(measure_images(made, {"train": train, "test": test}, KEYS))
    network = feature_network("digits_cnn")
    rows = np.random.RandomState(0).permutation(len(train))[:200]
    real, seen = network(torch.from_numpy(train.values[rows])), network(rounded(made))
    assert found["fd200_digits_cnn"].value == pytest.approx(frechet_distance(real, seen), rel=1e-6)
    kernel = kernel_distance(real, seen, 5, 50, seed=0)
    assert found["kid200_digits_cnn_5x50"].value == pytest.approx(kernel.mean, rel=1e-6)
    assert found["kid200_digits_cnn_5x50"].spread == pytest.approx(kernel.std, rel=1e-6)
    assert found["pr200_digits_cnn_k3/precision"].value == precision_recall(real, seen).precision
    assert found["pr200_digits_cnn_k3/recall"].value == precision_recall(real, seen).recall
    # a copy may be of any training image: all of them are looked at
    nearest = nearest_neighbours(seen, network(torch.from_numpy(train.values))).distances
    assert found["nn200_digits_cnn"].value == pytest.approx(float(nearest.mean()), rel=1e-6)
    score = inception_score(network.probabilities(rounded(made)))
    assert found["is200_digits_cnn"].value == pytest.approx(score.mean, rel=1e-6)


def test_floors_and_ceilings_stand_on_either_side(train: Images, test: Images) -> None:
    keys = ["fd200_digits_cnn", "kid200_digits_cnn_5x50", "nn200_digits_cnn"]
    for score in measure_images(noisy(test, 200, 0.5), {"train": train, "test": test}, keys):
        assert score.floor is not None and score.ceiling is not None
        assert score.floor < score.value < score.ceiling
        assert score.floor_of == "200 images of the split test"
        assert score.ceiling_of == "200 images of uniform noise"
    halves = measure_images(noisy(test, 200), train, ["fd200_digits_cnn"])[0]
    assert halves.floor_of == "two disjoint halves of 100 images"
    without = measure_images(noisy(test, 200), train, ["fd200_digits_cnn"], floors=False)[0]
    assert (without.floor, without.ceiling, without.floor_of, without.ceiling_of) == (None, None, None, None)
    assert without.value == pytest.approx(halves.value, rel=1e-9)


def test_a_score_says_all_that_it_depends_on_in_plain_json(train: Images, test: Images) -> None:
    score = measure_images(noisy(test, 100), {"train": train, "test": test}, ["kid100_digits_cnn_3x200"])[0]
    plain = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert plain["protocol"] == protocol("kid100_digits_cnn_3x200").to_dict()
    assert plain["network_sha256"] == feature_network("digits_cnn").description.sha256
    assert (plain["n"], plain["n_real"], plain["seed"]) == (100, 100, None)
    assert (plain["data"], plain["split"], plain["data_digest"]) == ("digits", "train", train.digest)
    assert (plain["resizer"], plain["size"]) == ("pil_bicubic", 8)
    assert plain["details"] == {"subset_size": 50}  # there are no 200 images
    assert plain["seconds"] > 0


@pytest.mark.parametrize("batch", [7, 64, 1000])
def test_the_batch_size_changes_nothing(train: Images, batch: int) -> None:
    found = measure(Subject(metric_ranks.sample), train, ["fd60_digits_cnn"], floors=False, batch_size=batch)
    assert found[0].value == pytest.approx(
        measure(Subject(metric_ranks.sample), train, ["fd60_digits_cnn"], floors=False, batch_size=10)[0].value,
        rel=1e-5,
    )


def test_images_are_drawn_once_for_all_metrics_and_image_i_has_seed_plus_i(train: Images) -> None:
    calls: list[tuple[int, int]] = []

    def sample(n: int, *, seed: int, batch_size: int, **named: Any) -> torch.Tensor:
        calls.append((seed, n))
        assert not named  # an unconditional model without truncation is given neither
        return metric_ranks.sample(n, seed=seed, batch_size=batch_size)

    keys = ["fd50_digits_cnn", "pr40_digits_cnn_k3", "is50_digits_cnn", "fd30_digits_cnn_seed100"]
    found = measure(Subject(sample), train, keys, floors=False, batch_size=20)
    assert calls == [(0, 20), (20, 20), (40, 10), (100, 20), (120, 10)]
    assert [score.seed for score in found] == [0, 0, 0, 0, 100]
    images = metric_ranks.sample(40, seed=0, batch_size=40)
    alone = measure_images(images, train, ["pr40_digits_cnn_k3"], floors=False)
    assert [s.value for s in alone] == [s.value for s in found if s.key.startswith("pr40")]


def test_conditional_models_are_given_the_labels_of_the_data_or_each_by_turns(train: Images) -> None:
    given: list[torch.Tensor] = []

    def sample(n: int, *, seed: int, batch_size: int, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        given.append(labels)
        return metric_ranks.sample(n, seed=seed, batch_size=batch_size, labels=labels)

    found = measure(
        Subject(sample, classes=10), train, ["acc100_digits_cnn", "acc100_digits_cnn_uniform"], batch_size=30
    )
    asked = torch.cat(given).view(2, 100)
    order = np.random.RandomState(0).permutation(len(train))
    assert train.labels is not None
    assert asked[0].tolist() == train.labels[order[:100]].tolist()
    assert asked[1].tolist() == [i % 10 for i in range(100)]
    images = metric_ranks.sample(100, seed=0, batch_size=100, labels=asked[0])
    expected = class_accuracy(feature_network("digits_cnn").probabilities(rounded(images)), asked[0])
    assert found[0].value == expected and found[0].floor is not None and found[0].floor > 0.97
    assert measure_images(images, train, ["acc100_digits_cnn"], labels=asked[0])[0].value == expected


def test_truncation_and_live_weights_reach_the_model(train: Images) -> None:
    seen: list[Any] = []

    def averaged(n: int, *, seed: int, batch_size: int, **named: Any) -> torch.Tensor:
        seen.append(named)
        return metric_ranks.sample(n, seed=seed, batch_size=batch_size)

    def live(n: int, *, seed: int, batch_size: int, **named: Any) -> torch.Tensor:
        return metric_ranks.sample(n, seed=seed, batch_size=batch_size) * 0

    keys = ["fd50_digits_cnn_psi0.5", "fd50_digits_cnn_live"]
    found = measure(Subject(averaged, live=lambda: live), train, keys, floors=False)
    assert seen == [{"truncation": 0.5}]
    assert found[1].value > 5 * found[0].value
    with pytest.raises(BadArgument, match="live weights"):
        measure(Subject(averaged), train, keys, floors=False)


def test_rounding_resizer_flips_and_full_change_the_value(train: Images, test: Images) -> None:
    made = noisy(test, 100)
    keys = [f"fd100_digits_cnn{part}" for part in ("", "_float", "_full", "_flips", "_seed1")]
    with pytest.raises(BadArgument, match="seed"):
        measure_images(made, train, keys, floors=False)
    found = measure_images(made, train, keys[:-1], floors=False)
    assert len({score.value for score in found}) == 4
    assert [score.n_real for score in found] == [100, 100, len(train), 200]
    small = Images("small", np.ascontiguousarray(train.values[:, :, :6, :6]), split="train")
    cut = made[:, :, :6, :6]
    filters = measure_images(cut, small, ["fd100_digits_cnn", "fd100_digits_cnn_tf-bilinear"], floors=False)
    assert filters[0].value != filters[1].value
    assert [score.resizer for score in filters] == ["pil_bicubic", "tf_bilinear"]


def test_real_features_are_kept_by_content_and_a_damaged_file_is_made_again(
    train: Images, test: Images, caplog: pytest.LogCaptureFixture
) -> None:
    made, keys = noisy(test, 100), ["fd100_digits_cnn", "is100_digits_cnn"]
    both = {"train": train, "test": test}
    told: list[str] = []

    def run() -> list[float]:
        told.clear()
        found = measure_images(made, both, keys, progress=lambda what, done, n: told.append(what))
        return [score.value for score in found]

    first = run()
    assert {"images of digits", "images of noise", "generated images"} == set(told)
    kept = list(cache_folder("metrics").glob("*.safetensors"))
    assert len(kept) == 3
    assert run() == first and set(told) == {"generated images"}
    for path in kept:
        path.write_bytes(path.read_bytes()[:-7])
    assert run() == first and "images of noise" in told
    assert "is damaged" in caplog.text
    assert train.labels is not None
    other = Images("digits", train.values[::-1].copy(), train.labels[::-1].copy(), train.classes, "train")
    measure_images(made, {"train": other, "test": test}, keys, floors=False)
    assert len(list(cache_folder("metrics").glob("*.safetensors"))) == 4


def test_a_folder_that_cannot_be_written_costs_time_and_not_the_run(
    train: Images, test: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file"))
    assert measure_images(noisy(test, 50), train, ["fd50_digits_cnn"], floors=False)[0].value > 0
    assert "cannot be kept" in caplog.text


def test_modes_of_a_mixture() -> None:
    ring = Ring(n=4000).open("train")
    half = torch.from_numpy(ring.values[np.asarray(ring.labels) < 4])
    found = by_key(measure_images(half, ring, ["modes1k_ring", "fd1k_points"]))
    assert found["modes1k_ring"].value == 4 and found["modes1k_ring"].floor == 8
    assert found["modes1k_ring"].details["std"] == pytest.approx(0.02, rel=0.05)
    assert found["modes1k_ring/quality"].value > 0.97 and (found["modes1k_ring/quality"].ceiling or 1) < 0.05
    assert found["modes1k_ring/divergence"].value == pytest.approx(np.log(2), abs=0.02)
    assert found["fd1k_points"].value > 10 * (found["fd1k_points"].floor or 1)


def test_the_path_length_of_a_model_is_measured_where_it_has_latents(train: Images) -> None:
    def latents(n: int, seed: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([np.random.RandomState(seed + i).randn(64) for i in range(n)])).float()

    def synthesize(z: torch.Tensor) -> torch.Tensor:
        return (0.3 * z).tanh().view(-1, 1, 8, 8)

    paths = Paths(latents, synthesize, mapping=lambda z: 2 * z, synthesize_w=lambda w: synthesize(w / 2))
    keys = ["ppl40_digits_cnn_z_eps0.01", "ppl40_digits_cnn_w_ends_eps0.01"]
    found = measure(Subject(paths=lambda: paths), train, keys)
    distance = feature_distance(feature_network("digits_cnn"))
    expected = perceptual_path_length(paths, distance, n=40, epsilon=0.01)
    assert found[0].value == pytest.approx(expected.value, rel=1e-4) and (found[0].n, found[0].n_real) == (40, 0)
    assert found[0].details == expected.details and found[0].spread == pytest.approx(expected.spread, rel=1e-4)
    assert found[1].value != found[0].value > 0
    with pytest.raises(BadArgument, match="no latents w"):
        measure(Subject(paths=lambda: Paths(latents, synthesize)), train, keys)


def test_images_in_zero_to_one_are_suspected(train: Images, test: Images) -> None:
    with pytest.warns(UserWarning, match=r"look like \[0, 1\]"):
        measure_images(noisy(test, 50) / 2 + 0.5, train, ["fd50_digits_cnn"], floors=False)


def test_a_network_of_the_users_measures_too(train: Images, test: Images) -> None:
    pixels = Description("pixels", "", 64, 8, 1, "torch_bilinear", (127.5,), (127.5,))
    network = feature_network(nn.Flatten(), description=pixels)
    score = measure_images(noisy(test, 100), train, ["fd100_pixels"], networks={"pixels": network}, floors=False)[0]
    assert score.key == "fd100_pixels" and score.network_sha256 == network.description.sha256
    real = train.values[np.random.RandomState(0).permutation(len(train))[:100]].reshape(100, -1) / 127.5 - 1
    expected = frechet_distance(torch.from_numpy(real), rounded(noisy(test, 100)).flatten(1) / 127.5 - 1)
    assert score.value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "values, keys, says",
    [
        (torch.zeros(60, 1, 8, 8) + 3, ["fd50_digits_cnn"], "values from 3 to 3"),
        (torch.full((60, 1, 8, 8), torch.nan), ["fd50_digits_cnn"], "Image 0 holds NaN"),
        (torch.zeros(60, 1, 9, 8), ["fd50_digits_cnn"], "are 1x9x8, and the real images 1x8x8"),
        (torch.zeros(60, 1, 8, 8), ["fd70_digits_cnn"], "asks for 70 images and there are 60; say fd60_digits_cnn"),
        (torch.zeros(60, 1, 8, 8), [], "at least one protocol"),
        (torch.zeros(60, 1, 8, 8), ["fid10000000_inception"], "take 82 GB, and this machine has"),
        (torch.zeros(60, 1, 8, 8), ["modes50_ring"], "not of 'digits'"),
        (torch.zeros(60, 1, 8, 8), ["acc50_digits_cnn"], "needs the labels"),
        (torch.zeros(60, 1, 8, 8), ["ppl50_digits_cnn_z"], "has no latents to follow a path through"),
        (torch.zeros(60, 1, 8, 8, dtype=torch.int64), ["fd50_digits_cnn"], "int64"),
    ],
)
def test_bad_input_is_one_clear_line(
    train: Images, values: torch.Tensor, keys: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganzoo.files.memory", lambda: 16.0)
    with pytest.raises(GanzooError) as error:
        if any(key.startswith("fid10000000") for key in keys):  # more than could be given
            measure(Subject(metric_ranks.sample), train, keys)
        measure_images(values, train, keys)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_models_and_protocols_that_do_not_suit_are_refused(train: Images) -> None:
    for keys, classes, says in (
        (["acc50_digits_cnn"], None, "takes no labels"),
        (["fd50_digits_cnn_uniform"], None, "takes no labels"),
        (["fd50_digits_cnn"], 4, "the model has 4 classes"),
    ):
        with pytest.raises(BadArgument, match=says):
            measure(Subject(metric_ranks.sample, classes=classes), train, keys)
    coloured = Images("coloured", np.repeat(train.values, 3, axis=1), split="train")
    for data, network, says in (
        (coloured, "digits_cnn", r"digits_cnn takes images of 1 channel\(s\), and coloured's have 3"),
        (train, "points", "points takes points, and digits's have 1"),
        (Ring(n=100).open("train"), "digits_cnn", "ring holds points, which only the network 'points' takes"),
    ):
        with pytest.raises(BadArgument, match=says):
            measure(Subject(metric_ranks.sample), data, [f"fd50_{network}"])
    nameless = Images("digits", train.values, split="train")
    with pytest.raises(BadArgument, match="fd50_digits_cnn_uniform"):
        measure(Subject(metric_ranks.sample, classes=10), nameless, ["fd50_digits_cnn"])
    with pytest.raises(BadData, match="gave 3 generated images where 10"):
        measure(Subject(lambda n, **_: torch.zeros(3, 1, 8, 8)), train, ["fd10_digits_cnn"])
    with pytest.raises(BadArgument, match="this model draws no samples of its own"):
        measure(Subject(), train, ["fd10_digits_cnn"])
    with pytest.raises(BadArgument, match="this model takes no labels"):  # its classes are not the data's
        measure(Subject(metric_ranks.sample, classes=10, labelled=False), train, ["acc50_digits_cnn"])


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_or_one_image_set_is_refused(train: Images, n: int) -> None:
    few = Images("few", train.values[:n], split="train")
    with pytest.raises(BadData, match=rf"few holds {n} real image"):
        measure_images(torch.zeros(60, 1, 8, 8), few, ["fd50_digits_cnn"])


def test_scores_of_different_protocols_are_never_put_under_one_key(train: Images, test: Images) -> None:
    score = measure_images(noisy(test, 100), train, ["fd100_digits_cnn"], floors=False)[0]
    check_comparable([score, score.to_dict(), replace(score, value=1.0, seconds=9.0)])
    changes: dict[str, dict[str, Any]] = {
        "network_sha256": {"network_sha256": "0" * 64},
        "data_digest": {"data_digest": "0" * 64},
        "resizer": {"protocol": {**score.protocol, "resizer": "tf_bilinear"}},
    }
    for name, change in changes.items():
        with pytest.raises(BadArgument, match=f"fd100_digits_cnn differ in {name}"):
            check_comparable([score, replace(score, **change)])


def test_rounding_is_to_the_nearest_level_and_the_inverse_of_scaling() -> None:
    levels = torch.arange(256)
    assert torch.equal(rounded((levels / 127.5 - 1)[:, None, None, None]).flatten(), levels.to(torch.uint8))
    assert rounded(torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1)).flatten().tolist() == [0, 128, 255]


def test_a_split_that_there_is_not_falls_back_to_the_training_images_and_the_score_says_so(train: Images) -> None:
    few = Images("few", train.values[:3], split="train")
    subject = Subject(metric_ranks.sample)
    with pytest.warns(UserWarning, match=r"few has no images in its split test: fd50_digits_cnn is measured in place"):
        [score] = measure(subject, few, ["fd50_digits_cnn_test"])
    assert (score.key, score.split, score.protocol["split"], score.n_real) == ("fd50_digits_cnn", "train", "train", 3)
    assert score.value == measure(subject, few, ["fd50_digits_cnn"], floors=False)[0].value
    assert score.floor is None, "three images have no two halves that could be compared"
    empty = Images("few", train.values[:0], split="test")
    with pytest.warns(UserWarning, match="no images in its split test"):
        measure(subject, {"train": few, "test": empty}, ["kid50_digits_cnn_test_2x2"])
    labelled = Images("few", train.values[:3], np.arange(3), tuple("abc"), "train")
    with pytest.raises(BadData, match="knn10_model_test_k1: few has no images in its split test"):
        measure(Subject(encode=lambda images: images), labelled, ["knn10_model_test_k1"])


def test_what_does_not_suit_is_refused_before_anything_is_drawn(train: Images) -> None:
    def drawn(n: int, **_: Any) -> torch.Tensor:
        raise AssertionError("a picture was drawn")

    for keys in (["fd50_digits_cnn", "acc50_digits_cnn"], ["fd50_digits_cnn", "mae50_pixels"]):
        with pytest.raises(BadArgument, match="this model"):
            measure(Subject(drawn), train, keys)
    assert [p.key for p in runner.check(Subject(drawn), train, ["fd50_digits_cnn", "fd50_digits_cnn"])] == [
        "fd50_digits_cnn"
    ]
