"""Debian's Chromium without a window, and the log of what its pages ask for.

Needs `apt-get install --no-install-recommends chromium chromium-driver` and selenium; tests are skipped without.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import ganzoo


@contextmanager
def chromium() -> Iterator[Any]:
    webdriver: Any = pytest.importorskip("selenium.webdriver")
    if shutil.which("chromedriver") is None:
        pytest.skip("chromium-driver is not installed")
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1000"):
        options.add_argument(word)
    # Chromium's own calls home are not the page's
    for word in ("--disable-background-networking", "--disable-component-update", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def explored(log: Path, *words: str) -> Iterator[str]:
    """`ganzoo explore` with these words, in a process of its own: the page's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, env = f"http://127.0.0.1:{port}/", {**os.environ, "PYTHONPATH": str(Path(ganzoo.__file__).parents[1])}
    with log.open("w") as file:
        command = [sys.executable, "-m", "ganzoo", "explore", *words, "--port", str(port)]
        server = subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT)

        def answers() -> bool:
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(address, timeout=5).close()
            except OSError:
                return False
            return True

        try:
            wait(answers, "the page", 600)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def wait(condition: Any, what: str, seconds: float = 120) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {seconds} s")


def requested(browser: Any) -> list[str]:
    """What the pages asked for since the log was read last."""
    events = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def outside(urls: list[str]) -> list[str]:
    """Those that leave the machine."""
    split = [(url, urlsplit(url)) for url in urls]
    return [u for u, s in split if s.scheme in ("http", "https", "ws", "wss") and s.hostname != "127.0.0.1"]
