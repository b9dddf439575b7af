"""The catalogue: what stands in it, how it is checked, and that reading it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ganzoo import folder as checkpoint
from ganzoo.game import registry
from ganzoo.types import BadArgument, UnknownName
from ganzoo.zoo import catalogue


def test_every_entry_says_where_it_is_and_under_what_terms() -> None:
    listed = catalogue._read(catalogue._CATALOGUE)[0]
    assert len(listed) >= 60
    for name, entry in listed.items():
        assert entry.status in ("hosted", "convert", "planned")
        assert name.startswith(entry.family.replace("_", "-")) or entry.family == "esrgan", name
        assert entry.terms is not None and entry.terms.url.startswith("https://")
        assert entry.paper is not None and 2014 <= entry.paper.year <= 2030
        assert entry.files and bool(entry.address) + bool(entry.repo) + bool(entry.package) == 1
        assert entry.task in ("unconditional", "conditional", "translation", "super-resolution")
        assert all(score.value > 0 and score.source.startswith("https://") for score in entry.scores)
        if entry.status != "planned":
            assert entry.family in registry.list_families(), f"{name}: no such family; its status must be planned"


def test_the_published_models_that_people_ask_for_are_there() -> None:
    known = {
        "stylegan2-ffhq": 2.84, "stylegan2-church": 3.86, "stylegan2-car": 2.32, "stylegan2-cat": 6.93,
        "stylegan2-horse": 3.43, "stylegan2-cifar10": 2.42, "stylegan2-metfaces": None, "stylegan2-afhq-cat": None,
        "stylegan2-ffhq-256": None, "stylegan3-t-ffhq": 2.79, "stylegan3-r-ffhq": 3.07, "progan-celebahq-256": None,
        "biggan-deep-128": 5.9471, "cyclegan-horse2zebra": None, "pix2pix-edges2shoes": None,
        "real-esrgan-x4plus": None, "r3gan-ffhq-256": 2.75, "r3gan-cifar10": 1.96,
    }  # fmt: skip
    for name, fid in known.items():
        entry = catalogue.find(name)
        assert (entry.scores[0].value if entry.scores else None) == fid, name
    assert catalogue.find("stylegan2-ffhq").resolution == 1024
    assert not any(catalogue.find(n).terms.commercial for n in known if n.startswith(("style", "r3gan")))  # type: ignore[union-attr]
    assert catalogue.find("r3gan-cifar10").terms.redistribute == "no"  # type: ignore[union-attr]
    assert catalogue.find("progan-celebahq-256").files["celebaHQ_s6_i80000-6196db68.pth"] == catalogue.File("6196db68")


def test_names_aliases_patterns_and_the_nearest_ones() -> None:
    assert catalogue.find("stylegan2-ffhq-1024").name == "stylegan2-ffhq"
    names = [entry["name"] for entry in catalogue.list_models("stylegan3-?-ffhq")]
    assert names == ["stylegan3-r-ffhq", "stylegan3-t-ffhq"]
    assert catalogue.list_models("no-such-*") == []
    keys = {"name", "family", "status", "task", "resolution", "license"}
    assert all(keys <= entry.keys() for entry in catalogue.list_models())
    with pytest.raises(UnknownName, match="did you mean stylegan2-ffhq"):
        catalogue.find("stylegan2-fhq")
    facts = catalogue.info("real-esrgan-x2plus")
    assert facts["size"] == 67_061_725 and facts["terms"]["commercial"] is True
    assert catalogue.info("stylegan2-ffhq")["files"]["stylegan2-ffhq-1024x1024.pkl"]["sha256"] == "unpinned"


def test_a_family_with_a_recipe_and_no_weights_is_listed_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wgan_gp/fashion-mnist.yaml", "wgan_gp/folder.yaml", "dcgan/finetune-folder.yaml", "infogan/x.yaml"):
        path = tmp_path / "recipes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("seed_everything: 0\n")
    monkeypatch.setattr("ganzoo.files.resource_folder", lambda kind: tmp_path / kind if kind == "recipes" else None)
    found = {entry.name: entry for entry in catalogue.entries() if entry.status == "recipe"}
    assert set(found) == {"wgan-gp-fashion-mnist", "infogan-x"}, "those for a user's own data train no model of a name"
    entry = found["wgan-gp-fashion-mnist"]
    assert (entry.family, entry.task, entry.where()) == (
        "wgan_gp",
        "unconditional",
        "recipes/wgan_gp/fashion-mnist.yaml",
    )


def test_shipped_models_are_found_from_their_folders() -> None:
    shipped = {entry.name: entry for entry in catalogue.entries() if entry.status == "shipped"}
    assert set(shipped) == set(checkpoint.shipped_folders())
    for entry in shipped.values():
        assert entry.family in registry.list_families() and entry.license and entry.size
        assert catalogue.info(entry.name)["config"]["family"] == entry.family


GOOD = """
licenses = ["mit"]
[terms.free]
license = "mit"
title = "MIT"
url = "https://example.org"
commercial = true
redistribute = "yes"
[papers.one]
title = "One"
year = 2020
url = "https://example.org"
[groups.g]
family = "dcgan"
status = "convert"
task = "unconditional"
paper = "one"
terms = "free"
address = "https://example.org/files/"
[groups.g.models.dcgan-x]
data = "X"
files = { "x.pth" = {} }
"""


def read(tmp_path: Path, text: str) -> dict[str, catalogue.Entry]:
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    catalogue.check(path)
    return catalogue._read(path)[0]


def test_the_catalogue_is_right() -> None:
    catalogue.check()


def test_an_alias_is_given_once(tmp_path: Path) -> None:
    other = '[groups.g.models.dcgan-y]\ndata = "Y"\nfiles = { "y.pth" = {} }\naliases = ["a"]\n'
    with pytest.raises(BadArgument, match=r"dcgan-y: one of the aliases \['a'\] is taken"):
        read(tmp_path, GOOD + 'aliases = ["a"]\n' + other)


def test_what_is_right_is_read(tmp_path: Path) -> None:
    entry = read(tmp_path, GOOD)["dcgan-x"]
    assert entry.where() == "https://example.org/files/x.pth" and entry.license == "mit" and entry.size is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('data = "X"', 'data = "X"\nlicence = "mit"', "dcgan-x.licence: Unexpected keyword argument"),
        ('data = "X"', 'data = "X"\nresoluton = 32', "dcgan-x.resoluton: Unexpected keyword argument"),
        ('data = "X"', "data = 3", "dcgan-x.data: Input should be a valid string"),
        ('data = "X"', 'data = "X"\nresolution = "32"', "dcgan-x.resolution: Input should be a valid integer"),
        ('data = "X"', 'data = "X"\nresolution = true', "dcgan-x.resolution: Input should be a valid integer"),
        ('data = "X"', "", "dcgan-x.data: Field required"),
        ("year = 2020", 'year = "2020"', "papers.one.year: Input should be a valid integer"),
        ("commercial = true", "", "terms.free.commercial: Field required"),
        ('terms = "free"', 'terms = "fre"', "terms 'fre' is not defined"),
        ('"convert"', '"ready"', "status is 'ready'"),
        ('"convert"', '"hosted"', "a hosted model needs a repo"),
        ('address = "https://example.org/files/"', "", "give an address, a repo or a package"),
        ('address = "https://example.org/files/"', 'address = "ftp://example.org/"', "address: https://"),
        ('address = "https://example.org/files/"', 'repo = "a/b"\nrevision = "main"', "revision: 40 hexadecimal"),
        ("{} }", '{ sha256 = "abc" } }', "sha256: 64 hexadecimal digits"),
        ("{} }", '{ sha256 = "g0g0g0g0" } }', "sha256: 64 hexadecimal digits"),
        ("{} }", "{ size = -1 } }", "size: a number of bytes is expected"),
        ("{} }", '{ size = "big" } }', "dcgan-x.files.x.pth.size: Input should be a valid integer"),
        ('{ "x.pth" = {} }', "{}", "files is empty"),
        ('"x.pth"', '"../x.pth"', "files: plain file names are expected"),
        ("dcgan-x]", "DCGAN_x]", "is no model name"),
        ('data = "X"', 'data = "X"\naliases = ["dcgan-x"]', "one of the aliases ['dcgan-x'] is taken"),
        ('data = "X"', 'data = "X"\nreplaced_by = "other"', "replaced_by 'other' is no model"),
        ('data = "X"', 'data = "X"\nscores = [{ metric = "FID" }]', "dcgan-x.scores.0.value: Field required"),
        ("[terms.free]", "colour = 1\n[terms.free]", "there is no key 'colour'"),
        ("[terms.free]", "[terms.free", "not readable as TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(BadArgument) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_replaced_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = '[groups.g.models.dcgan-y]\ndata = "Y"\nfiles = { "y.pth" = { size = 3 } }\n'
    entries = read(tmp_path, GOOD + 'replaced_by = "dcgan-y"\n' + newer)
    monkeypatch.setattr(catalogue, "_all", lambda: entries)
    with pytest.warns(UserWarning, match="dcgan-x was replaced by dcgan-y"):
        assert catalogue.find("dcgan-x").replaced_by == "dcgan-y"


def test_listing_imports_no_torch_and_opens_no_socket() -> None:
    program = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, _: opened.append(event) if event.startswith('socket') else None)\n"
        "import ganzoo\n"
        "assert len(ganzoo.list_models('style*')) > 20 and ganzoo.info('stylegan2-ffhq')['resolution'] == 1024\n"
        "print('torch' in sys.modules, 'huggingface_hub' in sys.modules, opened)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False False []"
