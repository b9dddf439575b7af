"""Protocols: a score's key names everything that changes its value.

A key is `<metric><n>_<network>` and then, each after an underscore, whatever departs from the defaults:

| part | meaning | default |
|---|---|---|
| `fd` `fid` `kid` `is` `pr` ... | the metric, see `ganzoo.metrics.metrics()`; `fid` is `fd` in `inception` | |
| `10k` | generated images; as many real ones, or all where there are fewer | |
| `mobilenet_v2` | the feature network; `pixels` or `model` where there is none; for `modes` the mixture | |
| `full` | all real images of the split | n of them |
| `test` `validation` `all` | split of the real images | `train` |
| `uniform` | labels of conditional models by turns | the real images' labels |
| `flips` | real images and their mirror images | as they are |
| `float` | generated images are not rounded to 8 bits | rounded |
| `tf-bilinear` `pil-bicubic` `torch-bilinear` `torch-bicubic` | the resizer | the network's own |
| `k3`, `10splits`, `100x1000`, ... | settings of the metric's own: the arguments of its function | the function's |
| `to-a` | the domain that images are translated to | the model's first |
| `psi0.7` | truncation | none |
| `live` | the live weights | the averaged ones |
| `seed1` | seed of the first image, and of the choice of real ones | 0 |
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Final, Literal, get_type_hints

from annotated_types import Ge, Le

from ganzoo.metrics.features.classifiers import AVATAR_CLASSES
from ganzoo.metrics.features.network import NETWORKS
from ganzoo.metrics.features.resize import Resizer
from ganzoo.metrics.metric import LACKS, MIXTURES, Metric, Option, Setting, metrics, named
from ganzoo.types import BadArgument, UnknownName, nearest

MOST: Final = 10_000_000  # images; features of more fit no machine's memory


@dataclass(frozen=True)
class Protocol:
    """Everything that changes a score's value.

    Two protocols that differ have different keys, since `protocol(p.key) == p`: a key holds every setting that is not
    its default. Settings that a metric does not have keep their defaults.

    Raises:
        UnknownName: for a metric that there is not.
        BadArgument: for a value out of range, or one that the metric does not have.
    """

    metric: str  # see `ganzoo.metrics.metrics()`
    n: int  # images made, translated or classified; training images among which neighbours are looked for
    network: str  # the feature network; for `modes`, the mixture; `pixels` or `model` where there is none
    full: bool = False  # whether all real images of the split are the reference, rather than n of them
    split: Literal["train", "test", "validation", "all"] = "train"  # of the real images
    labels: Literal["data", "uniform"] = "data"  # of conditional models: those of the real images, or each by turns
    flips: bool = False  # whether the reference is the real images and their mirror images
    rounding: bool = True  # whether generated images are rounded to 8 bits, as files would be
    resizer: Resizer = ""  # the filter that brings images to the network's size; empty for the network's own
    to: str = ""  # the domain that images are translated to; empty for the model's first
    truncation: Annotated[float, Ge(0), Le(1)] | None = None  # psi; None for none
    weights: Literal["averaged", "live"] = "averaged"  # of the generator
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = 0  # of the first image, the choice of real ones, the metric
    options: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()  # the metric's own settings by name

    def __post_init__(self) -> None:
        of, given = self.of, dict(self.options)
        if self.network in NETWORKS and not self.resizer:
            object.__setattr__(self, "resizer", NETWORKS[self.network].resizer)
        for option in of.options:
            for setting in option.settings:
                if option.always and setting.name not in given:
                    some = option.form.format(**{setting.name: setting.write(setting.default)})
                    raise BadArgument(f"A protocol of {self.metric} always names {setting.name}, such as {some}.")
        own = {name: setting.checked(given.pop(name, setting.default)) for name, setting in of.settings.items()}
        for name, value in given.items():
            raise BadArgument(f"A protocol with {name}={value!r}: {self.metric} does not depend on it.")
        object.__setattr__(self, "options", tuple(own.items()))
        self._check(of)

    def _check(self, of: Metric) -> None:
        if not 2 <= self.n <= MOST:
            raise BadArgument(f"A protocol with n={self.n}: at least 2 images, and {MOST:,} at most.")
        _check_network(of, self.network)
        depends = of.depends_on(self.network)
        for name, setting in SHARED.items():
            value = getattr(self, name)
            setting.checked(value)
            if name not in depends and value != self._default(name):
                raise BadArgument(
                    f"A protocol with {name}={value!r}: {self.metric} in {self.network} does not depend on it."
                )
        if of.held_out and self.split not in {"test", "validation"}:
            raise BadArgument(
                f"A protocol with split={self.split!r}: {self.metric} classifies test images by training images."
            )
        if self.to and not re.fullmatch("[a-z0-9][a-z0-9-]*", self.to):
            raise BadArgument(f"A protocol with to={self.to!r}: small letters, digits and hyphens name a domain.")

    def _default(self, name: str) -> Any:
        own = NETWORKS[self.network].resizer if self.network in NETWORKS else ""
        return own if name == "resizer" else SHARED[name].default

    @property
    def of(self) -> Metric:
        """The metric itself."""
        return named(self.metric)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that the value depends on, by name."""
        depends = self.of.depends_on(self.network)
        return {**{name: getattr(self, name) for name in SHARED if name in depends}, **dict(self.options)}

    @property
    def key(self) -> str:
        """The name of this protocol; `protocol(key)` gives it back."""
        values = {name: getattr(self, name) for name in SHARED} | dict(self.options)
        values["resizer"] = "" if self.resizer == self._default("resizer") else self.resizer
        count = f"{self.n // 1000}k" if self.n % 1000 == 0 else str(self.n)
        head = f"{self.of.called.get(self.network, self.metric)}{count}"
        return "_".join([head, self.network, *(word for o in options(self.of) if (word := o.write(values)))])

    def to_dict(self) -> dict[str, Any]:
        """The key and all that it stands for, as plain JSON."""
        return {"key": self.key, "metric": self.metric, "n": self.n, "network": self.network, **self.settings}


_HINTS: Final = get_type_hints(Protocol, include_extras=True)
# The settings that metrics share, by name, in the order of the key's parts
SHARED: Final = {f.name: Setting(f.name, _HINTS[f.name], f.default) for f in fields(Protocol)[3:-1]}
_FORMS: Final = ("full", "{split}", "{labels}", "flips", "float", "{resizer}")
_LATER: Final = ("to-{to}", "psi{truncation}", "{weights}", "seed{seed}")


@cache
def options(of: Metric) -> list[Option]:
    """The parts of a metric's keys in their order: its own stand among those that metrics share."""
    flags = {"float": "rounding"}
    first, later = (
        [Option(form, (SHARED[flags.get(form, re.sub(r".*{|}|", "", form))],)) for form in forms]
        for forms in (_FORMS, _LATER)
    )
    return [*first, *of.options, *later]


def _check_network(of: Metric, network: str) -> None:
    """Holds a network's name against the metric."""
    known = NETWORKS.get(network)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", network):
        raise BadArgument(f"A protocol with network={network!r}: small letters, digits and _ are expected.")
    if of.networks and network not in of.networks:
        raise BadArgument(f"A protocol with {network}: {of.name} is measured in {' or '.join(of.networks)}.")
    if not of.networks and network in MIXTURES:
        raise BadArgument(f"A protocol with {network}: modes are counted in a mixture, and {of.name} is not.")
    if known is not None and not known.dimension and "paths" not in of.needs:
        raise BadArgument(f"A protocol with {network}: it is for path lengths (ppl) alone.")
    if "probabilities" in of.inputs and known is not None and not known.classes:
        raise BadArgument(f"{of.name} needs class probabilities, and {network} gives none.")
    if known is None and not of.networks:
        for part in network.split("_")[1:]:
            if any(option.read(part) for each in metrics().values() for option in options(each)):
                raise BadArgument(f"The network name {network!r} reads like a protocol's option; give it another one.")


def protocol(key: str | Protocol, networks: Collection[str] = ()) -> Protocol:
    """The protocol of a key, such as `fd10k_mobilenet_v2` or `pr2500_digits_cnn_k5_test`; see the module's text.

    Args:
        key: of the grammar above; a protocol is returned as it is.
        networks: names of feature networks beside ganzoo's own.

    Raises:
        UnknownName: for an unknown metric or network; the text names the nearest.
        BadArgument: for a part that is not understood, stands twice, or does not suit the metric.
    """
    if isinstance(key, Protocol):
        return key
    head = re.match(r"([a-z]+)(\d+)(k?)_", str(key))
    if head is None:
        raise BadArgument(f"{key!r} is no protocol; write <metric><n>_<network>, such as fd10k_mobilenet_v2.")
    of, rest = _metric_of(key, head[1]), key[head.end() :]
    known = of.networks or [*NETWORKS, *networks]
    fitting = [name for name in known if rest == name or rest.startswith(f"{name}_")]
    if not fitting:
        there = f"there are {', '.join(known)}."
        raise UnknownName(f"{key!r}: there is no feature network {rest!r}{nearest(rest, known, there)}")
    network = max(fitting, key=len)
    if head[1] != of.called.get(network, of.name):
        right = f"{of.called.get(network, of.name)}{key.removeprefix(head[1])}"
        raise BadArgument(f"{key!r}: only the Fréchet distance in inception's features is called FID; say {right}.")
    settings: dict[str, Any] = {}
    for part in rest[len(network) + 1 :].split("_") if rest != network else []:
        new = _settings_of(key, part, of)
        if new.keys() & settings.keys():
            raise BadArgument(f"{key!r}: {part!r} says again what another part says.")
        settings |= new
    for option in of.options:
        if option.always and option.settings[0].name not in settings:
            words = option.settings[0].words or [str(option.settings[0].default)]
            name = option.settings[0].name
            some = " or ".join(f"{key}_{option.form.format(**{name: word})}" for word in words)
            raise BadArgument(f"{key!r}: name {name}, such as {some}.")
    shared = {name: value for name, value in settings.items() if name in SHARED}
    own = {name: value for name, value in settings.items() if name not in SHARED}
    return Protocol(of.name, int(head[2]) * (1000 if head[3] else 1), network, **shared, options=own)


def _metric_of(key: str, word: str) -> Metric:
    """The metric that a key begins with."""
    known = {name: each for each in metrics().values() for name in (each.name, *each.called.values())}
    if word not in known:
        there = f"there are {', '.join(known)}."
        raise UnknownName(f"{key!r}: there is no metric {word!r}{nearest(word, known, there)}")
    return known[word]


def _settings_of(key: str, part: str, of: Metric) -> dict[str, Any]:
    """What a part of a key says: of this metric, or of another, to be refused by name."""
    others = (each for each in metrics().values() if each is not of)
    for option in (o for each in (of, *others) for o in options(each)):
        found = option.read(part)
        if found is not None:
            return found
    raise BadArgument(f"{key!r}: {part!r} is not understood; see ganzoo.metrics.protocol for what a key may say.")


_ONE_DOMAIN: Final = ("translates", "translates pairs")  # what is measured for each domain that there is
# The feature network and the classifier that suit a data set; other pictures are seen by MobileNetV2
_SUITABLE: Final = {
    "digits": {"features": "digits_cnn", "classifier": "digits_cnn"},
    "fashion-mnist": {"features": "mobilenet_v2", "classifier": "fashion_mnist_cnn"},
    **{
        f"avatars-{style}-{attribute.replace('_', '-')}": {
            "features": "mobilenet_v2",
            "classifier": f"avatars_{attribute}",
        }
        for style in ("lorelei", "pixel-art")
        for attribute in AVATAR_CLASSES
    },
    **{mixture: {"mixture": mixture} for mixture in MIXTURES},
}


def protocols_for(data: str, able: Collection[str] = ("samples",), domains: Sequence[str] = ()) -> list[Protocol]:
    """What `ganzoo evaluate` measures when it is not told: protocols that suit a data set and what a model can do.

    Args:
        data: the data set's name.
        able: a model's abilities, with `classes`, `views` and `paths`; see `metric.LACKS`.
        domains: that a model translates to; those after the first are measured as well.
    """
    suitable = _SUITABLE.get(data, {"features": "mobilenet_v2"})
    order = list(LACKS)
    found: list[tuple[list[int], str]] = []
    for each in metrics().values():
        need = next((need for need in each.needs if set(need.split()) <= set(able)), "")
        rank = [order.index(word) for word in need.split()]
        for rest in each.needs.get(need, ()):
            if set(re.findall(r"{(\w+)}", rest)) <= set(suitable):
                key = f"{each.name}{rest.format(**suitable)}"
                found.append((rank, key))
                found += [
                    ([*rank, len(order), i], f"{key}_to-{to}")
                    for i, to in enumerate(domains[1:])
                    if need in _ONE_DOMAIN
                ]
    return [protocol(key) for _, key in sorted(found, key=lambda pair: pair[0])]
