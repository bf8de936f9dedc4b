"""Writes the wheels of ``otel-tokenomics-collector``: the wide distribution, one static binary for each platform.

Usage: ``build_wheels.py GO OUT [PLATFORM ...]`` with platforms as Go names them (``linux/amd64``), ``host`` for the one
that it runs on; all that there are, if none is named. The sources must be there: ``make collector-wide``.

The binary lies in the wheel's scripts, so that installing puts it on the path as it is: no Python starts before it. The
same sources and toolchain give the same bytes (members dated by SOURCE_DATE_EPOCH, or 1980).
"""

from __future__ import annotations

import base64
import hashlib
import os
import runpy
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Final

import licences

DISTRIBUTION: Final = Path(__file__).resolve().parents[1]
ROOT: Final = DISTRIBUTION.parents[1]
SOURCES: Final = DISTRIBUTION / "build-wide"
NAME: Final = "otel_tokenomics_collector"
LIMIT: Final = 100_000_000  # bytes that the package index takes in one file
#: GOOS/GOARCH -> platform tags. A static binary asks for no C library, so both families of Linux take it; the Go
#: toolchain asks for macOS 12.
PLATFORMS: Final = {
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_2_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_2_aarch64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "darwin/arm64": "macosx_12_0_arm64",
    "windows/amd64": "win_amd64",
}


def version() -> str:
    """Return the version of the project: one for all that it ships."""
    return runpy.run_path(str(ROOT / "otel_tokenomics" / "version.py"))["__version__"]


def compiled(go: str, platform: str) -> Path:
    """Compile the generated sources for a platform."""
    system, machine = platform.split("/")
    binary = SOURCES / "cross" / f"{system}-{machine}" / ("otelcol-tokenomics" + ".exe" * (system == "windows"))
    environment = {**os.environ, "CGO_ENABLED": "0", "GOOS": system, "GOARCH": machine, "GOFLAGS": "-buildvcs=false"}
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(binary), "."]
    subprocess.run(command, cwd=SOURCES, env=environment, check=True)
    return binary


def metadata(kinds: frozenset[str], licence_files: list[str]) -> str:
    """Return the wheel's METADATA."""
    fields = [
        "Metadata-Version: 2.4",
        "Name: otel-tokenomics-collector",
        f"Version: {version()}",
        "Summary: The OpenTelemetry Collector that prices model calls and tells each trace what it cost, as a program.",
        "License-Expression: " + " AND ".join(sorted({"Apache-2.0", *kinds})),
        *(f"License-File: {name}" for name in licence_files),
        "Keywords: opentelemetry,llm,cost,finops,collector",
        "Classifier: Development Status :: 3 - Alpha",
        "Classifier: Topic :: System :: Monitoring",
        "Description-Content-Type: text/markdown",
    ]
    return "\n".join(fields) + "\n\n" + (Path(__file__).parent / "wheel.md").read_text()


def write(go: str, binary: Path, tags: str, out: Path) -> Path:
    """Write the wheel of a binary."""
    found = licences.collect(go, binary)
    info, data = f"{NAME}-{version()}.dist-info", f"{NAME}-{version()}.data"
    licence_texts = {
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "NOTICE": (ROOT / "NOTICE").read_bytes(),
        "THIRD_PARTY_LICENSES": found.text.encode(),
    }
    configs = [*DISTRIBUTION.glob("config*.yaml"), *DISTRIBUTION.glob("fragments/*.yaml")]
    members = {
        f"{data}/scripts/{binary.name}": binary.read_bytes(),
        **{
            f"{data}/data/share/otelcol-tokenomics/{config.relative_to(DISTRIBUTION)}": config.read_bytes()
            for config in configs
            if config.name != "config.demo.yaml"
        },
        **{f"{info}/licenses/{name}": text for name, text in licence_texts.items()},
        f"{info}/METADATA": metadata(found.kinds, list(licence_texts)).encode(),
        f"{info}/WHEEL": "\n".join(
            ["Wheel-Version: 1.0", "Generator: otel-tokenomics", "Root-Is-Purelib: false"]
            + [f"Tag: py3-none-{tag}" for tag in tags.split(".")]
            + [""]
        ).encode(),
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}"
        for name, body in sorted(members.items())
    ]
    dated = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    path = out / f"{NAME}-{version()}-py3-none-{tags}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as wheel:
        ends = (f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]).encode())
        for name, body in [*sorted(members.items()), ends]:
            member = zipfile.ZipInfo(name, dated)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            wheel.writestr(member, body)
    if path.stat().st_size > LIMIT:
        sys.exit(f"build_wheels.py: {path.name} has {path.stat().st_size:,} bytes, the package index takes {LIMIT:,}")
    return path


def main(go: str, out: str, *platforms: str) -> None:
    """Compile and write."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    host = subprocess.run([go, "env", "GOHOSTOS", "GOHOSTARCH"], capture_output=True, text=True, check=True).stdout
    for platform in platforms or PLATFORMS:
        named = "/".join(host.split()) if platform == "host" else platform
        print(f"==> {named}", flush=True)
        path = write(go, compiled(go, named), PLATFORMS[named], folder)
        print(f"    {path} ({path.stat().st_size / 1e6:.1f} MB)", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
