"""The page in Debian's Chromium: every tab answers, and no request leaves the machine (its log is read).

GANZOO_SCREENSHOTS names a folder for a picture of each tab.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, explored, outside, requested, wait

import ganzoo

pytestmark = [pytest.mark.nightly]

TABS = {
    "Samples": "draw",
    "Another one": "next",
    "Directions": "move",
    "Mixing": "mix",
    "Walk": "walk",
    "Project": "project",
    "Paint": "paint",
    "Translate": "translate",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with explored(tmp_path_factory.mktemp("server") / "log", "stylegan2-fashion-mnist") as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


def test_every_tab_answers_and_no_request_leaves_the_machine(address: str, browser: Any, tmp_path: Path) -> None:
    shots = Path(os.environ.get("GANZOO_SCREENSHOTS", tmp_path))
    urls: list[str] = []
    browser.get(address)
    wait(lambda: browser.find_elements("id", "draw"), "the page")
    ganzoo.to_pil(ganzoo.load("dcgan-fashion-mnist").sample(1, seed=5))[0].save(tmp_path / "photo.png")
    for tab, button in TABS.items():
        wait(
            lambda tab=tab: [
                each.click() or True
                for each in browser.find_elements("css selector", "button[role=tab]")
                if each.text == tab and each.is_displayed()
            ],
            tab,
        )
        if tab == "Translate":
            choose(browser, "cyclegan-emoji")
            browser.find_element("css selector", "#file input[type=file]").send_keys(str(tmp_path / "photo.png"))
            wait(lambda: "photo" in browser.find_element("id", "file").text, "the upload")
        if tab == "Project":
            browser.find_element("css selector", "#photo input[type=file]").send_keys(str(tmp_path / "photo.png"))
            wait(lambda: "photo" in browser.find_element("id", "photo").text, "the upload")
        if tab == "Paint":
            stroke(browser)
        wait(lambda button=button: browser.find_element("id", button).is_displayed(), button)
        browser.find_element("id", button).click()
        css = f"#{dict(draw='sample', next='another').get(button, button)}-picture img"
        wait(
            lambda css=css: [
                e for e in browser.find_elements("css selector", css) if int(e.get_property("naturalWidth") or 0) > 8
            ],
            f"the picture of {tab}",
        )
        browser.set_window_size(1100, 150 + browser.execute_script("return document.body.scrollHeight"))
        time.sleep(1)
        browser.save_screenshot(str(shots / f"{tab.lower().replace(' ', '-')}.png"))
        browser.set_window_size(1100, 1000)
        urls += requested(browser)
    assert len(urls) > 20 and not outside(urls), outside(urls)


def stroke(browser: Any) -> None:
    """Draws across the picture that is laid out."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = wait(
        lambda: [each for each in browser.find_elements("css selector", "#canvas canvas") if each.size["height"] > 300],
        "the picture to paint on",
    )[0]
    time.sleep(3)  # it is drawn by WebGL, of which the page says nothing
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    chain = ActionChains(browser).move_to_element_with_offset(canvas, -60, -40).click_and_hold()
    for _ in range(6):
        chain.move_by_offset(20, 8)
    chain.release().perform()
    time.sleep(1)


def choose(browser: Any, model: str) -> None:
    """Chooses a model from the list."""
    from selenium.webdriver.common.keys import Keys

    box = browser.find_element("css selector", "#model input")
    box.click()
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(model)
    box.send_keys(Keys.ENTER)
    wait(lambda: box.get_property("value") == model, model)


def test_what_is_wrong_is_said_on_the_page(address: str, browser: Any) -> None:
    browser.get(address)
    wait(lambda: browser.find_elements("id", "draw"), "the page")
    choose(browser, "dcgan-digits")
    for each in browser.find_elements("css selector", "button[role=tab]"):
        if each.text == "Mixing":
            each.click()
    wait(lambda: browser.find_element("id", "mix").is_displayed(), "the tab")
    browser.find_element("id", "mix").click()
    wait(lambda: "DCGAN has no styles to mix" in browser.find_element("tag name", "body").text, "the error")
