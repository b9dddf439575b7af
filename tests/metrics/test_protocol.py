"""Keys and protocols are the same thing: each key says everything, and says it once."""

import itertools
import re
from typing import Any, get_args

import pytest

from ganzoo.metrics.features.network import NETWORKS
from ganzoo.metrics.features.resize import RESIZERS, Resizer
from ganzoo.metrics.metric import LACKS, MIXTURES, Positive, metric, metrics, named
from ganzoo.metrics.protocol import MOST, SHARED, Protocol, options, protocol, protocols_for
from ganzoo.types import BadArgument, GanzooError, UnknownName

# values that each setting can take; every combination that is a protocol is tried
SETTINGS: dict[str, list[Any]] = {
    "metric": list(metrics()),
    "n": [1000, 2500],
    "network": ["digits_cnn", "inception", "ring", "points", "vgg16_lpips", "pixels", "model"],
    "full": [False, True],
    "split": ["train", "test"],
    "labels": ["data", "uniform"],
    "flips": [False, True],
    "rounding": [True, False],
    "resizer": ["", "torch_bilinear"],
    "k": [None, 4],
    "splits": [None, 3],
    "subsets": [None, 7],
    "subset_size": [None, 50],
    "share": [None, 0.025],
    "space": [None, "z", "w"],
    "ends": [None, True],
    "epsilon": [None, 1e-5],
    "to": ["", "a", "old-2"],
    "truncation": [None, 0.0, 0.7],
    "weights": ["averaged", "live"],
    "seed": [0, 12],
}


def made(settings: dict[str, Any]) -> Protocol:
    """A protocol of settings, the metrics' own among them; None is a metric's default."""
    own = {name: value for name, value in settings.items() if name not in {*SHARED, "metric", "n", "network"}}
    shared = {name: value for name, value in settings.items() if name not in own}
    return Protocol(**shared, options={name: value for name, value in own.items() if value is not None})


def some() -> list[Protocol]:
    """Every protocol that departs from a metric's plain one in up to two settings."""
    found: dict[Protocol, None] = {}
    plain = {name: values[0] for name, values in SETTINGS.items()}
    for name, network in itertools.product(SETTINGS["metric"], SETTINGS["network"]):
        always = {"k": 3, "space": "z"}
        needed = {s.name: always[s.name] for o in named(name).options if o.always for s in o.settings}
        base = {**plain, "metric": name, "network": network, **needed, "split": "test" if name == "knn" else "train"}
        try:
            made(base)
        except BadArgument:
            continue  # what mends it is met from a metric or network that suits
        departures = [{key: value} for key in SETTINGS for value in SETTINGS[key] if value != base[key]]
        for one, two in [({}, {}), *itertools.combinations([{}, *departures], 2)]:
            try:
                found_ = made({**base, **one, **two})
            except BadArgument:
                continue
            # elsewhere these are networks of the user's, which only `networks` makes known
            if found_.network not in {"pixels", "model"} or named(found_.metric).networks:
                found[found_] = None
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
        ("pr10k_mobilenet_v2_k3", {"metric": "pr", "options": (("k", 3),)}),
        ("kid1k_digits_cnn_50x200", {"options": (("subsets", 50), ("subset_size", 200))}),
        ("fd2500_digits_cnn_full_test_flips", {"n": 2500, "full": True, "split": "test", "flips": True}),
        ("fd1k_digits_cnn_float_tf-bilinear", {"rounding": False, "resizer": "tf_bilinear"}),
        ("modes10k_ring", {"metric": "modes", "network": "ring", "options": (("share", 0.1),)}),
        (
            "ppl1k_vgg16_lpips_w_ends_eps1e-05",
            {"metric": "ppl", "options": (("space", "w"), ("ends", True), ("epsilon", 1e-5))},
        ),
        ("mae1k_pixels_test", {"metric": "mae", "network": "pixels", "split": "test", "to": ""}),
        ("top500_mobilenet_v2_test_to-a", {"metric": "top", "n": 500, "to": "a"}),
        ("top500_mobilenet_v2_test_to-ukiyo-e2", {"to": "ukiyo-e2"}),
        ("knn10k_model_test_k5", {"metric": "knn", "network": "model", "options": (("k", 5),)}),
        ("agree1k_pixels_k1_seed2", {"metric": "agree", "options": (("k", 1),), "seed": 2}),
        ("acc1k_digits_cnn_test_uniform", {"metric": "acc", "split": "test", "labels": "uniform"}),
        ("fd10k_mobilenet_v2_psi0.7_live_seed3", {"truncation": 0.7, "weights": "live", "seed": 3}),
    ],
)
def test_keys_read_as_they_are_written(key: str, settings: dict[str, Any]) -> None:
    found = protocol(key)
    assert found.key == key
    assert {name: getattr(found, name) for name in settings} == settings
    assert found.to_dict()["key"] == key and found.to_dict()["seed"] == found.seed
    assert found.to_dict().items() >= dict(found.options).items()


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
        ("is1k_digits_cnn_to-a", "to='a'"),
        ("mae1k_pixels_test_to-A", "'to-A' is not understood"),
        ("mae1k_pixels_test_b2a", "'b2a' is not understood"),
        ("fd1k_digits_cnn_", "'' is not understood"),
        ("kid1k_digits_cnn_0x50", "subsets=0: Input should be greater than or equal to 1"),
        ("modes1k_ring_share2", "share=2.0"),
        ("fd500000000_mobilenet_v2", "n=500000000: at least 2 images, and 10,000,000 at most"),
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


def test_what_is_measured_follows_from_what_a_model_can_do() -> None:
    def keys(data: str, *able: str, domains: tuple[str, ...] = ()) -> list[str]:
        return [p.key for p in protocols_for(data, able, domains)]

    assert keys("fashion-mnist", "samples") == [p.key for p in protocols_for("fashion-mnist")]
    assert keys("fashion-mnist", "samples") == ["fd10k_mobilenet_v2", "kid10k_mobilenet_v2"]
    assert keys("fashion-mnist", "samples", "classes")[-1] == "acc10k_fashion_mnist_cnn"
    assert keys("photos", "samples", "classes") == keys("photos", "samples"), "there is no classifier for them"
    assert keys("ring", "samples") == ["modes10k_ring"]
    assert keys("digits", "classes") == [], "there is nothing to give classes to"
    assert keys("emoji", "translates", domains=("b",)) == ["kid1k_mobilenet_v2_test"]
    assert keys("emoji", "translates", domains=("b", "a"))[1] == "kid1k_mobilenet_v2_test_to-a"
    assert keys("emoji", "translates", "pairs", domains=("b",)) == [
        *("kid1k_mobilenet_v2_test", "mae1k_pixels_test", "psnr1k_pixels_test"),
        *("dist1k_mobilenet_v2_test", "top1k_mobilenet_v2_test"),
    ]
    assert "top1k_mobilenet_v2_test_to-a" in keys("emoji", "translates", "pairs", domains=("b", "a"))
    assert "acc1k_digits_cnn_test_uniform" in keys("digits", "translates", "classes", domains=("0", "1"))
    avatars = keys("avatars-lorelei-hair-colour", "translates", "classes", domains=("a", "b"))
    assert "acc1k_avatars_hair_colour_test_uniform" in avatars
    assert keys("digits", "encodes") == ["knn10k_model_test_k1", "knn10k_model_test_k5"]
    for data in ("digits", "fashion-mnist", "ring", "grid", "anything"):
        every = keys(data, *LACKS, domains=("b", "a"))
        assert len(set(every)) == len(every) and all(protocol(key).key == key for key in every)
    measured = {protocol(key).metric for data in ("digits", "ring") for key in keys(data, *LACKS, domains=("b", "a"))}
    assert measured == {name for name, each in metrics().items() if any(each.needs.values())}


def test_a_metric_says_all_that_is_known_of_it() -> None:
    for name, each in metrics().items():
        assert re.fullmatch("[a-z]+", name) and each.title and each.function.__doc__
        assert all(set(need.split()) <= LACKS.keys() for need in each.needs)
        assert each.name == name and "seed" in each.depends_on("digits_cnn")
    assert {name for name, each in metrics().items() if each.better is None} == {"nn"}
    assert {name for name, each in metrics().items() if each.better == "lower"} == {
        *("fd", "kid", "ppl", "mae", "dist", "err", "fill", "rec", "moved")
    }
    assert named("fd").depends_on("digits_cnn") >= {"full", "flips", "truncation"}
    assert not named("is").depends_on("digits_cnn") & {"full", "flips"}, "it never looks at real images"
    assert "to" in named("top").depends_on("digits_cnn") and "to" not in named("acc").depends_on("digits_cnn")
    with pytest.raises(UnknownName, match="did you mean kid"):
        named("kidd")


def test_a_metric_of_ones_own_has_keys_like_any_other() -> None:
    @metric("lp", "norm of the difference of means", better="lower", forms=["p{order}"])
    def of_means(real: Any, generated: Any, order: Positive = 2, seed: int = 0) -> float:
        return float((real.mean(0) - generated.mean(0)).norm(order))

    try:
        assert protocol("lp100_digits_cnn_full_p1_seed3").options == (("order", 1),)
        assert protocol("lp100_digits_cnn_p2").key == "lp100_digits_cnn"
        assert [o.form for o in options(named("lp"))] == [
            *("full", "{split}", "{labels}", "flips", "float", "{resizer}", "p{order}"),
            *("to-{to}", "psi{truncation}", "{weights}", "seed{seed}"),
        ]
        with pytest.raises(BadArgument, match="order=0"):
            protocol("lp100_digits_cnn_p0")
        with pytest.raises(BadArgument, match="There is a metric 'lp' already"):
            metric("lp", "another", better=None)(lambda real: 0.0)
    finally:
        from ganzoo.metrics.metric import _REGISTERED

        del _REGISTERED["lp"]


def test_every_filter_can_be_named() -> None:
    assert set(get_args(Resizer)) == {"", *RESIZERS}
    assert MOST == 10_000_000 and set(MIXTURES) == {"ring", "grid"} and not set(MIXTURES) & NETWORKS.keys()
