"""A headless Chromium for the tests of the report; `browser()` says why where there is none."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


def open_browser() -> Any:
    """A Selenium driver. Skips the test where selenium, Chromium or its driver is missing."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("there is no chromium with chromedriver (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


def axe_script() -> str:
    """The source of axe-core, from `AXE_CORE` or npm's global modules. Skips the test where there is none."""
    places = [Path(os.environ["AXE_CORE"])] if "AXE_CORE" in os.environ else []
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip()
        places.append(Path(root) / "axe-core/axe.min.js")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("there is no axe-core (npm install -g axe-core, or AXE_CORE=…/axe.min.js)")
    return found.read_text(encoding="utf-8")
