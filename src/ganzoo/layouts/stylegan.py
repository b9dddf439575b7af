"""StyleGAN's checkpoints: NVIDIA's TensorFlow pickles (StyleGAN2's configuration A among them) and genforce's `.pth`.

From 128 pixels on, the authors double the resolution by a transposed convolution, whose kernel is mirrored.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ganzoo.layouts import growing
from ganzoo.layouts.containers import Contents, Network
from ganzoo.layouts.growing import mirrored, square
from ganzoo.layouts.layout import Converted, Layout, Ledger, marked, marked_variables, open_ledger
from ganzoo.layouts.pickles import quoted

_FUSED_FROM = 128  # pixels, where the layers of the authors' code are fused by `auto`

# Options of G_style, G_mapping, G_synthesis and D_basic with which the family agrees
_OPTIONS: dict[str, tuple[Any, ...]] = {
    "mapping_nonlinearity": ("lrelu",),
    "normalize_latents": (True,),
    "use_wscale": (True,),
    "use_styles": (True,),
    "const_input_layer": (True,),
    "use_noise": (True, 1),
    "nonlinearity": ("lrelu",),
    "use_pixel_norm": (False,),
    "use_instance_norm": (True,),
    "blur_filter": ([1, 2, 1], (1, 2, 1)),
}


class _Built:
    """A generator as it is converted: its tensors, and the arguments that they show."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.widths: list[int] = []
        self.arguments: dict[str, Any] = {}

    def add_layer(
        self, ledger: Ledger, number: int, names: Mapping[str, str], matrix: bool, tensor: Tensor | None, latent: int
    ) -> None:
        """Adds a layer of the synthesis network.

        Args:
            ledger: the file's tensors.
            number: of the layer.
            names: of its strength, bias, style and noise.
            matrix: whether the style's weight is (in, out).
            tensor: the kernel; None for the first layer.
            latent: length of w.
        """
        ours, width, side = f"synthesis.layers.{number}", self.widths[number // 2], 4 << (number // 2)
        if tensor is None:
            self.tensors[f"{ours}.constant"] = ledger.take(names["constant"], (1, width, 4, 4))[0]
        else:
            self.tensors[f"{ours}.conv.weight"] = tensor
        self.tensors[f"{ours}.strength"] = ledger.take(names["strength"], (width,))
        self.tensors[f"{ours}.bias"] = ledger.take(names["bias"], (width,))
        style = ledger.take(f"{names['style']}weight", (latent, 2 * width) if matrix else (2 * width, latent))
        self.tensors[f"{ours}.affine.weight"] = style.T if matrix else style
        self.tensors[f"{ours}.affine.bias"] = ledger.take(f"{names['style']}bias", (2 * width,))
        self.tensors[f"{ours}.noise"] = ledger.take(names["noise"], (1, 1, side, side))[0, 0]

    def add_mapping(self, ledger: Ledger, prefix: str, label: str, matrix: bool) -> int:
        """Adds the mapping network's layers `<prefix>0...` and the label's embedding; gives the length of w."""
        tail = "/" if matrix else "."
        count = growing.count_levels(ledger, rf"{prefix}\d+{tail}weight")
        inputs = first = ledger.shape(f"{prefix}0{tail}weight")[0 if matrix else -1]
        outputs = 0
        for i in range(count):
            weight = ledger.take(f"{prefix}{i}{tail}weight", (inputs, -1) if matrix else (-1, inputs))
            weight = weight.T if matrix else weight
            outputs = len(weight)
            self.tensors[f"mapping.layers.{i}.weight"] = weight
            self.tensors[f"mapping.layers.{i}.bias"] = ledger.take(f"{prefix}{i}{tail}bias", (outputs,))
            if i == 0:
                self.arguments["mapping_width"] = outputs if count > 1 else None
            elif i < count - 1 and outputs != inputs:
                raise ledger.error(
                    f"has layers of {inputs} and {outputs} units in its mapping network; expected one width"
                )
            inputs = outputs
        self.arguments |= {"latent": first, "classes": 0, "style": outputs, "mapping_layers": count}
        if label in ledger:
            self.tensors["mapping.label"] = embedded = ledger.take(label, (-1, first // 2))
            self.arguments |= {"latent": first // 2, "classes": len(embedded)}
        return outputs

    def finish(self, ledger: Ledger, lod: Tensor | float, channels: int) -> None:
        """Adds how far it has grown, and the sizes."""
        levels = len(self.widths)
        self.tensors["synthesis.lod"] = lod = growing.level_of_detail(ledger, lod, levels)
        size = 4 << (levels - 1)
        self.arguments |= {
            "size": size, "channels": channels, "widths": self.widths, "start": growing.start(size, lod),
        }  # fmt: skip


def _assembled(ema: _Built, live: _Built | None, critic: growing.Critic | None, facts: dict[str, Any]) -> Converted:
    moving = None if live is None else live.tensors
    return growing.assembled("stylegan", ema.arguments, ema.tensors, moving, critic, facts)


def _fit(ledger: Ledger, critic: growing.Critic, built: _Built, group: int) -> None:
    """Checks that a discriminator fits its generator, and adds its arguments."""
    arguments = built.arguments
    if critic.outputs != max(arguments["classes"], 1) or critic.statistics < 0:
        raise ledger.error(
            f"has {critic.outputs} outputs and {critic.statistics} feature maps of statistics; "
            f"expected {max(arguments['classes'], 1)} and 1"
        )
    arguments |= critic.arguments(ledger, built.widths, arguments["channels"], group)
    arguments["statistics"] = max(critic.statistics, 1)


# NVIDIA's TensorFlow


def _from_tensorflow(contents: Contents) -> Converted:
    networks = growing.tensorflow_networks(contents)
    chosen = networks.get("Gs") or networks["G"]
    built = _tensorflow_generator(contents, chosen)
    live = _tensorflow_generator(contents, networks["G"]) if "G" in networks else None
    critic = None
    if "D" in networks:
        given = networks["D"].arguments
        with Ledger(contents, "D", networks["D"].variables) as ledger:
            growing.check_options(ledger, given, _OPTIONS)
            critic = growing.tensorflow_critic(ledger)
            _fit(ledger, critic, built, growing.whole(ledger, given, "mbstd_group_size", 4) or 1)
    truncation = {name: chosen.arguments.get(f"truncation_{name}") for name in ("psi", "cutoff")}
    facts = {f"truncation_{name}": value for name, value in truncation.items() if isinstance(value, (int, float))}
    return _assembled(built, live, critic, facts)


def _options(network: Network) -> dict[str, Any]:
    """The options of a generator and of the networks inside, which are handed on to those."""
    given = dict(network.arguments)
    for component in network.components.values():
        given |= component.arguments
    return given


def _tensorflow_generator(contents: Contents, network: Network) -> _Built:
    """The generator of `G_style`."""
    built, given = _Built(), _options(network)
    with Ledger(contents, network.name, network.variables) as ledger:
        growing.check_options(ledger, given, _OPTIONS | {"fused_scale": ("auto", True, False)})
        fused = given.get("fused_scale", "auto")
        latent = built.add_mapping(ledger, "mapping/Dense", "mapping/LabelConcat/weight", matrix=True)
        built.tensors["mapping.mean"] = ledger.take("dlatent_avg", (latent,))
        levels = growing.count_levels(ledger, r"synthesis/ToRGB_lod\d+/weight")
        channels = -1
        for level in range(levels):
            ours = f"synthesis.to_rgb.{level}"
            name = f"synthesis/ToRGB_lod{levels - 1 - level}"
            built.tensors |= ledger.layer(name, ours, (channels, -1, 1, 1), tensorflow=True)
            channels, width = built.tensors[f"{ours}.weight"].shape[:2]
            built.widths.append(width)
        for number in range(2 * levels):
            level, side = number // 2, 4 << (number // 2)
            last = ("Conv0_up", "Conv1")[number % 2] if level else ("Const", "Conv")[number]
            place, tensor = f"synthesis/{side}x{side}/{last}", None
            if number:
                below = built.widths[level - 1 if last == "Conv0_up" else level]
                tensor = square(ledger, f"{place}/weight", below, built.widths[level])
                if last == "Conv0_up" and (fused is True or (fused == "auto" and side >= _FUSED_FROM)):
                    tensor = mirrored(tensor)
            names = {
                "constant": f"{place}/const",
                "strength": f"{place}/Noise/weight",
                "bias": f"{place}/bias",
                "style": f"{place}/StyleMod/",
                "noise": f"synthesis/noise{number}",
            }
            built.add_layer(ledger, number, names, True, tensor, latent)
        # The outer one is copied into the inner one whenever the network runs
        inner, outer = ledger.take("synthesis/lod"), ledger.take("lod") if "lod" in ledger else None
        built.finish(ledger, outer if outer is not None and bool(outer.any()) else inner, channels)
        rate, decay = given.get("mapping_lrmul", 0.01), given.get("dlatent_avg_beta", 0.995)
        if not isinstance(rate, (int, float)) or not 0 < rate < 2**24:
            raise ledger.error(f"was made with mapping_lrmul = {quoted(rate)}; expected a number above 0")
        built.arguments["mapping_rate"] = float(rate)
        if isinstance(decay, float) and 0 <= decay < 1:
            built.arguments["decay"] = decay
    return built


# genforce


def _from_genforce(contents: Contents) -> Converted:
    growing.check_rest(contents, growing.GENFORCE_RUN)
    made = {key: _genforce_generator(contents, key) for key in contents.generators("synthesis.output0.weight")}
    built, critic = next(iter(made.values())), None
    if "D" in contents.modules:
        with open_ledger(contents, "D") as ledger:
            critic = growing.genforce_critic(ledger, blurred=True)
            _fit(ledger, critic, built, 4)
    return _assembled(built, made.get("G"), critic, {})


def _genforce_generator(contents: Contents, key: str) -> _Built:
    """The generator of `StyleGANGenerator`."""
    built = _Built()
    with open_ledger(contents, key) as ledger:
        latent = built.add_mapping(ledger, "mapping.dense", "mapping.label_weight", matrix=False)
        built.tensors["mapping.mean"] = ledger.take("truncation.w_avg", (latent,))
        levels = growing.count_levels(ledger, r"synthesis\.output\d+\.weight")
        channels = -1
        for level in range(levels):
            ours = f"synthesis.to_rgb.{level}"
            built.tensors |= ledger.layer(f"synthesis.output{level}", ours, (channels, -1, 1, 1))
            channels, width = built.tensors[f"{ours}.weight"].shape[:2]
            built.widths.append(width)
        for number in range(2 * levels):
            level, place, tensor = number // 2, f"synthesis.layer{number}", None
            if number:
                up = number % 2 == 0
                width, below = built.widths[level], built.widths[level - 1 if up else level]
                tensor = ledger.take(f"{place}.weight", (width, below, 3, 3))
                if up:
                    tensor = mirrored(tensor) if 4 << level >= _FUSED_FROM else tensor
                    growing.check_blur(ledger, f"{place}.blur.kernel", width)
            names = {
                "constant": f"{place}.const",
                "strength": f"{place}.apply_noise.weight",
                "bias": f"{place}.bias",
                "style": f"{place}.style.",
                "noise": f"{place}.apply_noise.noise",
            }
            built.add_layer(ledger, number, names, False, tensor, latent)
        built.finish(ledger, ledger.take("synthesis.lod"), channels)
    return built


TENSORFLOW = "NVIDIA StyleGAN (TensorFlow)"
GENFORCE = "genforce StyleGAN"

LAYOUTS = (
    Layout(TENSORFLOW, "stylegan", marked_variables("synthesis/4x4/Conv/StyleMod/weight"), _from_tensorflow),
    Layout(
        GENFORCE,
        "stylegan",
        marked("synthesis.layer0.const", "synthesis.layer0.style.weight", "synthesis.output0.weight"),
        _from_genforce,
    ),
)
