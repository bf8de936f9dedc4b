"""The pages: each configuration is valid, pictures are small, the index knows all of them, no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from distribution import BINARY, PAGES, pasted
from pictures import MAX_BYTES

#: What no build that the tests can make holds: its page says so.
NOT_BUILT: Final = {"clickhouse": 'unknown type: "clickhouse"'}
WITH_PIPELINES: Final = [p.stem for p in sorted(PAGES.glob("*.md")) if "\n  pipelines:" in p.read_text("utf-8")]


@pytest.mark.parametrize("page", WITH_PIPELINES)
def test_the_configuration_to_paste_is_valid(page: str, tmp_path: Path) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block
    assert "tokenomics_rollup" in pasted(page)["processors"]
    path = tmp_path / "config.yaml"
    path.write_text(block[1], encoding="utf-8")
    command = [str(BINARY), "validate", f"--config={path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if page in NOT_BUILT:
        assert NOT_BUILT[page] in done.stderr
        assert "not run" in text.lower()
    else:
        assert (done.returncode, done.stderr) == (0, "")


def test_the_index_knows_every_page_and_every_link_leads_somewhere() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    for path in PAGES.glob("*.md"):
        assert path.name == "README.md" or f"({path.name})" in index, path.name
        for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            assert link.startswith("http") or (PAGES / link).exists(), f"{path.name}: {link}"


def test_pictures_are_small_and_shown() -> None:
    pictures = list(PAGES.glob("*.png"))
    assert pictures
    for path in pictures:
        assert path.stat().st_size <= MAX_BYTES, path.name
        assert f"({path.name})" in "".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")), path.name
