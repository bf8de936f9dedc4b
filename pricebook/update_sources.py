"""Take the pinned sources anew from their wheels and write the committed extracts.

The only step of the price book that needs the network: wheels come through pip, are checked against
``sources.lock``, and leave nothing behind but ``sources/*.json``.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import Any, Final

import normalise_litellm
import yaml

HERE: Final = Path(__file__).resolve().parent
PRICE_MAP: Final = "litellm/model_prices_and_context_window_backup.json"


def wheel(source: dict[str, Any], folder: Path) -> Path:
    """Download one pinned wheel; raise SystemExit where its digest is not the locked one."""
    requirement = f"{source['name']}=={source['version']}"
    platform = ["--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *platform, "-d", str(folder), requirement],
        check=True,
    )
    (path,) = folder.glob(f"{source['name'].replace('-', '_')}-{source['version']}-*.whl")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != source["wheel_sha256"]:
        raise SystemExit(f"pricebook/sources.lock: {requirement}: wheel_sha256 is {digest}, not the locked one")
    return path


def genai_prices(path: Path, folder: Path) -> str:
    """Return the extract of genai-prices, read in an environment of its own."""
    venv.create(folder / "environment", with_pip=True)
    python = folder / "environment" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", str(path)], check=True)
    script = str(HERE / "normalise_genai_prices.py")
    return subprocess.run([str(python), script], check=True, capture_output=True, text=True).stdout


def litellm(path: Path) -> normalise_litellm.Extract:
    """Return the extract of litellm's price map, read out of the wheel."""
    with zipfile.ZipFile(path) as archive:
        return normalise_litellm.normalise(archive.read(PRICE_MAP).decode("utf-8"))


def litellm_files(newest: Path, older: Path) -> dict[str, str]:
    """Return litellm's extract, what it leaves out by reason, and what only an older release has, by file name."""
    extract = litellm(newest)
    entries = extract.finish()
    dropped = [entry for entry in litellm(older).finish() if (entry["provider"], entry["id"]) not in extract.named]
    return {
        "litellm": _lines(entries),
        "litellm-left-out": json.dumps(extract.left_out, sort_keys=True, indent=1) + "\n",
        "litellm-dropped": _lines(dropped),
    }


def _lines(entries: list[dict[str, Any]]) -> str:
    lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries)
    return f"[\n{lines}\n]\n"


def main() -> int:
    """Write both extracts; return the exit code."""
    locked = {source["id"]: source for source in yaml.safe_load((HERE / "sources.lock").read_text(encoding="utf-8"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extracts = {
            "genai-prices": genai_prices(wheel(locked["g"], folder), folder),
            **litellm_files(wheel(locked["l"], folder), wheel(locked["o"], folder)),
        }
    for source, text in extracts.items():
        (HERE / "sources" / f"{source}.json").write_text(text, encoding="utf-8")
        print(f"wrote pricebook/sources/{source}.json ({len(text.splitlines()) - 2} lines)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
