"""What the collector ships as: wheels, a Debian package, an image, values for Helm, and the licences inside."""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Final
from unittest.mock import ANY

import pytest
import yaml
from collector_run import DISTRIBUTION, ROOT, START_SECONDS, Backend, Json, binary, call, root, running, until

from otel_tokenomics.version import __version__

PACKAGING: Final = DISTRIBUTION / "packaging"
KUBERNETES: Final = ROOT / "examples" / "kubernetes"
WHEELS: Final = ROOT / "dist" / "wheels"
LIMIT: Final = 100_000_000
INSTALL_SECONDS: Final = 120.0
#: What the first bytes of a program say it runs on, by a tag of its wheel.
MAGIC: Final = {
    "manylinux_2_17_x86_64": (b"\x7fELF", 18, b"\x3e\x00"),
    "musllinux_1_2_x86_64": (b"\x7fELF", 18, b"\x3e\x00"),
    "manylinux_2_17_aarch64": (b"\x7fELF", 18, b"\xb7\x00"),
    "musllinux_1_2_aarch64": (b"\x7fELF", 18, b"\xb7\x00"),
    "macosx_12_0_x86_64": (b"\xcf\xfa\xed\xfe", 4, b"\x07\x00\x00\x01"),
    "macosx_12_0_arm64": (b"\xcf\xfa\xed\xfe", 4, b"\x0c\x00\x00\x01"),
    "win_amd64": (b"MZ", 0, b"MZ"),
}


def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", PACKAGING / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """A go command that tells of a binary with two modules and ours, and of a cache that a test may fill."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "VERSION").write_text("go1.99.1\n")
    (tmp_path / "root" / "LICENSE").write_text(
        "Permission is hereby granted, free of charge, to any person obtaining a\ncopy"
    )
    (tmp_path / "cache" / "example.test" / "!shout@v1.2.3").mkdir(parents=True)
    (tmp_path / "cache" / "example.test" / "fork@v2.0.0").mkdir()
    said = (
        "dep\texample.test/Shout\tv1.2.3\th1:x\n"
        "dep\texample.test/original\tv1.0.0\n=>\texample.test/fork\tv2.0.0\th1:y\n"
        "dep\tgithub.com/otel-tokenomics/otel-tokenomics/collector\tv0.0.0\n=>\t../..\t(devel)\n"
    )
    command = tmp_path / "go"
    command.write_text(
        f"#!/bin/sh\ncase $1.$2 in env.GOROOT) echo {tmp_path}/root;; env.GOMODCACHE) echo {tmp_path}/cache;; "
        f"version.*) cat <<'END'\n{said}END\n;; esac\n"
    )
    command.chmod(0o755)
    return command


APACHE: Final = "   Apache License\n   Version 2.0, January 2004\n"


def test_licences_of_every_module_are_collected(go: Path) -> None:
    cache = go.parent / "cache" / "example.test"
    (cache / "!shout@v1.2.3" / "LICENSE.md").write_text(APACHE)
    (cache / "!shout@v1.2.3" / "NOTICE").write_text("Copyright of those who shout")
    (cache / "!shout@v1.2.3" / "license.go").write_text("package shout")
    (cache / "fork@v2.0.0" / "COPYING").write_text(APACHE)
    found = licences().collect(str(go), go.parent / "binary")
    assert found.kinds == {"Apache-2.0", "MIT"}
    assert "example.test/Shout v1.2.3 (Apache-2.0): NOTICE" in found.text
    assert "Copyright of those who shout" in found.text
    assert "Go 1.99.1 (standard library) (MIT): LICENSE" in found.text
    assert "package shout" not in found.text
    assert found.text.count("January 2004") == 1, "equal texts stand once"
    assert "otel-tokenomics/collector v0" not in found.text


@pytest.mark.parametrize("text", ["", "GNU GENERAL PUBLIC LICENSE Version 3", "All rights reserved."])
def test_a_module_without_a_licence_that_is_known_stops_the_build_by_name(go: Path, text: str) -> None:
    cache = go.parent / "cache" / "example.test"
    (cache / "!shout@v1.2.3" / "LICENSE").write_text(APACHE)
    (cache / "fork@v2.0.0" / "NOTICE").write_text(APACHE)  # a notice is no licence
    if text:
        (cache / "fork@v2.0.0" / "LICENSE").write_text(text)
    with pytest.raises(SystemExit, match=r"example\.test/fork v2\.0\.0") as stopped:
        licences().collect(str(go), go.parent / "binary")
    assert "Shout" not in str(stopped.value)


def instructions(text: str) -> list[tuple[str, list[str]]]:
    """Return (instruction, words) of a Dockerfile."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [(words[0], words[1:]) for line in joined.splitlines() if (words := shlex.split(line))]


DOCKERFILE: Final = instructions((DISTRIBUTION / "Dockerfile").read_text())


def last_stage() -> list[tuple[str, list[str]]]:
    starts = [at for at, (name, _) in enumerate(DOCKERFILE) if name == "FROM"]
    return DOCKERFILE[starts[-1] :]


def one(name: str) -> list[str]:
    ((_, words),) = [entry for entry in last_stage() if entry[0] == name]
    return words


def test_the_image_is_pinned_unprivileged_and_of_files_that_exist() -> None:
    for name, words in DOCKERFILE:
        if name == "FROM" and words != ["scratch"]:
            image = next(word for word in words if not word.startswith("--"))
            assert re.search(r":\d+\.\d+\.\d+", image), f"{image} is not one version"
            assert "latest" not in image
        if name == "COPY" and not words[0].startswith("--from"):
            for source in words[:-1]:
                assert list(ROOT.glob(source)), source
    assert last_stage()[0] == ("FROM", ["scratch"])
    assert one("USER") == ["10001:10001"]
    ignored = (DISTRIBUTION / "Dockerfile.dockerignore").read_text().splitlines()
    assert "collector/distribution/config.demo.yaml" in ignored
    sources = [w for name, words in DOCKERFILE if name == "COPY" and "--from" not in words[0] for w in words[:-1]]
    assert {source.split("/")[0] for source in sources} == {line[1:] for line in ignored if line.startswith("!")}


def test_the_image_listens_where_a_container_can_be_reached() -> None:
    environment = dict(pair.split("=", 1) for pair in one("ENV"))
    (option,) = yaml.safe_load("".join(one("CMD")).replace("[", "['").replace("]", "']"))
    config = option.removeprefix("--config=")
    ((_, (source, _)),) = [e for e in last_stage() if e[0] == "COPY" and e[1][-1] == config]
    text = (ROOT / source).read_text()
    for name, value in environment.items():
        text = re.sub(rf"\$\{{env:{name}:-[^}}]*\}}", value, text)
    listens = re.findall(r'(?:endpoint: "|host: ")([\d.]+)(?::(\d+)"|", port: (\d+))', text)
    assert {address for address, *_ in listens} == {"0.0.0.0"}
    assert {port or other for _, port, other in listens} == set(one("EXPOSE"))


def files_of_the_image(folder: Path) -> None:
    """Lay out what the last stage copies, as the build would."""
    made = {"/out/otelcol-tokenomics": Path(binary("wide")), "/out/THIRD_PARTY_LICENSES": ROOT / "LICENSE"}
    for name, words in last_stage():
        if name != "COPY":
            continue
        from_build = words[0].startswith("--from")
        *sources, target = [word for word in words if not word.startswith("--")]
        if sources == ["/out/state"]:
            (folder / target.lstrip("/")).mkdir(parents=True)
            os.chown(folder / target.lstrip("/"), *map(int, one("USER")[0].split(":")))
            continue
        found = [made.get(source, Path(source)) for source in sources]
        if not from_build:
            found = [path for source in sources for path in ROOT.glob(source) if path.name != "config.demo.yaml"]
        for path in found:
            to = folder / target.lstrip("/") / (path.name if target.endswith("/") else "")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)


@pytest.mark.distributions
def test_what_is_in_the_image_runs_there_with_nothing_else(tmp_path: Path) -> None:
    """No daemon: the last stage's files in a folder of their own, as its root, as its user."""
    mounts = ["unshare", "--mount", "true"]
    if os.geteuid() != 0 or not shutil.which(mounts[0]) or subprocess.run(mounts, check=False).returncode != 0:
        pytest.skip("needs root that may mount, for chroot")
    files_of_the_image(tmp_path)
    tmp_path.chmod(0o755)  # the root of an image is everybody's
    environment = dict(pair.split("=", 1) for pair in one("ENV"))
    configs = [f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("config*.yaml")]
    assert len(configs) == len(list(DISTRIBUTION.glob("config*.yaml"))) - 1
    (tmp_path / "proc").mkdir()  # a container has it; here in a mount namespace that ends with the command
    script = 'mount --rbind /proc "$0/proc" && exec chroot "--userspec=$1" "$0" /otelcol-tokenomics validate "$2"'
    for config in configs:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, str(tmp_path), one("USER")[0], f"--config={config}"],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), config


def merged(*names: str) -> Json:
    """Return values as Helm merges files of them."""

    def over(below: Json, above: Json) -> Json:
        both = {key: over(below[key], above[key]) for key in below.keys() & above if isinstance(above[key], dict)}
        return {**below, **above, **both}

    result: Json = {}
    for name in names:
        result = over(result, yaml.safe_load((KUBERNETES / name).read_text()))
    return result


RELEASES: Final = ["values.single.yaml", "values.tier1.yaml", "values.tier2.yaml"]


@pytest.mark.parametrize("release", RELEASES)
def test_values_for_helm_fit_the_image_and_each_other(release: str) -> None:
    values = merged("values.yaml", release)
    assert f"/{values['command']['name']}" == "".join(one("ENTRYPOINT")).strip("[]")
    assert values["image"]["tag"] == __version__
    user = f"{values['securityContext']['runAsUser']}:{values['securityContext']['runAsGroup']}"
    assert user == one("USER")[0]
    config = values["alternateConfig"]
    port = values["livenessProbe"]["httpGet"]["port"]
    assert config["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["port"] == port
    for pipeline in config["service"]["pipelines"].values():
        if "processors" in pipeline and pipeline["receivers"] == ["otlp"]:
            assert pipeline["processors"][0] == "memory_limiter"
    if release == "values.tier1.yaml":
        # The root is read-only: what waits on disk lies in a volume, where the image has a place for it.
        kept = Path(config["extensions"]["file_storage"]["directory"])
        assert str(kept.parent) in {mount["mountPath"] for mount in values["extraVolumeMounts"]}
        assert f"STATE_DIRECTORY={kept.parent}" in one("ENV")
        shipped = yaml.safe_load((DISTRIBUTION / "config.tier1.yaml").read_text())["exporters"]["load_balancing"]
        assert config["exporters"]["load_balancing"] == {**shipped, "resolver": ANY}
        resolver = config["exporters"]["load_balancing"]["resolver"]
        second = merged("values.yaml", "values.tier2.yaml")
        assert resolver["dns"]["hostname"] == second["fullnameOverride"]
        assert second["service"]["clusterIP"] == "None"


@pytest.mark.distributions
@pytest.mark.parametrize("release", RELEASES)
def test_configurations_within_values_for_helm_are_valid(tmp_path: Path, release: str) -> None:
    """With the ConfigMap's prices where the volume would be."""
    values = merged("values.yaml", release)
    text = yaml.safe_dump(values["alternateConfig"])
    for manifest in values.get("extraManifests", []):
        for name, content in manifest["data"].items():
            (tmp_path / name).write_text(content)
    for mount in values.get("extraVolumeMounts", []):
        assert mount["mountPath"] in text
        text = text.replace(mount["mountPath"], str(tmp_path))
    config = tmp_path / "relay.yaml"
    config.write_text(text)
    arguments = [binary("wide"), f"--config={config}"]
    checked = subprocess.run(
        [arguments[0], "validate", *arguments[1:]],
        env={"MY_POD_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def wheels() -> dict[str, Path]:
    """Return the built wheels by each of their platform tags."""
    found = {tag: path for path in WHEELS.glob("*.whl") for tag in path.stem.split("-")[-1].split(".")}
    assert found, "there are no wheels: run `make wheels`"
    return found


def program(wheel: zipfile.ZipFile) -> zipfile.ZipInfo:
    (found,) = [member for member in wheel.infolist() if ".data/scripts/" in member.filename]
    return found


@pytest.mark.distributions
@pytest.mark.parametrize("tag", MAGIC)
def test_wheel(tag: str) -> None:
    path = wheels()[tag]
    assert path.name.startswith(f"otel_tokenomics_collector-{__version__}-py3-none-")
    assert path.stat().st_size < LIMIT
    start, at, machine = MAGIC[tag]
    with zipfile.ZipFile(path) as wheel:
        member = program(wheel)
        assert member.external_attr >> 16 & 0o111 == 0o111, "it is no program"
        assert member.filename.endswith(".exe") == (tag == "win_amd64")
        with wheel.open(member) as body:
            head = body.read(64)
        assert head.startswith(start)
        assert head[at : at + len(machine)] == machine
        (record,) = [name for name in wheel.namelist() if name.endswith(".dist-info/RECORD")]
        rows = {row[0]: row[1:] for row in csv.reader(wheel.read(record).decode().splitlines())}
        assert rows.keys() == set(wheel.namelist())
        for name in rows.keys() - {record}:
            digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest()).rstrip(b"=").decode()
            assert rows[name][0] == f"sha256={digest}", name
        info = record.removesuffix("RECORD")
        metadata = wheel.read(info + "METADATA").decode()
        extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["collector"]
        assert f"Name: {extra[0]}" in metadata.splitlines()
        for name in re.findall(r"^License-File: (.+)$", metadata, re.MULTILINE):
            assert wheel.getinfo(f"{info}licenses/{name}").file_size > 0
        assert f"Tag: py3-none-{tag}" in wheel.read(info + "WHEEL").decode().splitlines()
        texts = wheel.read(info + "licenses/THIRD_PARTY_LICENSES").decode()
    # The manifest names what is certainly in.
    for module in re.findall(r"gomod: (\S+ v\S+)", (DISTRIBUTION / "builder-config.wide.yaml").read_text()):
        assert module.startswith("github.com/otel-tokenomics/") or f"\n{module} (" in texts, module


def host_tag() -> str:
    machine = {"x86_64": "x86_64", "aarch64": "aarch64"}.get(os.uname().machine)
    if sys.platform != "linux" or machine is None:
        pytest.skip(f"no wheel of {sys.platform} on {os.uname().machine} is installed here")
    return f"manylinux_2_17_{machine}"


@pytest.mark.distributions
def test_the_wheel_of_this_platform_installs_and_runs(tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    install = [place / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheels()[host_tag()])], check=True, timeout=INSTALL_SECONDS)
    installed = place / "bin" / "otelcol-tokenomics"
    said = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True, timeout=START_SECONDS)
    assert said.stdout.split() == ["otelcol-tokenomics", "version", __version__]
    share = place / "share" / "otelcol-tokenomics"
    assert {path.name for path in share.glob("*.yaml")} == {
        path.name for path in DISTRIBUTION.glob("config*.yaml") if path.name != "config.demo.yaml"
    }
    backend = Backend()
    try:
        config = share / "config.rollup.yaml"
        with running(str(installed), tmp_path / "run", [config], FORWARD_ENDPOINT=backend.endpoint) as collector:
            collector.send([call(1, 2, 100, 50, parent=1), root(1)])
            until(lambda: len(backend.spans()) == 2, "both spans are there")
    finally:
        backend.close()
    (total,) = [s["attributes"]["tokenomics.trace.cost.total"] for s in backend.spans() if "parentSpanId" not in s]
    assert total == pytest.approx(0.02, abs=1e-9)


@pytest.mark.distributions
def test_the_same_sources_give_the_same_wheel(tmp_path: Path) -> None:
    """Linked and packed once more, under another date of the clock, it is what `make wheels` made."""
    go = shutil.which("go")
    assert go, "there is no go command"
    subprocess.run(
        [sys.executable, str(PACKAGING / "build_wheels.py"), go, str(tmp_path), "host"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        check=True,
        timeout=10 * INSTALL_SECONDS,
        stdout=subprocess.DEVNULL,
    )
    (again,) = tmp_path.glob("*.whl")
    before = wheels()[host_tag()]
    assert again.name == before.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(before.read_bytes()).digest()


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the Debian package: its files, and its control files in DEBIAN. Nothing is installed."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is missing")
    packages = list((ROOT / "dist" / "deb").glob(f"otelcol-tokenomics_{__version__}_*.deb"))
    assert packages, "there is no Debian package: run `make deb`"
    folder = tmp_path_factory.mktemp("debian")
    subprocess.run(["dpkg-deb", "--raw-extract", packages[0], folder], check=True)
    return folder


@pytest.mark.distributions
def test_debian_package(debian: Path) -> None:
    control = (debian / "DEBIAN" / "control").read_text()
    assert f"\nVersion: {__version__}\n" in control
    assert "\nDepends: adduser, ca-certificates\n" in control
    conffiles = (debian / "DEBIAN" / "conffiles").read_text().split()
    assert conffiles == ["/etc/otelcol-tokenomics/config.yaml", "/etc/otelcol-tokenomics/environment"]
    assert (debian / "etc/otelcol-tokenomics/environment").stat().st_mode & 0o777 == 0o600
    installed = debian / "usr" / "bin" / "otelcol-tokenomics"
    for config in [debian / "etc/otelcol-tokenomics/config.yaml", *debian.glob("usr/share/otelcol-tokenomics/*.yaml")]:
        done = subprocess.run([installed, "validate", f"--config={config}"], timeout=START_SECONDS, check=False, env={})
        assert done.returncode == 0, config
    shared = {path.name for path in (debian / "usr/share/otelcol-tokenomics").glob("*.yaml")}
    assert shared == {p.name for p in DISTRIBUTION.glob("config.*.yaml")} - {"config.demo.yaml"}
    fragments = {path.name for path in (debian / "usr/share/otelcol-tokenomics/fragments").iterdir()}
    assert fragments == {path.name for path in DISTRIBUTION.glob("fragments/*.yaml")}
    texts = (debian / "usr/share/doc/otelcol-tokenomics/THIRD_PARTY_LICENSES").read_text()
    assert "go.opentelemetry.io/collector/otelcol v" in texts


@pytest.mark.distributions
def test_debian_unit(debian: Path, tmp_path: Path) -> None:
    path = debian / "usr/lib/systemd/system/otelcol-tokenomics.service"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    unit.read(path)
    service = unit["Service"]
    command, option = service["ExecStart"].split()
    assert (debian / command.lstrip("/")).is_file()
    assert option.removeprefix("--config=") in (debian / "DEBIAN" / "conffiles").read_text().split()
    assert service["User"] == service["Group"] == "otelcol-tokenomics"
    hardened = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "CapabilityBoundingSet": ""}
    assert {key: service[key] for key in hardened} == hardened
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    # What the unit leans on lies in a root of its own, so that nothing of this machine is asked.
    shutil.copytree(debian, tmp_path / "root", symlinks=True)
    for target in Path("/usr/lib/systemd/system").glob("*.target"):
        shutil.copy(target, tmp_path / "root/usr/lib/systemd/system", follow_symlinks=False)
    analyze = ["systemd-analyze", f"--root={tmp_path / 'root'}"]
    done = subprocess.run([*analyze, "verify", path.name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run(
        [*analyze, "security", "--offline=true", "--threshold=25", path.name], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()[-300:]


@pytest.mark.distributions
@pytest.mark.parametrize(
    ("script", "arguments", "user_is_there", "wanted"),
    [
        ("postinst", ["configure", ""], False, ["adduser --system --group"]),
        ("postinst", ["configure", ""], True, []),
        ("postinst", ["abort-upgrade", "0.1.0"], False, []),
        ("prerm", ["remove"], True, []),
        ("postrm", ["remove"], True, []),
    ],
)
def test_debian_scripts(
    debian: Path, tmp_path: Path, script: str, arguments: list[str], user_is_there: bool, wanted: list[str]
) -> None:
    """Where no systemd runs, only the user is made, and only once. The commands are stubs."""
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    said = tmp_path / "said"
    for name in ("adduser", "getent", "systemctl", "rm"):
        stub = tmp_path / name
        ends = int(name == "getent" and not user_is_there)
        log = "" if name == "getent" else f'echo "{name} $*" >>{said}\n'
        stub.write_text(f"#!/bin/sh\n{log}exit {ends}\n")
        stub.chmod(0o755)
    command = ["/bin/sh", str(debian / "DEBIAN" / script), *arguments]
    subprocess.run(command, env={"PATH": str(tmp_path)}, check=True, timeout=START_SECONDS)
    lines = said.read_text().splitlines() if said.exists() else []
    assert [line.split(" --quiet")[0] for line in lines] == wanted
