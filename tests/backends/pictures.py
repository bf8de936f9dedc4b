"""Pages as people see them, in Debian's Chromium; pictures of them where ``BACKENDS_PICTURES`` names a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, sync_playwright

WIDTH, HEIGHT = 1400, 900
#: Single-page applications take their time.
LOAD_MS: Final = 30_000
MAX_BYTES: Final = 200_000


@contextmanager
def page(width: int = WIDTH, height: int = HEIGHT) -> Generator[Page]:
    """Yield an empty page of a browser of its own; skip where there is no Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: make backends")
    with sync_playwright() as driver:
        # root may run Chromium without its sandbox only
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        try:
            made = browser.new_page(viewport={"width": width, "height": height})
            made.set_default_timeout(LOAD_MS)
            yield made
        finally:
            browser.close()


def picture(shown: Page, name: str) -> None:
    """Keep what is shown as ``<name>.png``, if pictures are wanted; ``make pictures`` wants them in docs/backends."""
    content = shown.screenshot()
    assert len(content) <= MAX_BYTES, f"{name}: {len(content)} bytes are too many for a page of the documentation"
    folder = os.environ.get("BACKENDS_PICTURES")
    if folder:
        (Path(folder) / f"{name}.png").write_bytes(content)
