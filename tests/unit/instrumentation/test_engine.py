"""The engine: every attribute is what it was after uninstrument(), a missing one stops nothing, twice is once."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions
from typing import Any

import pytest

from otel_tokenomics import pricebook_source
from otel_tokenomics.client_api import Target
from otel_tokenomics.clients import anthropic, openai
from otel_tokenomics.config import Settings
from otel_tokenomics.instrumentation.engine import Engine, allowed_libraries
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Recorder

EVERY = {name: importlib.import_module(f"otel_tokenomics.clients.{name}").ADAPTER for name in allowed_libraries(("*",))}
ADAPTERS = {"openai": openai.ADAPTER, "anthropic": anthropic.ADAPTER}


@pytest.fixture
def engine() -> Iterator[Engine]:
    settings = Settings.resolve(environment={})
    recorder = Recorder(settings, pricebook_source.current, Instruments("", lambda: ("", 0.0), ()))
    made = Engine(settings, recorder, lambda: None)
    yield made
    made.uninstrument()


def imported(target: Target) -> Any:
    module = __import__(target.module, fromlist=["x"])
    return getattr(module, target.attribute.partition(".")[0], None)


def attributes() -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for adapter in ADAPTERS.values():
        for target in adapter.targets:
            try:
                owner = imported(target)
            except ImportError:
                continue
            if owner is not None:
                found[target.module, target.attribute] = vars(owner).get(target.attribute.partition(".")[2])
    return found


def test_every_attribute_is_restored(engine: Engine) -> None:
    before = attributes()
    assert len(before) > 20
    engine.instrument()
    during = attributes()
    assert all(during[key] is not before[key] for key in before if before[key] is not None)
    engine.instrument()
    assert all(during[key] is value for key, value in attributes().items())
    engine.uninstrument()
    assert all(before[key] is value for key, value in attributes().items())
    engine.uninstrument()


@pytest.mark.parametrize("library", list(ADAPTERS))
def test_every_target_of_the_installed_client_is_patched(engine: Engine, library: str) -> None:
    attributes()  # imports every module that has a target
    engine.instrument()
    verdicts = engine.status()["libraries"][library]["targets"]
    missing = {name for name, verdict in verdicts.items() if verdict != "patched"}
    # Gone from newer majors; of a connection, a part that a base class has now, or what was never in the beta.
    sockets = ("Connection.send_raw", "Connection.close", "ConnectionManager.send")
    assert all("_legacy_response" in name or name.endswith(sockets) for name in missing)


def test_each_target_stands_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import openai as library

    monkeypatch.delattr(library.AsyncStream, "close")
    engine.instrument(["openai"])
    targets = engine.status()["libraries"]["openai"]["targets"]
    assert targets["openai._streaming.AsyncStream.close"] == "absent"
    assert targets["openai._streaming.Stream.close"] == "patched"


def test_a_newer_major_is_one_warning_and_patched(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import openai as library

    assert library
    monkeypatch.setattr("otel_tokenomics.instrumentation.engine.version", lambda _: "99.0.1")
    for _ in range(2):
        engine.instrument(["openai"])
        found = engine.status()["libraries"]["openai"]
        engine.uninstrument()
        assert (found["version"], found["in_tested_range"]) == ("99.0.1", False)
        assert found["targets"]["openai._base_client.SyncAPIClient.request"] == "patched"
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == (
        "otel_tokenomics: openai 99.0.1 was not tested (tested: >=1.109,<4); it is patched all the same, see status()"
    )


def installed() -> list[str]:
    """The adapters whose library is here, by what pip wrote down of it."""
    names = {re.sub(r"[-_.]+", "-", one.name).lower() for one in distributions() if one.name}
    return [name for name, adapter in EVERY.items() if re.sub(r"[-_.]+", "-", adapter.library) in names]


@pytest.mark.parametrize("name", installed())
def test_the_version_is_known_before_the_client_is_imported(name: str) -> None:
    """Whether or not it has a ``__version__``: its distribution has one, and it is one of those that we test."""
    library = EVERY[name].library
    program = (
        "import json, sys\n"
        "import otel_tokenomics as tk\n"
        f"tk.instrument(libraries=[{name!r}])\n"
        f"assert {library!r} not in sys.modules\n"
        f"print(json.dumps(tk.status()['libraries'][{name!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "show", library.replace(".", "-")],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert f"Version: {found['version']}\n" in listed
    assert (found["found"], found["in_tested_range"]) == ("installed", True)
    assert set(found["targets"].values()) == {"not imported"}


def test_what_is_not_installed_is_said_to_be_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_library: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr("otel_tokenomics.instrumentation.engine.version", none)
    for name in [name for name in sys.modules if name.split(".")[0] == "groq"]:
        monkeypatch.delitem(sys.modules, name)
    engine.instrument(["groq", "openai"])
    groq, openai_ = (engine.status()["libraries"][name] for name in ("groq", "openai"))
    assert (groq["found"], groq["version"], groq["in_tested_range"]) == ("not installed", None, None)
    assert "neighbours" not in groq
    # A frozen program has no metadata: the module may say its version.
    import openai as library

    assert (openai_["found"], openai_["version"]) == ("imported", library.__version__)


def test_a_target_that_cannot_be_patched_says_why(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import groq as library

    assert library
    monkeypatch.setattr(engine, "_set", lambda *_: exec("raise TypeError('the class is sealed')"))
    engine.instrument(["groq"])
    targets = engine.status()["libraries"]["groq"]["targets"]
    assert targets["groq._base_client.SyncAPIClient.request"] == "failed: TypeError: the class is sealed"


def test_a_client_imported_later_is_patched_then() -> None:
    program = (
        "import sys\n"
        "import otel_tokenomics as tk\n"
        "tk.instrument()\n"
        "assert 'openai' not in sys.modules and 'anthropic' not in sys.modules, 'a client was imported'\n"
        "import openai, anthropic\n"
        "targets = tk.status()['libraries']\n"
        "assert targets['openai']['targets']['openai._base_client.SyncAPIClient.request'] == 'patched'\n"
        "assert targets['anthropic']['targets']['anthropic._streaming.Stream.__stream__'] == 'patched'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("*",), ["anthropic", "openai"]),
        (("openai",), ["openai"]),
        (("*", "-openai"), ["anthropic"]),
        (("-anthropic",), ["openai"]),
        (("nobody",), []),
    ],
)
def test_which_libraries_the_setting_allows(rules: tuple[str, ...], expected: list[str]) -> None:
    assert [name for name in allowed_libraries(rules) if name in ADAPTERS] == expected


def test_a_wrapper_put_over_ours_survives_and_ours_is_taken_out(engine: Engine) -> None:
    import wrapt
    from openai import _base_client

    owner: Any = _base_client.SyncAPIClient
    original = vars(owner)["request"]
    engine.instrument(["openai"])
    theirs = wrapt.FunctionWrapper(vars(owner)["request"], lambda wrapped, _i, args, kwargs: wrapped(*args, **kwargs))
    owner.request = theirs
    engine.uninstrument()
    assert vars(owner)["request"] is theirs
    assert theirs.__wrapped__ is original
    owner.request = original
