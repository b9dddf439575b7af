"""Scores of what only some families can do: on toy models whose scores can be said in advance."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier  # type: ignore[import-untyped]
from torch import Tensor

from ganzoo.data.batch import Images
from ganzoo.data.digits import Digits
from ganzoo.media.levels import to_float
from ganzoo.metrics import Subject, check_comparable, feature_network, frechet_distance, measure
from ganzoo.metrics.evaluate import usual
from ganzoo.metrics.functional.votes import by_neighbours, vote
from ganzoo.types import BadArgument, BadData


@pytest.fixture(scope="module")
def train() -> Images:
    return Digits().open("train")


@pytest.fixture(scope="module")
def test() -> Images:
    """Held-out digits, and as their targets the same digits in black on white."""
    own = Digits().open("test")
    return Images("inverted", own.values, own.labels, own.classes, "test", targets=255 - own.values)


def invert(images: Tensor, *, to: str, seed: int, batch_size: int) -> Tensor:
    return -images


def keep(images: Tensor, **_: Any) -> Tensor:
    return images


def translator(translate: Any, **more: Any) -> Subject:
    return Subject(translate=translate, domains=("b", "a"), back="a", **more)


def scores(subject: Subject, real: Images, *keys: str, train: Images | None = None, **options: Any) -> dict[str, Any]:
    splits = {image.split: image for image in (real, train) if image is not None}
    found = measure(subject, splits, keys, **options)
    assert [score.key for score in found] == list(keys)
    return {score.key: score for score in found}


# ------------------------------------------------------------------------------------------------------ translations


def test_translations_beside_the_copied_input_and_fresh_weights(test: Images) -> None:
    able = translator(invert, untrained=lambda: keep)
    keys = ("mae1k_pixels_test", "dist1k_digits_cnn_test", "top1k_digits_cnn_test", "top1k_digits_cnn_test_to-a")
    found = scores(able, test, *keys)
    for key in keys[:2]:  # perfect but for nothing: inverting is exact in 8 bits
        assert found[key].value == pytest.approx(0, abs=1e-5)
        assert found[key].n == found[key].n_real == len(test)
    assert test.targets is not None
    apart = np.abs(test.values / 127.5 - test.targets / 127.5).mean()
    assert found[keys[0]].references == {"copy of the input": pytest.approx(apart, abs=1e-6)}
    assert found[keys[1]].references["copy of the input"] > 1
    for key in keys[2:]:
        top = found[key]
        assert top.value == top.details["top5"] == 1
        assert top.references["untrained network"] == top.references["copy of the input"] < 0.1
        assert top.details["chance"] == 1 / len(test)
    json.dumps([score.to_dict() for score in found.values()])


def test_retrieval_is_what_comparing_all_with_all_gives(test: Images) -> None:
    def blurred(images: Tensor, **_: Any) -> Tensor:
        return -0.6 * images - 0.4 * torch.nn.functional.avg_pool2d(images, 3, 1, 1)

    found = scores(translator(blurred), test, "top100_digits_cnn_test_float", "dist100_digits_cnn_test_float")
    network, rows = feature_network("digits_cnn"), np.random.RandomState(0).permutation(len(test))[:100]
    assert test.targets is not None
    gallery = network(torch.from_numpy(test.targets)).double()
    made = network(blurred(to_float(torch.from_numpy(test.values[rows])))).double()
    distances = torch.cdist(made, gallery)
    top, dist = found.values()
    assert 0.02 < top.value < 1, "the case must not be trivial"
    assert top.value == float((distances.argmin(1) == torch.from_numpy(rows)).double().mean())
    assert dist.value == pytest.approx(float(distances[torch.arange(100), torch.from_numpy(rows)].mean()), rel=1e-4)
    assert (top.n, top.n_real, top.network) == (100, len(test), "digits_cnn")


def test_the_batch_size_changes_nothing_and_image_i_has_seed_plus_i(test: Images) -> None:
    def noisy(images: Tensor, *, to: str, seed: int, batch_size: int) -> Tensor:
        noise = [torch.from_numpy(np.random.RandomState(seed + i).randn(1, 8, 8)) for i in range(len(images))]
        return (-images + 0.3 * torch.stack(noise).float()).clamp(-1, 1)

    values = [
        scores(translator(noisy), test, "mae50_pixels_test_seed3", batch_size=size)["mae50_pixels_test_seed3"].value
        for size in (50, 7)
    ]
    assert values[0] == values[1] > 0.1
    assert values[0] != scores(translator(noisy), test, "mae50_pixels_test")["mae50_pixels_test"].value


def test_grey_inputs_are_copied_into_colour(test: Images) -> None:
    coloured = np.repeat(test.values, 3, axis=1)
    pairs = Images("coloured", test.values, split="test", targets=coloured)
    able = translator(lambda images, **_: images.expand(-1, 3, -1, -1))
    found = scores(able, pairs, "mae1k_pixels_test")["mae1k_pixels_test"]
    assert found.value == pytest.approx(0, abs=1e-6) and found.references["copy of the input"] == pytest.approx(0)
    back = translator(lambda images, **_: images[:, :1])
    assert scores(back, pairs, "mae1k_pixels_test_to-a")["mae1k_pixels_test_to-a"].references["copy of the input"] == 0
    with pytest.raises(BadData, match="translations are 1x8x8, and the real images 3x8x8"):
        scores(translator(keep), pairs, "mae1k_pixels_test")


# -------------------------------------------------------------------------------------- encodings, classifications


@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_on_encodings_beside_those_on_pixels(train: Images, test: Images, k: int) -> None:
    key = f"knn500_model_test_k{k}"

    def encode(images: Tensor) -> Tensor:
        return images[:, :, :4].flatten(1)  # the upper half

    found = scores(Subject(encode=encode), test, key, train=train)[key]
    rows = np.random.RandomState(0).permutation(len(train))[:500]
    assert train.labels is not None and test.labels is not None
    for value, cut in ((found.value, 4), (found.references["pixels"], 8)):
        flat = [v[:, :, :cut].reshape(len(v), -1).astype(float) for v in (train.values[rows], test.values)]
        theirs = KNeighborsClassifier(k).fit(flat[0], train.labels[rows]).score(flat[1], test.labels)
        # equal votes are the nearest's here and the smaller class's there
        assert value == pytest.approx(theirs, abs=1e-9 if k == 1 else 0.02)
    assert set(found.details["classes"]) == set("0123456789") and found.n_real == 500


def test_votes_are_counted_and_equal_ones_are_the_nearests() -> None:
    assert vote(torch.tensor([[3, 1, 1], [0, 2, 1], [2, 2, 0], [1, 0, 0]])).tolist() == [1, 0, 2, 0]
    rows = np.random.RandomState(0).randint(0, 4, (200, 5))
    for row, chosen in zip(rows.tolist(), vote(torch.from_numpy(rows)).tolist(), strict=True):
        most = Counter(row).most_common(1)[0][1]
        assert chosen == next(label for label in row if row.count(label) == most)


def test_one_does_not_vote_for_oneself() -> None:
    points = torch.tensor([[0.0], [0.1], [5.0], [5.1], [5.1], [5.1]])
    labels = torch.tensor([0, 1, 2, 3, 3, 3])
    assert by_neighbours(points, points, labels, 1, own=True).tolist() == [1, 0, 3, 3, 3, 3]


def test_classification_errors(test: Images) -> None:
    network = feature_network("digits_cnn")
    able = Subject(classify=lambda images: network.probabilities(images).log())
    found = scores(able, test, "err10k_model_test")["err10k_model_test"]
    assert test.labels is not None
    wrong = network.probabilities(torch.from_numpy(test.values)).argmax(1).numpy() != test.labels
    assert 0 < found.value == pytest.approx(wrong.mean())
    assert found.details["classes"]["8"] == pytest.approx(wrong[test.labels == 8].mean())
    most = np.bincount(test.labels).max()
    assert found.references == {"one class for all": pytest.approx(1 - most / len(test))}


# ------------------------------------------------------------------------------------------------------ two domains


def test_agreement_of_two_pictures_of_one_latent(train: Images) -> None:
    pairs = Images("pairs", train.values, train.labels, train.classes, "train", targets=255 - train.values)

    def sample(n: int, *, seed: int, batch_size: int, view: int, apart: int = 0) -> Tensor:
        rows = [(seed + i + apart * view) * 7 % len(train) for i in range(n)]
        images = to_float(train.batch(rows).images)
        return -images if view else images

    key = "agree200_pixels_k1"
    same = scores(Subject(sample=sample, views=2), pairs, key)[key]
    assert same.value == 1 and 0.9 < same.references["real pairs"] <= 1
    assert same.references["other latents"] < 0.3
    able = Subject(sample=lambda *a, **k: sample(*a, **k, apart=1), views=2)
    assert scores(able, pairs, key)[key].value < 0.3


# ------------------------------------------------------------------------------------------------ accuracy by class


def test_accuracy_by_class_beside_that_of_real_images(train: Images, test: Images) -> None:
    assert train.labels is not None and train.classes is not None

    def sample(n: int, *, seed: int, batch_size: int, labels: Tensor) -> Tensor:
        rows = [int(np.flatnonzero(train.labels == (3 if label == 8 else label))[0]) for label in labels]
        return to_float(train.batch(rows).images)

    holdout = Images("digits", test.values, test.labels, test.classes, "test")
    data = {"train": train, "test": holdout}
    [score] = measure(Subject(sample, classes=10), data, ["acc100_digits_cnn_uniform"])
    classes, real = score.details["classes"], score.details["floor"]["classes"]
    assert classes["8"] == 0 and classes["3"] == 1
    assert score.value == pytest.approx(np.mean(list(classes.values())))
    assert set(real) == set("0123456789") and min(real.values()) > 0.6
    assert score.floor is not None and score.floor > 0.9


def test_what_is_learned_from_samples_beside_what_is_learned_from_images(train: Images) -> None:
    labels = train.labels
    assert labels is not None

    def sample(n: int, *, seed: int, batch_size: int, labels: Tensor) -> Tensor:
        rows = [np.flatnonzero(train.labels == int(label)) for label in labels]
        return to_float(train.batch([int(row[(seed + i) % len(row)]) for i, row in enumerate(rows)]).images)

    data = {"train": train, "test": Digits().open("test")}
    few, many = (f"cas1k_pixels_test_{reals}reals_updates60" for reals in (20, 1000))
    found = {score.key: score for score in measure(Subject(sample, classes=10), data, [few, many])}
    assert set(found) == {key + part for key in (few, many) for part in ("", "/real", "/both")}
    assert found[few].value == found[many].value > 0.85, "which real images have no part in"
    assert found[few + "/real"].value < found[few + "/both"].value and found[many + "/real"].value > 0.85
    assert (found[few].details["real_images"], found[few].n, found[few].n_real) == (20, 1000, 20)


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("able", "key", "says"),
    [
        (Subject(), "mae1k_pixels_test", "this model does not translate"),
        (Subject(), "knn1k_model_test_k1", "this model has no encoder"),
        (Subject(), "err1k_model_test", "this model has no classifier"),
        (Subject(sample=keep), "agree1k_pixels_test_k1", "in one domain only"),
        (Subject(sample=keep), "cas1k_pixels_test", "draws no samples of the data's classes"),
        (Subject(sample=keep, classes=10), "cas1k_pixels", "split='train'"),
        (Subject(sample=keep, classes=10), "cas1k_pixels_test", "there are none at hand"),
        (translator(keep), "mae1k_pixels", "of the split test, and train is asked for"),
        (translator(keep), "mae1k_pixels_test_to-c", "this model translates to b or a, not to c"),
        (translator(keep), "mae1k_pixels_test_to-b", "which a key leaves out"),
        (translator(keep), "is1k_digits_cnn_test", "this model draws no samples of its own"),
        (Subject(encode=keep), "knn1k_model_test_k1", "none at hand"),
        (translator(lambda images, **_: images[1:]), "mae1k_pixels_test", "gave 63 translations where 64"),
    ],
)
def test_what_does_not_suit_is_one_clear_line(able: Subject, key: str, says: str, test: Images) -> None:
    with pytest.raises((BadArgument, BadData), match=says) as found:
        scores(able, test, key)
    assert "\n" not in str(found.value)


def test_data_without_pairs_or_labels_are_refused(train: Images, test: Images) -> None:
    own = Digits().open("test")
    assert test.targets is not None
    unpaired = Images("two", own.values, own.labels, own.classes, "test", targets=test.targets[:9], paired=False)
    for data in (own, unpaired):
        with pytest.raises(BadArgument, match="needs pairs"):
            scores(translator(keep), data, "top1k_digits_cnn_test")
        with pytest.raises(BadArgument, match="needs pairs"):
            scores(Subject(sample=keep, views=2), data, "agree1k_pixels_test_k1")
    bare = Images("bare", own.values, split="test", targets=255 - own.values)
    with pytest.raises(BadArgument, match="needs labels, and bare has none"):
        scores(Subject(sample=keep, views=2), bare, "agree1k_pixels_test_k1")
    with pytest.raises(BadArgument, match="bare has none"):
        scores(Subject(classify=keep), bare, "err1k_model_test")
    with pytest.raises(BadArgument, match="2000 neighbours among 1437"):
        scores(Subject(encode=keep), own, "knn10k_model_test_k2000", train=train)
    with pytest.raises(BadArgument, match="has no classifier"):
        measure(Subject(keep), own, ["err1k_model_test"])


def test_scores_of_an_older_ganzoo_stay_comparable(test: Images) -> None:
    [score] = measure(translator(invert), test, ["mae1k_pixels_test"])
    old = score.to_dict()
    old["protocol"] |= {"direction": "", "k": 0, "splits": 10}  # settings that a protocol no longer names
    del old["protocol"]["to"], old["references"]
    check_comparable([old, score])


# ------------------------------------------------------------------------------------------------------ many domains


def to_class(images: Tensor, *, to: list[str], seed: int, batch_size: int) -> Tensor:
    """A translator by label that makes a training digit of each class it is asked for, but a 3 of every 8."""
    digits = Digits().open("train")
    assert digits.labels is not None
    wanted = [3 if name == "d8" else int(name[1]) for name in to]
    return to_float(digits.batch([int(np.flatnonzero(digits.labels == k)[0]) for k in wanted]).images)


def test_translations_by_label_are_given_their_domains_by_a_classifier() -> None:
    domains = tuple(f"d{k}" for k in range(10))
    subject = Subject(translate=to_class, domains=domains, classes=10)
    [score] = measure(subject, Digits(), ["acc100_digits_cnn_test_uniform"], batch_size=7)
    classes, real = score.details["classes"], score.details["floor"]["classes"]
    assert classes == {**dict.fromkeys(domains, 1.0), "d8": 0.0}, "each domain's share, by its name"
    assert score.value == pytest.approx(0.9) and (score.n, score.split) == (100, "test")
    sources = score.details["from"]
    assert set(sources) <= set(map(str, range(10))) and len(sources) > 5, "by the data's own names"
    assert all(share == (to != "d8") for row in sources.values() for to, share in row.items())
    assert score.floor is not None and score.floor > 0.9 and set(real) == set(domains)
    assert score.floor_of == "100 images of the split test" and score.ceiling is None
    for key, says in (
        ("acc100_digits_cnn_test", "ask for acc100_digits_cnn_test_uniform"),
        ("acc100_digits_cnn_test_uniform_live", "ask for acc100_digits_cnn_test_uniform."),
        ("kid100_digits_cnn_test_psi0.5", "as they come; ask for kid100_digits_cnn_test."),
        ("top100_digits_cnn_test", "needs pairs"),
    ):
        with pytest.raises(BadArgument, match=says):
            measure(subject, Digits(), [key])
    many = Subject(translate=to_class, domains=(*domains, "d10"), classes=11)
    with pytest.raises(BadArgument, match="digits_cnn tells 10 classes apart, and there are 11 domains"):
        measure(many, Digits(), ["acc100_digits_cnn_test_uniform"])
    with pytest.raises(BadArgument, match="takes no labels"):
        measure(translator(keep), Digits(), ["acc100_digits_cnn_test_uniform"])


@pytest.mark.filterwarnings("ignore:The Fréchet distance of")
def test_translations_without_counterparts_are_compared_with_images_of_the_domain(train: Images, test: Images) -> None:
    """Unpaired targets, and classes of one set of images: what a CycleGAN and a StarGAN learn from."""
    assert test.targets is not None
    unpaired = Images("two", test.values, split="test", targets=test.targets[40:], paired=False)
    found = scores(
        translator(invert, untrained=lambda: keep), unpaired, "fd300_digits_cnn_test", "kid9_digits_cnn_test"
    )
    network = feature_network("digits_cnn")
    order, others = np.random.RandomState(0).permutation(len(test)), np.random.RandomState(0).permutation(320)
    made, real = (
        network(torch.from_numpy(v))
        for v in (255 - test.values[order[:300]], unpaired.targets[others[:300]])  # type: ignore[index]
    )
    distance = found["fd300_digits_cnn_test"]
    assert distance.value == pytest.approx(frechet_distance(real, made), rel=1e-4) and distance.n_real == 300
    assert distance.floor is not None and distance.value < 3 * distance.floor < distance.references["copy of the input"]
    assert distance.ceiling is not None and distance.ceiling > distance.references["copy of the input"]
    assert distance.floor_of == "two disjoint halves of 150 images"

    domains = tuple(f"d{k}" for k in range(10))
    asked: list[Any] = []

    def noted(images: Tensor, *, to: str, seed: int, batch_size: int) -> Tensor:
        asked.append(to)
        return keep(images)

    subject = Subject(translate=noted, domains=domains, classes=10)
    own = Digits().open("test")
    [score] = measure(subject, {"test": own, "train": train}, ["kid1k_digits_cnn_test_5x15_to-d3"])
    assert own.labels is not None
    assert set(asked) == {"d3"} and score.n == (own.labels != 3).sum() and score.n_real == (own.labels == 3).sum()
    assert score.value == pytest.approx(score.references["copy of the input"], rel=1e-9), "which is what it gives"
    assert {p.key for p in usual(subject, Digits())} == {
        *("kid1k_digits_cnn_test", *(f"kid1k_digits_cnn_test_to-d{k}" for k in range(1, 10))),
        "acc1k_digits_cnn_test_uniform",
    }
    bare = Images("bare", own.values, split="test")
    with pytest.raises(BadArgument, match="bare has no images of the domain"):
        scores(translator(keep), bare, "kid100_digits_cnn_test")
    with pytest.raises(BadArgument, match="so to-a is not for it"):
        scores(Subject(keep), own, "fd100_digits_cnn_test_to-a")


def test_what_is_usual_suits_the_model_and_the_data(train: Images, test: Images) -> None:
    paired, few = {"train": train, "test": test}, {"train": Images("few", train.values[:5], split="train")}
    named = {"train": Images("inverted", train.values, split="train", targets=255 - train.values), "test": test}
    assert [p.metric for p in usual(translator(invert), named)] == [
        *("kid", "mae", "psnr", "dist", "top", "mae", "psnr", "dist", "top", "kid")
    ]
    assert [p.key for p in usual(Subject(keep, encode=keep), paired)] == [
        *("fd10k_digits_cnn", "kid10k_digits_cnn", "knn10k_model_test_k1", "knn10k_model_test_k5")
    ]
    assert [p.key for p in usual(Subject(keep, encode=keep), few)] == ["fd10k_mobilenet_v2", "kid10k_mobilenet_v2"]
    with pytest.raises(BadArgument, match=r"no protocol suits the model and few by itself; name one \(knn10k_model"):
        usual(Subject(encode=keep), few)
