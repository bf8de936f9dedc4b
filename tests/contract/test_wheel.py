"""What is installed works without the source tree: the wheel is built, unpacked and used alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USE = """
import sys
sys.path.insert(0, sys.argv[1])
import otel_tokenomics
assert otel_tokenomics.__file__.startswith(sys.argv[1]), otel_tokenomics.__file__
from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.usage import Usage
cost = price(load_embedded(), "openai", "text-embedding-3-small", Usage({"input": 1_000_000}), {}, 1_790_000_000_000)
print(cost.status, cost.total)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_prices_without_the_source(unpacked: Path, tmp_path: Path) -> None:
    # text-embedding-3-small costs $0.02 per million tokens: https://openai.com/api/pricing
    done = subprocess.run(
        [sys.executable, "-c", USE, str(unpacked)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["priced", "20000000000"], done.stderr


def test_the_wheel_holds_no_test_and_no_source_of_prices(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"otel_tokenomics"}
    assert (unpacked / "otel_tokenomics" / "py.typed").exists()


def test_it_registers_prefixed_entry_points_only(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info")
    text = (metadata / "entry_points.txt").read_text(encoding="utf-8")
    names = {line.split("=")[0].strip() for line in text.splitlines() if "=" in line}
    names.remove("otel-tokenomics")
    assert {"tokenomics", "tokenomics_openai", "tokenomics_otlp"} < names
    assert all(name == "tokenomics" or name.startswith("tokenomics_") for name in names)
    for forbidden in ("opentelemetry_distro", "opentelemetry_configurator", "opentelemetry_pre_instrument"):
        assert forbidden not in text
