"""HYPE's page without a browser: what is real stays here until it is answered, and answers become scores on a card."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny
from PIL import Image
from starlette.testclient import TestClient

from ganzoo import cli
from ganzoo.app.judge import Judging, application, scrambled
from ganzoo.app.page import Guard
from ganzoo.folder import write_model
from ganzoo.media.images import grid
from ganzoo.metrics import hype
from ganzoo.types import BadArgument


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "dcgan"
    write_model(tiny("dcgan"), folder, {"name": "dcgan"})
    return str(folder)


def judged(page: TestClient, mode: str, knows: Any) -> dict[str, Any]:
    """A session of a judge who says what `knows` says of a picture."""
    asked = page.post("/begin", json={"mode": mode}).json()
    while "done" not in asked:
        said = {"session": asked["session"], "number": asked["number"], "said": bool(knows(asked)), "took": 5.0}
        before, asked = asked, page.post("/answer", json={**said, "shown": asked.get("exposure")}).json()
        assert "error" not in asked, asked
        if "done" not in asked and mode == "time" and not asked["countdown"]:
            assert asked["right"] == (asked["exposure"] < before["exposure"]), "who answers is told at once"
        assert mode == "time" or "right" not in asked
    return asked


def real_ones() -> set[bytes]:
    from ganzoo.data.digits import Digits

    return {grid(np.array(each)[None], padding=0).tobytes() for each in Digits().open("train").values}


HERE = "http://127.0.0.1:7860"


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_judge_who_knows_and_one_who_does_not(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, known = tmp_path / "judged.jsonl", real_ones()
    judging = Judging("digits", [model], log, pictures=12)
    page = TestClient(Guard(application(judging)), HERE)

    def knows(asked: dict[str, Any]) -> bool:
        return opened(asked["picture"]).tobytes() in known

    end = judged(page, "infinity", knows)
    assert end["scores"][0] == {"key": "hype_infinity12", "value": 0.0, "interval": [0.0, 0.0]}
    assert [each["value"] for each in judged(page, "infinity", lambda asked: True)["scores"]] == [0.5, 0.0, 1.0]
    timed = judged(page, "time", knows)["scores"]
    assert timed[0]["value"] == np.mean([500, 470, 440, 410])

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 36 and len({line["session"] for line in lines}) == 3
    assert [line["exposure"] for line in lines[24:]] == [500, 470, 440, 410] * 3
    for part in (lines[:12], lines[24:28], lines[28:32], lines[32:]):
        assert sum(line["real"] for line in part) == len(part) // 2, "half of each block"

    assert cli.main(["evaluate", model, "--judged", str(log), "--write"]) == 0
    out = capsys.readouterr().out
    assert "hype_infinity12/generated" in out and "hype_time12" in out and "95 % of means of people" in out
    results = {row["key"]: row for row in json.loads((Path(model) / "results.json").read_text())}
    assert results["hype_infinity12"]["value"] == 0.25 and results["hype_infinity12"]["network"] == "people"
    card = (Path(model) / "README.md").read_text()
    low, high = results["hype_infinity12"]["details"]["interval"]
    assert f"| `hype_infinity12` | 0.25 ({low:.4g} to {high:.4g}) |" in card
    assert cli.main(["verify", model]) == 0
    assert cli.main(["evaluate", "dcgan-digits", "--judged", str(log)]) == 2
    assert "none of its 36 answers is of this model's generator" in capsys.readouterr().err


def test_nothing_that_is_sent_tells_what_is_real(model: str, tmp_path: Path) -> None:
    page = TestClient(Guard(application(Judging("digits", [model], tmp_path / "log", pictures=6))), HERE)
    sent = page.post("/begin", json={"mode": "time"})
    asked = sent.json()
    assert asked.keys() == {"session", "number", "of", "picture", "mode", "exposure", "masks", "mask", "countdown"}
    assert len(asked["masks"]) == 4 and (asked["exposure"], asked["mask"], asked["countdown"]) == (500, 30, True)
    assert "default-src 'self'" in sent.headers["content-security-policy"]
    assert not opened(asked["picture"]).info, "no metadata"


def test_pages_from_elsewhere_are_not_answered(model: str, tmp_path: Path) -> None:
    judging = Judging("digits", [model], tmp_path / "log", pictures=6)
    page, mode = TestClient(Guard(application(judging)), HERE), {"mode": "time"}
    assert page.post("/begin", json=mode, headers={"origin": HERE}).status_code == 200
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:7860"}):
        assert page.post("/begin", json=mode, headers=headers).status_code == 403
    for host in ("evil.example:7860", "127.0.0.1.evil.example"):
        assert page.get("/", headers={"host": host}).status_code == 400
        assert page.post("/begin", json=mode, headers={"host": host, "origin": f"http://{host}"}).status_code == 400


def test_there_is_a_limit_on_sessions(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judging = Judging("digits", [model], tmp_path / "log", pictures=6)
    monkeypatch.setattr("ganzoo.app.judge._LIVE", 2)
    drawn, refused = judging._drawn, list[None]()

    def meanwhile(*given: Any) -> Any:  # another visitor comes while the pictures are made
        if not refused:
            refused.append(None)
            judging.begin("infinity")
            with pytest.raises(BadArgument, match="2 people judge at the moment"):
                judging.begin("infinity")
        return drawn(*given)

    monkeypatch.setattr(judging, "_drawn", meanwhile)
    judging.begin("infinity")
    assert len(judging._sessions) == 2 and not judging._drawing


def test_visitors_and_models_take_turns(model: str, tmp_path: Path) -> None:
    judging = Judging("digits", [model, "dcgan-digits"], tmp_path / "log", pictures=6)
    one, other = judging.begin("infinity"), judging.begin("infinity")
    assert one["session"] != other["session"]
    for _ in range(6):
        for each in (one, other):
            answered = judging.answer(each["session"], each["number"], True, None, 1)
            each.clear()
            each.update(answered)
    assert {one["model"], other["model"]} == {model, "dcgan-digits"}, "each was judged once"


def test_requests_are_held_against_what_they_may_be(model: str, tmp_path: Path) -> None:
    judging = Judging("digits", [model], tmp_path / "log", pictures=6)
    page = TestClient(application(judging))
    asked = judging.begin("time")
    good = {"session": asked["session"], "number": 0, "said": True, "shown": 500, "took": 10}
    for path, body, text in (
        ("/begin", {"mode": "quick"}, "time or infinity is expected"),
        ("/begin", {"mode": ["time"]}, "time or infinity is expected"),
        ("/begin", [], "a table of JSON"),
        ("/answer", {}, "no such session"),
        ("/answer", {**good, "session": "x"}, "no such session"),
        ("/answer", {**good, "session": ["x"]}, "no such session"),
        ("/answer", {**good, "number": 1}, "picture 0 is to be"),
        ("/answer", {**good, "said": "yes"}, "with true or false"),
        ("/answer", {**good, "shown": None}, "milliseconds are expected"),
        ("/answer", {**good, "took": -1}, "milliseconds are expected"),
        ("/answer", {**good, "session": "x" * 5000}, "up to 4096 bytes"),
    ):
        sent = page.post(path, json=body)
        assert sent.status_code == 400 and text in sent.json()["error"] and "\n" not in sent.json()["error"], body
    assert page.post("/begin", content=b"{").json()["error"] == "a request is JSON"
    assert page.get("/begin").status_code == 405 and page.get("/nothing").status_code == 404
    assert not (tmp_path / "log").exists(), "nothing of it was kept"
    assert page.post("/answer", json=good).json()["number"] == 1
    assert "picture 1 is to be" in page.post("/answer", json=good).json()["error"], "no answer counts twice"
    for _ in range(31):
        judging.begin("infinity")
    with pytest.raises(BadArgument, match="32 people judge"):
        judging.begin("infinity")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--judge", "digits"], "no model to judge"),
        (["--judge", "digitz", "dcgan-digits"], "no data source 'digitz'"),
        (["--judge", "digits", "dcgan-digitz"], "did you mean dcgan-digits"),
        (["--judge", "digits", "gan-ring"], "draws no pictures of its own"),
        (["--judge", "digits", "cyclegan-emoji"], "draws no pictures of its own"),
        (["--judge", "digits", "dcgan-fashion-mnist"], "samples of shape (1, 8, 8)"),
        (["--judge", "EMPTY", "dcgan-digits"], "holds no"),
        (["--judge", "FEW", "dcgan-digits"], "needs 225 real ones"),
        (["--judge", "digits", "dcgan-digits", "--pictures", "10"], "10 pictures a session; 6, 12"),
        (["--judge", "digits", "dcgan-digits", "--judged", "EMPTY"], "is a folder"),
        (["--judge", "digits", "dcgan-digits", "--space", "space"], "leave --space out"),
        (["--judged", "x.jsonl"], "--judged belongs to --judge"),
        (["--pictures", "12"], "--pictures belongs to --judge; name the real pictures with it"),
    ],
)
def test_wrong_usage_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FEW").mkdir()
    for i in range(3):
        Image.effect_noise((8, 8), 90).save(tmp_path / "FEW" / f"{i}.png")
    words = [str(tmp_path / word) if word in ("EMPTY", "FEW") else word for word in words]
    assert cli.main(["explore", "--port", "7999", *words]) == (1 if says == "holds no" else 2)
    error = capsys.readouterr().err
    assert says in error and error.strip().count("\n") == 0, error


def test_a_mask_has_a_pictures_spectrum_and_none_of_its_shapes() -> None:
    values = np.full((64, 64), 110, np.uint8)  # far from black and white, so that nothing is cut off there
    values[24:40, 16:48] = 130
    mixed = np.asarray(scrambled(Image.fromarray(values), np.random.RandomState(0)), np.float64)
    wanted, found = (np.abs(np.fft.fft2(each)) for each in (values, mixed))
    assert np.linalg.norm(wanted - found) < 0.01 * np.linalg.norm(wanted)
    assert abs(np.corrcoef(mixed.ravel(), values.ravel())[0, 1]) < 0.5
    colored = scrambled(Image.effect_noise((32, 32), 80).convert("RGB"), np.random.RandomState(0))
    assert colored.mode == "RGB" and colored.size == (32, 32)
    assert hype.MASKS * hype.MASK == 120
