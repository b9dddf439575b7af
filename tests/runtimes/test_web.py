"""The page that runs a model in the browser: what is written, with a stand-in for npm, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny
from npm_program import Npm

from ganzoo import cli
from ganzoo.folder import write_model
from ganzoo.runtimes import web
from ganzoo.runtimes.running import ExportedModel
from ganzoo.types import BadArgument, BadData

FILES = {f"package/dist/{name}": name.encode() for name in web._RUNTIME}


def test_the_page_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "npm").mkdir()
    npm = Npm(tmp_path / "npm", monkeypatch)
    write_model(tiny("stylegan2", classes=3), tmp_path / "model", {"name": "<model>"})
    page = tmp_path / "made" / "page"
    with pytest.raises(BadData, match="npm could not fetch"):
        web.write_page(tiny("dcgan").eval(), page, print)
    assert not page.exists() and not list(page.parent.iterdir())
    _, found = npm.pack(web.PACKAGE, {**FILES, "package/evil.js": b"x"})
    with pytest.raises(BadData, match="nothing was read"):
        web.write_page(tiny("dcgan").eval(), page, print)
    monkeypatch.setattr(web, "INTEGRITY", found)
    assert cli.main(["export", str(tmp_path / "model"), "--web", str(page)]) == 0
    assert {each.name for each in page.iterdir()} == {"index.html", "page.js", "model.json", "model.onnx", "runtime"}
    assert {each.name for each in (page / "runtime").iterdir()} == {*web._RUNTIME}
    facts = json.loads((page / "model.json").read_text())
    model = ExportedModel(page / "model.onnx")
    assert facts["layers"] == model.inputs["truncation"][0] and facts["noise"] == "const" and facts["classes"] == 3
    text = (page / "index.html").read_text()
    assert "http://" not in text and "https://" not in text and "$" not in text and "<model>" not in text
    assert cli.main(["export", str(tmp_path / "model"), "--web", str(page)]) == 2, "it is not written over"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadData, match="npm is not on this machine"):
        web.write_page(tiny("dcgan").eval(), tmp_path / "other", print)


def test_what_the_page_cannot_do_is_one_line(tmp_path: Path) -> None:
    for name, options, text in (
        ("cyclegan", {}, "draws no images of its own"),
        ("unrolled", {}, "draws no images of its own"),
        ("stylegan2", {"noise": "given"}, "draws no noise"),
    ):
        given: dict[str, Any] = options
        with pytest.raises(BadArgument, match=text):
            web.write_page(tiny(name).eval(), tmp_path / "page", print, **given)
    assert cli.main(["export", "dcgan-digits"]) == 2
