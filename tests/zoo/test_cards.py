"""Cards say what the files say, and nothing that people wrote is lost."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hub_tools import model_files, write_files

from ganzoo import folder as checkpoint
from ganzoo.types import BadArgument, BadModelFolder
from ganzoo.zoo import cards, catalogue

SCORE = {
    "key": "fd10k_mobilenet_v2",
    "value": 12.3456,
    "spread": 0.25,
    "n": 10_000,
    "seed": 0,
    "network": "mobilenet_v2",
    "network_sha256": "b0353104" * 8,
    "data": "fashion-mnist",
    "split": "train",
    "resizer": "bilinear",
    "floor": 1.5,
    "ceiling": 210.0,
    "commit": "c0ffee" + "0" * 34,
    "hardware": "2 cores of a CPU",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = model_files(
        license="apache-2.0",
        title="DCGAN",
        latent=100,
        name="dcgan-fashion-mnist",
        steps=4000,
        images_seen=256_000,
        paper={"title": "Radford et al.", "year": 2016, "url": "https://arxiv.org/abs/1511.06434"},
        data={"name": "fashion-mnist", "split": "train", "license": "MIT"},
        training={"recipe": "dcgan/fashion-mnist.yaml", "batch_size": 64},
        parameters={"generator": 123_456},
        limits=["Narrower than the paper's."],
    )
    files[checkpoint.RESULTS] = json.dumps([SCORE]).encode()
    return write_files(tmp_path / "dcgan-fashion-mnist", files)


def test_a_card_holds_what_the_files_hold(folder: Path) -> None:
    from huggingface_hub import ModelCard

    text = cards.render_card(folder)
    data: Any = ModelCard(text).data
    result = data.eval_results[0]
    assert data.license == "apache-2.0" and data.library_name == "ganzoo"
    assert (result.metric_type, result.metric_value, result.dataset_name) == (
        SCORE["key"],
        SCORE["value"],
        "fashion-mnist",
    )
    assert result.metric_args["n"] == 10_000 and result.metric_args["network_sha256"] == SCORE["network_sha256"]
    for part in (
        "![Samples", 'ganzoo.load("dcgan-fashion-mnist")', "Weights: apache-2.0", "fashion-mnist): MIT", "256,000",
        "generator 123,456", "ganzoo train recipes/dcgan/fashion-mnist.yaml", "12.35 ± 0.25", "| 1.5 | 210 |", "c0ffee",
        "2 cores of a CPU", "8 x 8 pixels", "Narrower than the paper's.", "cannot be held against published FIDs",
    ):  # fmt: skip
        assert part in text, part
    assert cards.render_card(folder, previous=text) == text, "rendering is idempotent"


def test_a_familys_own_pictures_are_shown(folder: Path) -> None:
    assert "econstructions" not in cards.render_card(folder)
    picture = (folder / checkpoint.SAMPLES).read_bytes()
    for name in ("class-grid.png", "reconstructions.png", "Not ours](x).png"):
        (folder / name).write_bytes(picture)
    text = cards.render_card(folder)
    assert text.index("(samples.png)") < text.index("![Class grid](class-grid.png)")
    assert text.index("(class-grid.png)") < text.index("![Reconstructions](reconstructions.png)")
    assert "Not ours" not in text


def test_what_a_score_is_held_against_and_its_classes_stand_beside_it(folder: Path) -> None:
    plain = cards.render_card(folder)
    assert "eside it" not in plain and "by class" not in plain
    top = {**SCORE, "key": "top1k_mobilenet_v2_test", "references": {"copy of the input": 0.125, "untrained": 0.01}}
    shares = {"classes": {"cat": 0.5, "dog": 1.0}, "floor": {"classes": {"cat": 0.75, "dog": 0.875}},
              "from": {"cow": {"dog": 0.25}, "cat": {"cat": 1.0, "dog": 0.75}}}  # fmt: skip
    accuracy = {**SCORE, "key": "acc10k_digits_cnn", "details": shares}
    error = {**SCORE, "key": "err10k_model_test", "details": {"classes": {"cat": 0.0625}}}
    (folder / checkpoint.RESULTS).write_text(json.dumps([top, accuracy, error]))
    text = cards.render_card(folder)
    for part in (
        "| key | value | beside it | floor |", "| copy of the input 0.125; untrained 0.01 | 1.5 |",
        "`acc10k_digits_cnn` by class:", "| class | value | real images |", "| cat | 0.5 | 0.75 |",
        "| dog | 1 | 0.875 |",
        "| class | value |\n", "| cat | 0.0625 |\n",
        "`acc10k_digits_cnn` from each (a row) to each:", "|  | cat | dog |", "| cow |  | 0.25 |", "| cat | 1 | 0.75 |",
    ):  # fmt: skip
        assert part in text, part
    for hostile in (
        {"references": [1], "details": 3},
        {"references": {"a": {}}, "details": {"classes": {"b": None}, "from": {"c": 1}}},
    ):
        (folder / checkpoint.RESULTS).write_text(json.dumps([{**SCORE, **hostile}]))
        cards.render_card(folder)


def test_the_card_of_a_translation_speaks_of_inputs(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    (folder / checkpoint.CONFIG).write_text(json.dumps({**config, "task": "translation", "latent": 0}))
    text = cards.render_card(folder)
    for part in ("model.translate(images)", "Inputs, and what dcgan-fashion-mnist makes of them", "It maps pictures"):
        assert part in text, part
    assert "Latent" not in text and "seeds from 0" not in text


def test_measured_and_published_scores_never_share_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = catalogue.Published("FID", 37.5, "50,000 images", "https://example.org")
    entry = catalogue.Entry(
        "dcgan-fashion-mnist", "dcgan", "shipped", "unconditional", "x", scores=(published,), folder=folder
    )
    monkeypatch.setattr(catalogue, "_all", lambda: {entry.name: entry})
    for text in (cards.render_card(folder), cards.render_model_cards()):
        assert "12.35" in text and "37.5" in text
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
        columns = {
            (len(row), row.index(cell))
            for row in rows
            for cell in row
            for value in ("12.35", "37.5")
            if value in cell and row
        }
        assert len(columns) == 2, "each stands in a column of its own"


def test_prose_between_the_markers_survives_and_nothing_else_does(folder: Path) -> None:
    text = cards.render_card(folder)
    mine = f"{cards.PROSE_BEGINS}\n## My words\n\n| a | table |\n|---|---|\n\n---\nand a rule\n{cards.PROSE_ENDS}"
    begins, ends = text.index(cards.PROSE_BEGINS), text.index(cards.PROSE_ENDS) + len(cards.PROSE_ENDS)
    edited = (
        (text[:begins] + mine + text[ends:])
        .replace("12.35", "9.99")
        .replace("license: apache-2.0", "license: mit\nextra: [1]")
    )
    again = cards.render_card(folder, previous=edited)
    assert mine in again and "9.99" not in again and "license: apache-2.0" in again and "extra:" in again
    assert cards.render_card(folder, previous=again) == again
    assert cards.split_prose("no metadata\n\njust words\n") == ("no metadata\n\njust words", {})
    for broken in ("---\n[: bad\n---\nwords", "---\n- a\n- list\n---\nwords", "---\r\na: 1\r\n---\r\nwords\r\n"):
        assert cards.split_prose(broken)[0].strip() == "words", broken


def test_a_hostile_configuration_stays_inside_its_line(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    evil = "x\n---\nlicense: mit\n\n# Trust me | <!-- written by hand up to here -->"
    config |= {
        "name": evil,
        "title": evil,
        "license": evil,
        "data": {"name": evil},
        "paper": [evil],
        "terms": evil,
        "origin": evil,
    }
    config |= {"parameters": evil, "training": evil, "shape": evil, "limits": [evil]}
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    (folder / checkpoint.RESULTS).write_text(
        json.dumps([{"key": evil, "value": evil, "n": evil, "network_sha256": 3}, evil, None])
    )
    text = cards.render_card(folder)
    assert not re.search(r"^(license: mit|# Trust me)", text, re.MULTILINE)
    assert cards.split_prose(text)[0] == ""


def test_a_license_that_the_hub_has_no_name_for(folder: Path) -> None:
    config = json.loads((folder / checkpoint.CONFIG).read_text())
    config["license"] = "nvidia-source-code-nc"
    config["terms"] = {"title": "NVIDIA Source Code License", "url": "https://example.org/nc", "commercial": False}
    (folder / checkpoint.CONFIG).write_text(json.dumps(config))
    text = cards.render_card(folder)
    assert "license: other\n" in text and "license_name: nvidia-source-code-nc\n" in text
    assert "license_link: https://example.org/nc\n" in text and "no commercial use" in text


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"[" * 100_000])
def test_an_unreadable_folder_is_named(folder: Path, content: bytes) -> None:
    (folder / checkpoint.CONFIG).write_bytes(content)
    with pytest.raises(BadModelFolder, match=r"config\.json"):
        cards.render_card(folder)


def test_every_model_of_the_catalogue_stands_in_the_table_of_its_task() -> None:
    text = cards.render_model_cards()
    sections = dict(re.findall(r"^## (.+?)\n\n(\|.+?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL))
    for entry in catalogue.entries():
        rows = [
            row
            for row in sections[entry.task.capitalize()].splitlines()
            if re.match(rf"\| \[?{re.escape(entry.name)}[\] ]", row)
        ]
        assert len(rows) == 1, entry.name
        assert f"| {entry.status} |" in rows[0]
        assert entry.terms is None or entry.terms.title in rows[0]
        assert entry.size is None or " MB " in rows[0] or " kB " in rows[0]
        assert all(f"{score.value:g}" in rows[0] for score in entry.scores)
    assert "FID | 22.29 |" in text and "(https://github.com/kwotsin/mimicry)" in text


# ------------------------------------------------------------------------------------------------- the checkout


@pytest.fixture
def checkout(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one shipped model, all of its cards rendered."""
    root = tmp_path / "checkout"
    shutil.copytree(folder, root / "checkpoints" / folder.name)
    (root / "recipes").mkdir()
    (root / "pyproject.toml").touch()
    monkeypatch.setattr("ganzoo.files.resource_folder", lambda kind: root / kind)
    assert cards.update(check=False) == [
        "src/ganzoo/zoo/families.json",
        "checkpoints/dcgan-fashion-mnist/README.md",
        "MODEL_CARDS.md",
        "docs/gallery.md",
    ]
    assert cards.update(check=True) == [] == cards.update(check=False)
    return root


def drift(root: Path, change: Any) -> list[str]:
    change(root / "checkpoints" / "dcgan-fashion-mnist")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    found = cards.update(check=True)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before, "checking writes nothing"
    return found


def test_a_deleted_results_json_fails_the_check(checkout: Path) -> None:
    found = drift(checkout, lambda model: (model / checkpoint.RESULTS).unlink())
    assert found == [
        "checkpoints/dcgan-fashion-mnist/results.json",
        "checkpoints/dcgan-fashion-mnist/README.md",
        "MODEL_CARDS.md",
        "docs/gallery.md",
    ]
    assert "checkpoints/dcgan-fashion-mnist/results.json" in cards.update(check=False), "writing does not hide it"


def test_a_changed_score_or_card_fails_the_check(checkout: Path) -> None:
    def better(model: Path) -> None:
        (model / checkpoint.RESULTS).write_text(json.dumps([{**SCORE, "value": 3.0}]))

    def touched(model: Path) -> None:
        card = model / checkpoint.CARD
        card.write_text(card.read_text().replace("3 ± 0.25", "2 ± 0.25"))

    assert drift(checkout, better) == [
        "checkpoints/dcgan-fashion-mnist/README.md",
        "MODEL_CARDS.md",
        "docs/gallery.md",
    ]
    cards.update(check=False)
    assert drift(checkout, touched) == ["checkpoints/dcgan-fashion-mnist/README.md"]


def test_an_installed_package_makes_no_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr("ganzoo.files.resource_folder", lambda kind: tmp_path / kind)
    with pytest.raises(BadArgument, match="made in a checkout"):
        cards.update(check=True)
