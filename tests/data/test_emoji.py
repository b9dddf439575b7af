"""Emoji: packages made here, through a program that stands in for npm; damaged and hostile ones; the split; pairs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import npm_program
import numpy as np
import pytest
from emoji_files import FILES, prepared
from npm_program import Members
from PIL import Image
from safetensors.numpy import save

from ganzoo.data import emoji
from ganzoo.data.emoji import STYLES, Emoji, EmojiPairs, base_of, prepare
from ganzoo.data.npm import integrity
from ganzoo.types import BadArgument, BadData

TONES = ("1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")


def form(code: str, **more: Any) -> dict[str, Any]:
    styles = {f"has_img_{style}": True for style in ("apple", "google", "twitter", "facebook")}
    return {"unified": code, "image": f"{code.lower()}.png", **styles, **more}


def listing() -> list[dict[str, Any]]:
    """Sixty emoji with all their forms, not in the order in which they are to stand."""
    entries = [
        form(f"{0x1F600 + k:X}", name=f"FACE {k}", category="Smileys", subcategory=f"face-{k % 3}", sort_order=k)
        for k in range(60)
    ]
    tones = {tone: form(f"1F3C3-{tone}") for tone in TONES}
    person = {"category": "People", "subcategory": "sport"}
    entries.append(form("1F3C3", name="RUNNER", sort_order=70, skin_variations=tones, **person))
    entries.append(form("1F3C3-200D-2640-FE0F", name="WOMAN RUNNING", sort_order=71, **person))
    mixed = {f"{a}-{b}": form(f"1F9D1-{a}-200D-1F91D-200D-1F9D1-{b}") for a, b in [TONES[:2], TONES[3:]]}
    couple = form("1F9D1-200D-1F91D-200D-1F9D1", name="PEOPLE HOLDING HANDS", sort_order=72, skin_variations=mixed)
    entries.append(couple | person)
    entries.append(form("1F47D", name="ONLY OF APPLE", sort_order=3, **person) | {"has_img_google": False})
    return entries[::-1]


def picture(code: str, style: str) -> Image.Image:
    """A random picture, half of it transparent."""
    rng = np.random.RandomState(int(hashlib.sha256(f"{code} {style}".encode()).hexdigest()[:7], 16))
    values = rng.randint(0, 256, (64, 64, 4)).astype(np.uint8)
    values[:, :20, 3], values[:, 20:40, 3] = 0, 255
    return Image.fromarray(values)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def members(style: str, entries: list[dict[str, Any]]) -> Members:
    forms = [f for entry in entries for f in (entry, *entry.get("skin_variations", {}).values())]
    found: Members = {"package/package.json": b"{}", "package/emoji.json": json.dumps(entries).encode()}
    for each in forms:
        if each[f"has_img_{style}"]:
            found[f"package/img/{style}/64/{each['image']}"] = png(picture(each["unified"], style))
    return found


class Npm(npm_program.Npm):
    """Hands out packages of emoji, and lets their sums be those that are expected."""

    def of(self, style: str, contents: Members, trusted: bool = True) -> Path:
        path, _ = self.pack(STYLES[style].package, contents)
        if trusted:
            self.trust(style, path)
        return path

    def trust(self, style: str, path: Path) -> None:
        self.monkeypatch.setitem(emoji.STYLES, style, replace(STYLES[style], integrity=integrity(path)))


@cache
def packed(style: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        return Npm(Path(folder), monkeypatch).of(style, members(style, listing())).read_bytes()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    return Npm(tmp_path, monkeypatch)


@pytest.fixture
def whole(npm: Npm) -> Npm:
    for style in STYLES:
        path = npm.of(style, {})
        path.write_bytes(packed(style))
        npm.trust(style, path)
    return npm


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(BadData) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


# -------------------------------------------------------------------------------------------------- as it should be


def test_pictures_stand_on_white_in_order_with_what_is_known_of_them(whole: Npm, tmp_path: Path) -> None:
    said: list[str] = []
    folder = prepare("google", say=said.append)
    assert folder == tmp_path / "cache" / "data" / "emoji"
    assert sorted(path.name for path in folder.iterdir()) == ["google.json", "google.safetensors"], (
        "nothing is left over"
    )
    assert "Apache-2.0" in said[0] and "70 emoji" in said[-1]
    data = Emoji()
    images, table = data.open("all"), data.table("all")
    assert images.values.shape == (70, 3, 64, 64) and images.values.dtype == np.uint8
    assert (images.name, images.license, images.split) == ("emoji-google", "Apache-2.0", "all")
    assert [row["code"] for row in table[:60]] == [f"{0x1F600 + k:X}" for k in range(60)]
    assert [row["name"] for row in table[60:]] == [
        "runner",
        "runner: light skin tone",
        "runner: medium-light skin tone",
        "runner: medium skin tone",
        "runner: medium-dark skin tone",
        "runner: dark skin tone",
        "woman running",
        "people holding hands",
        "people holding hands: light skin tone, medium-light skin tone",
        "people holding hands: medium-dark skin tone, dark skin tone",
    ]
    for k in (0, 17, 61, 69):
        rgba = np.asarray(picture(table[k]["code"], "google"), np.float64)
        on_white = rgba[..., :3] * rgba[..., 3:] / 255 + 255 * (1 - rgba[..., 3:] / 255)
        np.testing.assert_allclose(images.values[k].transpose(1, 2, 0), on_white, atol=0.501)
        assert (images.values[k][:, :, :20] == 255).all()
    assert images.classes == ("People", "Smileys") and images.labels is not None
    assert images.labels.tolist() == [1] * 60 + [0] * 10
    fine = Emoji(labels="subcategory").open("all")
    assert fine.classes == ("face-0", "face-1", "face-2", "sport")


def test_the_styles_are_pairs_in_every_split(whole: Npm) -> None:
    for style in STYLES:
        prepare(style)
    one, other = Emoji("google"), Emoji("twitter")
    assert other.open("all").license == "CC-BY-4.0"
    for split in ("train", "test", "all"):
        assert one.table(split) == other.table(split) and len(one.table(split)) == len(one.open(split))
        a, b = one.open(split), other.open(split)
        assert a.labels is not None and b.labels is not None and a.classes == b.classes
        assert np.array_equal(a.labels, b.labels)
        assert not np.array_equal(a.values, b.values)
    assert len(one.open("train")) + len(one.open("test")) == 70
    codes = {split: {row["base"] for row in one.table(split)} for split in ("train", "test")}
    assert codes["train"] and codes["test"] and not codes["train"] & codes["test"], (
        "no variant stands on the other side"
    )


def test_sizes(whole: Npm) -> None:
    prepare("google")
    large, small = Emoji(size=128).open("train"), Emoji(size=16).open("train")
    assert large.shape == (3, 128, 128) and small.shape == (3, 16, 16)
    whole_size = Emoji().open("train")
    means = small.values.mean((2, 3)), whole_size.values.mean((2, 3))
    assert np.abs(means[0] - means[1]).max() < 2, "resampling keeps the mean"
    blocks = whole_size.values.reshape(-1, 3, 16, 4, 16, 4).mean((3, 5))
    assert np.corrcoef(blocks.ravel(), small.values.ravel())[0, 1] > 0.95, "and every part in its place"


def test_preparing_again_gives_the_same_files(whole: Npm, tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare("google", tmp_path / name)
    for file in ("google.json", "google.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert Emoji(root=str(tmp_path / "a")).open("all").digest == Emoji(root=str(tmp_path / "b")).open("all").digest


def test_npm_is_called_without_a_shell_and_runs_no_script(whole: Npm, tmp_path: Path) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.write_text(npm.read_text() + f"open({str(tmp_path / 'words')!r}, 'w').write(repr(sys.argv[1:]))\n")
    prepare("twitter")
    words = (tmp_path / "words").read_text()
    assert "'pack', '--ignore-scripts'" in words and words.endswith("'emoji-datasource-twitter@16.0.0']")


@pytest.mark.parametrize(
    ("code", "base"),
    [
        ("1F600", "1F600"),
        ("0023-FE0F-20E3", "0023-20E3"),
        ("1F3C3-1F3FB-200D-2640-FE0F-200D-27A1-FE0F", "1F3C3"),  # a tone, a gender and a direction
        ("1F468-1F3FD-200D-1F680", "1F9D1-200D-1F680"),  # a man of a profession
        ("1F469-200D-1F9B0", "1F9D1"),  # red hair
        ("1F471-1F3FF-200D-2642-FE0F", "1F9D1"),  # blond hair
        ("1F468-200D-1F469-200D-1F467-200D-1F466", "1F46A"),  # a family
        ("1F9D1-200D-1F9D2", "1F46A"),
        ("1F469-1F3FB-200D-2764-FE0F-200D-1F468-1F3FF", "1F9D1-200D-2764-200D-1F9D1"),  # a couple
        ("1F46D-1F3FE", "1F9D1-200D-1F91D-200D-1F9D1"),
        ("1FAF1-1F3FB-200D-1FAF2-1F3FF", "1F91D"),  # a handshake of two tones
        ("1F1F8-1F1EF", "1F1F3-1F1F4"),  # the flag of Svalbard is that of Norway
        ("1F3FB", "1F3FB"),  # a tone by itself
        ("2640-FE0F", "2640"),
    ],
)  # fmt: skip
def test_bases(code: str, base: str) -> None:
    assert base_of(code) == base
    assert base_of(base) == base


def test_a_tenth_of_the_bases_is_for_testing() -> None:
    share = np.mean([emoji._for_testing(f"{k:X}") for k in range(20_000)])
    assert share == pytest.approx(0.1, abs=0.01)
    # pinned, because scores depend on it
    assert [code for code in (f"{k:X}" for k in range(0x1F600, 0x1F640)) if emoji._for_testing(code)] == [
        "1F60A",
        "1F610",
        "1F613",
        "1F61D",
        "1F61F",
        "1F638",
        "1F63D",
    ]


# ---------------------------------------------------------------------------------------------- as it should not be


def test_another_package_is_not_read(npm: Npm, tmp_path: Path) -> None:
    npm.of("google", {"package/emoji.json": b"[]"}, trusted=False)
    text = refused(lambda: prepare("google"))
    assert "not sha512-ZRexfzs7MVoLnmzZ...; nothing was read" in text
    assert not list((tmp_path / "cache" / "data" / "emoji").iterdir())


def test_links_and_paths_that_lead_out_are_passed_over(npm: Npm, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("untouched")
    contents = members("google", listing())
    link = tarfile.TarInfo("package/img/google/64/link.png")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    device = tarfile.TarInfo("package/img/google/64/device.png")
    device.type = tarfile.CHRTYPE
    hostile: Members = {
        "a": link,
        "b": device,
        f"../{outside.name}": b"overwritten",
        str(outside): b"overwritten",
        "package/img/google/64/../../../../../outside.txt": b"overwritten",
    }
    npm.of("google", hostile | contents)
    prepare("google")
    assert outside.read_text() == "untouched" and len(Emoji().open("all")) == 70
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".tgz") == ["bin", "cache", "outside.txt"]


def test_a_picture_that_is_a_link_is_missing(npm: Npm) -> None:
    contents = members("google", listing())
    link = tarfile.TarInfo("package/img/google/64/1f600.png")
    link.type, link.linkname = tarfile.LNKTYPE, "package/img/google/64/1f601.png"
    npm.of("google", contents | {link.name: link})
    assert "1f600.png: is no picture of an emoji" in refused(lambda: prepare("google"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"package/emoji.json": b"not json"}, "is no package of emoji"),
        ({"package/emoji.json": b"[1, 2]"}, "is no package of emoji"),
        ({"package/emoji.json": b'{"a": 1}'}, "is no package of emoji"),
        ({"package/emoji.json": b'[{"unified": "1F600"}]'}, "is no package of emoji ('has_img_google')"),
        ({"package/emoji.json": b"[" * 100_000}, "is no package of emoji"),
        ({"package/emoji.json": b"[]"}, "holds no emoji in the style of google"),
        ({"package/emoji.json": bytes(17 * 2**20)}, "emoji.json is beyond all bounds"),
        ({"package/img/google/64/1f600.png": bytes(2**16 + 1)}, "1f600.png is beyond all bounds"),
        ({"package/img/google/64/1f600.png": b"GIF89a"}, "1f600.png: is no picture of an emoji"),
        ({"package/img/google/64/1f600.png": png(Image.new("RGBA", (65, 64)))}, "it has 65x64 pixels, not 64x64"),
        ({"package/img/google/64/1f600.png": png(picture("1F600", "google"))[:3000]}, "1f600.png: is no picture"),
    ],
)
def test_damaged_packages(change: Members, complaint: str, npm: Npm, tmp_path: Path) -> None:
    npm.of("google", members("google", listing()[-3:]) | change)
    assert complaint in refused(lambda: prepare("google"))
    assert not list((tmp_path / "cache" / "data" / "emoji").iterdir()), "nothing is written"


def test_truncated_packages(npm: Npm) -> None:
    path = npm.of("google", members("google", listing()[-3:]))
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) * 3 // 4):
        path.write_bytes(content[:length])
        npm.trust("google", path)
        assert "is no package of emoji" in refused(lambda: prepare("google"))


def test_what_was_not_prepared_or_is_damaged(whole: Npm, tmp_path: Path) -> None:
    assert "holds no emoji in the style of google; run `ganzoo data emoji --style google`" in refused(
        lambda: Emoji().open("train")
    )
    folder = prepare("google", tmp_path / "mine")

    def reading() -> str:
        return refused(lambda: Emoji(root=str(folder)).open("train"))

    pixels, facts = folder / "google.safetensors", folder / "google.json"
    content, table = pixels.read_bytes(), json.loads(facts.read_text())
    flipped = bytearray(content)
    flipped[-1] ^= 1
    for damaged in (bytes(flipped), content[:-1], b""):
        pixels.write_bytes(damaged)
        assert f"is not the file that google.json describes; run `ganzoo data emoji --style google --out {folder}`" in (
            reading()
        )
    pixels.write_bytes(content)
    changes: list[dict[str, Any]] = [{"format": 2}, {"emoji": table["emoji"][1:]}, {"emoji": [{}] * 70}, {"emoji": 3}]
    for change in changes:
        facts.write_text(json.dumps(table | change))
        assert "; run `ganzoo data emoji" in reading()
    for text in ("", "[]", "{}", "[" * 50_000):
        facts.write_text(text)
        assert "google.json: is damaged" in reading()
    facts.write_text(json.dumps(table))
    assert len(Emoji(root=str(folder)).open("all")) == 70
    for forged in (b"no tensors", save({"other": np.zeros(3)}), save({"images": np.zeros((70, 3, 8, 8), np.uint8)})):
        pixels.write_bytes(forged)
        facts.write_text(json.dumps(table | {"sha256": hashlib.sha256(forged).hexdigest()}))
        assert "google.safetensors: holds" in reading()
    pixels.unlink()
    assert "google.safetensors: cannot be read (No such file or directory); run" in reading()


def test_a_folder_that_cannot_be_written(whole: Npm, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(lambda: prepare("google", tmp_path / "file" / "inside"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"style": "apple"}, "style is apple; google or twitter is expected"),
        ({"size": 7}, "size is 7; at least 8 is expected"),
        ({"labels": "name"}, "labels is name; category or subcategory is expected"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadArgument, match=complaint):
        Emoji(**arguments)
    with pytest.raises(BadArgument, match="style is apple"):
        prepare("apple")


def test_the_styles_that_have_a_licence() -> None:
    assert {name: style.license for name, style in STYLES.items()} == {"google": "Apache-2.0", "twitter": "CC-BY-4.0"}


PREPARED = Path(os.environ.get("GANZOO_CACHE", Path.home() / ".cache" / "ganzoo")) / "data" / "emoji"


@pytest.mark.skipif(
    not all((PREPARED / f"{style}.json").is_file() for style in STYLES), reason="needs `ganzoo data emoji`"
)
def test_the_real_ones() -> None:
    google, twitter = Emoji("google"), Emoji("twitter")
    one, other = google.open("all"), twitter.open("all")
    assert one.values.shape == other.values.shape == (3786, 3, 64, 64)
    assert (len(google.open("train")), len(google.open("test"))) == (3421, 365)
    assert google.table("all") == twitter.table("all") and len(one.classes or ()) == 10
    assert len(Emoji(labels="subcategory").open("all").classes or ()) == 99
    for images in (one, other):
        sides: dict[bytes, set[bool]] = {}
        for values, row in zip(images.values, google.table("all"), strict=True):
            sides.setdefault(values.tobytes(), set()).add(row["test"])
        assert all(len(side) == 1 for side in sides.values()), "no picture stands on both sides"


# ------------------------------------------------------------------------------- pairs, on the few that come with tests


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepared(tmp_path_factory.mktemp("emoji")))


def test_pairs_show_one_emoji_in_two_styles(few: str) -> None:
    data = EmojiPairs(root=few)
    for split, count in (("train", 33), ("test", 9), ("all", 42)):
        images, table = data.open(split), data.table(split)
        assert (
            images.targets is not None and images.paired and len(images) == len(images.targets) == count == len(table)
        )
        assert images.shape == (3, 64, 64) and images.targets.shape[1:] == (3, 64, 64)
        for k in (0, count // 2, count - 1):
            for style, values in (("google", images.values), ("twitter", images.targets)):
                with Image.open(FILES / style / f"{table[k]['code']}.png") as picture:
                    assert np.array_equal(np.asarray(picture), values[k].transpose(1, 2, 0))
        assert images.labels is not None and images.classes is not None
        assert [images.classes[label] for label in images.labels] == [row["category"] for row in table]
    images = data.open("train")
    assert (images.name, images.license) == ("emoji-google-to-twitter", "Apache-2.0 AND CC-BY-4.0")
    back = EmojiPairs("twitter", "google", root=few).open("train")
    assert images.targets is not None and back.targets is not None
    assert np.array_equal(back.values, images.targets) and np.array_equal(back.targets, images.values)
    same = EmojiPairs("twitter", "twitter", root=few).open("train")
    assert same.targets is not None and np.array_equal(same.values, same.targets) and same.license == "CC-BY-4.0"


@pytest.mark.parametrize("paired", [True, False])
def test_a_validation_split_is_taken_from_training_and_leaves_the_test_split_alone(whole: Npm, paired: bool) -> None:
    for style in STYLES:
        prepare(style)
    plain, data = (EmojiPairs(validation=validation, paired=paired) for validation in (False, True))
    codes = {split: [row["code"] for row in data.table(split)] for split in data.splits}
    assert list(codes) == ["train", "test", "all", "validation"]
    for split, found in codes.items():
        images = data.open(split)
        assert len(images) == len(found) > 0 and images.name == "emoji-google-to-twitter" and images.split == split
        assert images.paired == (paired or split != "train")
    assert data.open("test").digest == plain.open("test").digest and data.open("all").digest == plain.open("all").digest
    kept = set(codes["validation"])
    assert codes["train"] == [row["code"] for row in plain.table("train") if row["code"] not in kept]
    if paired:
        assert kept < {row["code"] for row in plain.table("train")}
    alone = Emoji("twitter", validation=True)
    targets = data.open("validation").targets
    assert targets is not None and np.array_equal(alone.open("validation").values, targets)
    bases = [{row["base"] for row in alone.table(split)} for split in ("train", "validation", "test")]
    assert sum(map(len, bases)) == len(set().union(*bases)), "no variant stands in another split"
    with pytest.raises(BadArgument, match=r"'validation' is not a split of EmojiPairs; .*; give validation=True"):
        plain.open("validation")


def test_no_emoji_is_seen_in_both_styles_where_training_has_no_pairs(few: str) -> None:
    pairs, data = EmojiPairs(root=few), EmojiPairs(paired=False, root=few)
    images, whole = data.open("train"), pairs.open("train")
    assert images.targets is not None and whole.targets is not None and not images.paired
    assert len(images) + len(images.targets) == len(whole)
    assert min(len(images), len(images.targets)) >= 10
    codes = {picture.tobytes(): row for picture, row in zip(whole.targets, pairs.table("train"), strict=True)}
    others = [codes[picture.tobytes()] for picture in images.targets]
    assert len(data.table("train")) == len(images)
    assert not {row["base"] for row in data.table("train")} & {row["base"] for row in others}
    thumbs = [row for row in (*data.table("train"), *others) if row["base"] == "1F44D"]
    assert len(thumbs) == 6, "all skin tones, on one side"
    for split in ("test", "all"):
        held_out = data.open(split)
        assert held_out.paired and held_out.digest == pairs.open(split).digest


def test_pairs_in_grey_and_other_sizes(few: str) -> None:
    colour, grey = (EmojiPairs(root=few, channels=channels).open("test") for channels in (3, 1))
    assert grey.targets is not None and grey.shape == (1, 64, 64) and grey.targets.shape[1:] == (1, 64, 64)
    for picture, level in zip(colour.values, grey.values, strict=True):
        assert np.array_equal(np.asarray(Image.fromarray(picture.transpose(1, 2, 0)).convert("L")), level[0])
    assert EmojiPairs(root=few, size=32).open("train").shape == (3, 32, 32)


def test_outlines_are_drawn_from_the_targets(few: str) -> None:
    data = EmojiPairs("outlines", "twitter", root=few)
    drawn, plain = data.open("test"), EmojiPairs("google", "twitter", root=few).open("test")
    assert (drawn.name, drawn.license, drawn.shape) == ("emoji-outlines-to-twitter", "CC-BY-4.0", (1, 64, 64))
    assert drawn.targets is not None and plain.targets is not None and np.array_equal(drawn.targets, plain.targets)
    k, (height, width) = len(drawn) // 2, (64, 64)
    image = drawn.targets[k].astype(int)
    for i, j in np.random.RandomState(0).randint(0, 64, (200, 2)):
        around = image[:, max(i - 1, 0) : min(i + 2, height), max(j - 1, 0) : min(j + 2, width)]
        lighter = (around.max((1, 2)) - image[:, i, j]).max() > 40
        assert drawn.values[k, 0, i, j] == (0 if lighter else 255)


def test_styles_that_do_not_fit_together(few: str, tmp_path: Path) -> None:
    for arguments, text in (
        ({"source": "apple"}, "source is apple"),
        ({"channels": 2}, "channels is 2"),
        ({"size": 4}, "size is 4"),
        ({"labels": "mood"}, "labels is mood"),
    ):
        with pytest.raises(BadArgument, match=text):
            EmojiPairs(root=few, **arguments)
    for path in Path(few).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    facts = json.loads((tmp_path / "twitter.json").read_text())
    facts["emoji"][3]["code"] = "1F600"
    (tmp_path / "twitter.json").write_text(json.dumps(facts))
    assert "its styles hold different emoji" in refused(lambda: EmojiPairs(root=str(tmp_path)).open("all"))
    (tmp_path / "twitter.json").unlink()
    assert "holds no emoji in the style of twitter" in refused(lambda: EmojiPairs(root=str(tmp_path)).open("all"))
