"""The page of `ganzoo export --web` in Debian's Chromium: a seed's picture is the model's, and no request leaves."""

from __future__ import annotations

import base64
import io
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import chromium, outside, requested, wait
from PIL import Image

import ganzoo
from ganzoo.zoo.exporting import export_page

pytestmark = [pytest.mark.nightly]


@pytest.mark.parametrize(
    ("name", "options"),
    [("stylegan2-fashion-mnist", {"noise": "const"}), ("dcgan-digits", {}), ("infogan-fashion-mnist", {})],
)
def test_a_seeds_picture_in_the_browser_is_the_models(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model: Any = ganzoo.load(name)
    export_page(model, tmp_path / "page", print)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "page")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with chromium() as browser:
            browser.get(f"http://127.0.0.1:{server.server_port}/")
            for seed in (0, 7, 4_000_000_000):
                box = browser.find_element("id", "seed")
                box.clear()
                box.send_keys(str(seed))
                wait(lambda: browser.find_element("id", "state").text not in ("loading", "drawing"), "the network")
                assert "ms" in (said := browser.find_element("id", "state").text), said
                browser.find_element("id", "draw").click()
                wait(lambda seed=seed: f"seed {seed}, " in browser.find_element("id", "state").text, f"seed {seed}")
                data = browser.execute_script("return document.getElementById('picture').toDataURL('image/png')")
                with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as picture:
                    drawn = np.asarray(picture.convert("RGB"), np.int16)
                wanted = ganzoo.to_pil(model.sample(1, seed=seed, **options))[0].convert("RGB")
                assert np.abs(drawn - np.asarray(wanted, np.int16)).max() <= 1
            data = browser.execute_async_script(
                "const done = arguments[0], reader = new FileReader(); reader.onload = () => done(reader.result);"
                "document.getElementById('picture').toBlob(async (blob) => reader.readAsDataURL("
                "marked(new Uint8Array(await blob.arrayBuffer()), facts.xmp.replace('@seed@', shown))));"
            )
            with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as picture:
                picture.load()  # its sums are held against what is in it
                told = str(picture.info["xmp"])
            assert name in told and "Seed 4000000000." in told and "/trainedAlgorithmicMedia" in told
            urls = requested(browser)
            assert len(urls) > 5 and not outside(urls), outside(urls)
    finally:
        server.shutdown()
        server.server_close()
