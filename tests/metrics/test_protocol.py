"""Keys and protocols are the same thing: each key says everything, and says it once."""

import itertools
import subprocess
import sys
from typing import Any

import pytest

from ganzoo.metrics.networks import NETWORKS
from ganzoo.metrics.protocol import ABILITIES, METRICS, TASKS, Protocol, protocol, protocols, protocols_for
from ganzoo.types import BadArgument, GanzooError, UnknownName

# values that each setting can take; every combination that is a protocol is tried
SETTINGS: dict[str, list[Any]] = {
    "metric": list(METRICS),
    "n": [1000, 2500],
    "network": ["digits_cnn", "inception", "ring", "points", "vgg16_lpips", "pixels", "model"],
    "full": [False, True],
    "split": ["train", "test"],
    "labels": ["data", "uniform"],
    "flips": [False, True],
    "rounding": [True, False],
    "resizer": ["", "torch_bilinear"],
    "k": [0, 4],
    "splits": [10, 3],
    "subsets": [100, 7],
    "subset_size": [1000, 50],
    "share": [0.1, 0.025],
    "space": ["", "z", "w"],
    "ends": [False, True],
    "epsilon": [1e-4, 1e-5],
    "direction": ["", "b2a"],
    "truncation": [None, 0.0, 0.7],
    "weights": ["averaged", "live"],
    "seed": [0, 12],
}


def some() -> list[Protocol]:
    """Every protocol that departs from a metric's plain one in up to two settings."""
    found: dict[Protocol, None] = {}
    plain = {name: values[0] for name, values in SETTINGS.items()}
    for metric, network in itertools.product(SETTINGS["metric"], SETTINGS["network"]):
        k, space = (4 if metric in {"pr", "dc", "knn", "agree"} else 0), ("z" if metric == "ppl" else "")
        split = "test" if metric == "knn" else "train"
        base = {**plain, "metric": metric, "network": network, "k": k, "space": space, "split": split}
        try:
            Protocol(**base)
        except BadArgument:
            continue  # what mends it is met from a metric or network that suits
        for one, two in itertools.combinations(SETTINGS, 2):
            for a, b in itertools.product(SETTINGS[one], SETTINGS[two]):
                try:
                    made = Protocol(**{**base, one: a, two: b})
                except BadArgument:
                    continue
                # elsewhere these are networks of the user's, which only `networks` makes known
                if made.network not in {"pixels", "model"} or made.metric in {"mae", "knn", "err", "agree"}:
                    found[made] = None
    return list(found)


def test_no_two_protocols_share_a_key_and_every_key_gives_its_protocol_back() -> None:
    every = some()
    assert len(every) > 1200
    assert len({p.key for p in every}) == len(every)
    for p in every:
        assert protocol(p.key) == p


@pytest.mark.parametrize(
    "key, settings",
    [
        ("fd10k_mobilenet_v2", {"metric": "fd", "n": 10_000, "network": "mobilenet_v2"}),
        ("fid50k_inception", {"metric": "fd", "n": 50_000, "resizer": "tf_bilinear"}),
        ("pr10k_mobilenet_v2_k3", {"metric": "pr", "k": 3}),
        ("kid1k_digits_cnn_50x200", {"subsets": 50, "subset_size": 200}),
        ("fd2500_digits_cnn_full_test_flips", {"n": 2500, "full": True, "split": "test", "flips": True}),
        ("fd1k_digits_cnn_float_tf-bilinear", {"rounding": False, "resizer": "tf_bilinear"}),
        ("modes10k_ring", {"metric": "modes", "network": "ring", "share": 0.1}),
        ("ppl1k_vgg16_lpips_w_ends", {"metric": "ppl", "space": "w", "ends": True}),
        ("mae1k_pixels_test", {"metric": "mae", "network": "pixels", "split": "test", "direction": ""}),
        ("top500_mobilenet_v2_test_b2a", {"metric": "top", "n": 500, "direction": "b2a"}),
        ("knn10k_model_test_k5", {"metric": "knn", "network": "model", "k": 5}),
        ("agree1k_pixels_k1_seed2", {"metric": "agree", "k": 1, "seed": 2}),
        ("fd10k_mobilenet_v2_psi0.7_live_seed3", {"truncation": 0.7, "weights": "live", "seed": 3}),
    ],
)
def test_keys_read_as_they_are_written(key: str, settings: dict[str, Any]) -> None:
    found = protocol(key)
    assert found.key == key
    assert {name: getattr(found, name) for name in settings} == settings
    assert found.to_dict()["key"] == key and found.to_dict()["seed"] == found.seed


def test_another_spelling_has_the_canonical_key() -> None:
    assert protocol("fd10000_digits_cnn").key == "fd10k_digits_cnn"
    assert protocol("fd1k_digits_cnn_pil-bicubic").key == "fd1k_digits_cnn"
    assert protocol("pr1k_digits_cnn_k5_full").key == "pr1k_digits_cnn_full_k5"


@pytest.mark.parametrize(
    "key, says",
    [
        ("fd10k_mobilnet_v2", "did you mean mobilenet_v2"),
        ("fdd10k_mobilenet_v2", "did you mean fd"),
        ("fd_mobilenet_v2", "<metric><n>_<network>"),
        ("fid10k_mobilenet_v2", "say fd10k_mobilenet_v2"),
        ("fd10k_inception", "say fid10k_inception"),
        ("pr10k_digits_cnn", "pr10k_digits_cnn_k3"),
        ("ppl10k_digits_cnn", "ppl10k_digits_cnn_z or ppl10k_digits_cnn_w"),
        ("fd10k_digits_cnn_k3", "k=3"),
        ("fd10k_digits_cnn_5splits", "splits=5"),
        ("fd10k_digits_cnn_bananas", "'bananas' is not understood"),
        ("fd10k_digits_cnn_test_all", "says again"),
        ("fd1_digits_cnn", "at least 2"),
        ("is10k_points", "class probabilities"),
        ("fd10k_points_flips", "flips=True: fd in points does not depend"),
        ("nn10k_digits_cnn_full", "full=True"),
        ("fd10k_vgg16_lpips", "path lengths"),
        ("modes10k_digits_cnn", "there are ring, grid"),
        ("fd10k_digits_cnn_psi1.5", "truncation=1.5"),
        ("mae1k_mobilenet_v2_test", "there are pixels"),
        ("knn1k_pixels_test_k1", "there are model"),
        ("knn1k_model_test", "knn1k_model_test_k1"),
        ("knn1k_model_k1", "split='train'"),
        ("fd1k_digits_cnn_b2a", "direction='b2a'"),
        ("top1k_digits_cnn_test_k3", "k=3"),
    ],
)
def test_what_is_no_protocol_is_refused_with_one_line(key: str, says: str) -> None:
    with pytest.raises(GanzooError, match=r"^[^\n]*$") as error:
        protocol(key)
    assert says in str(error.value)


def test_a_network_of_the_users_can_be_named() -> None:
    assert protocol("fd1k_my_net_test", networks=["my_net", "my"]).network == "my_net"
    with pytest.raises(UnknownName):
        protocol("fd1k_my_net")
    with pytest.raises(BadArgument, match="reads like"):
        Protocol("fd", 1000, "my_full")


def test_the_listed_protocols_are_themselves() -> None:
    listed = protocols()
    assert len({p.key for p in listed}) == len(listed)
    assert {p.network for p in listed if p.metric != "modes"} == (
        set(NETWORKS) - {"points", "vgg16_lpips"} | {"pixels", "model"}
    )
    for data in ("digits", "fashion-mnist", "ring", "grid", "anything"):
        assert all(protocol(p.key) == p for p in protocols_for(data))


def test_what_is_measured_follows_from_what_a_model_can_do() -> None:
    def keys(data: str, *able: str, directions: tuple[str, ...] = ()) -> list[str]:
        return [p.key for p in protocols_for(data, able, directions)]

    assert keys("fashion-mnist", "sample") == [p.key for p in protocols_for("fashion-mnist")]
    assert keys("fashion-mnist", "sample", "labels")[-1] == "acc10k_fashion_mnist_cnn"
    assert keys("digits", "labels") == ["acc10k_digits_cnn"]
    assert keys("emoji", "translate", directions=("a2b",)) == [
        "mae1k_pixels_test",
        "dist1k_mobilenet_v2_test",
        "top1k_mobilenet_v2_test",
    ]
    assert "top1k_mobilenet_v2_test_b2a" in keys("emoji", "translate", directions=("a2b", "b2a"))
    every = keys("digits", *ABILITIES, directions=("a2b", "b2a"))
    assert len(set(every)) == len(every) and {protocol(key).metric for key in every} >= set(TASKS)


def test_importing_the_room_and_the_protocols_does_not_import_torch() -> None:
    code = (
        "import sys, ganzoo.metrics as m; m.protocols(); from ganzoo.metrics.protocol import protocol; "
        "protocol('fd10k_mobilenet_v2'); m.describe('inception'); assert 'torch' not in sys.modules; m.measure; dir(m)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
