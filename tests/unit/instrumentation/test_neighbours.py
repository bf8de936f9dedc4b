"""Who else makes spans: found by distribution, told apart by what they do, named beside the client that they watch."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from otel_tokenomics.clients import anthropic, litellm, mistral, openai
from otel_tokenomics.instrumentation import neighbours


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that are only names, as pip would leave them."""
    folders = {
        "opentelemetry_instrumentation_openai-0.62.4": "opentelemetry-instrumentation-openai",
        "OpenInference.Instrumentation_anthropic-3.1.0": "OpenInference.Instrumentation_anthropic",
        "openinference_instrumentation_langchain-0.1.80": "openinference-instrumentation-langchain",
        "openinference_instrumentation-0.1.72": "openinference-instrumentation",
        "openlit-1.45.0": "openlit",
        "opentelemetry_instrumentation_httpx-0.66b2": "opentelemetry-instrumentation-httpx",
    }
    for folder, name in folders.items():
        place = tmp_path / f"{folder}.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {folder.rsplit('-')[-1]}\n")
    door = tmp_path / "opentelemetry_instrumentation_openai-0.62.4.dist-info" / "entry_points.txt"
    door.write_text("[opentelemetry_instrumentor]\nopenai = their_openai:TheirInstrumentor\n")
    found = list(Distribution.discover(path=[str(tmp_path)]))
    monkeypatch.setattr(neighbours, "distributions", lambda: found)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_who_makes_spans_of_model_calls_is_found_whatever_the_spelling(installed: Path) -> None:
    assert {name: one.version for name, one in neighbours.found().items()} == {
        "openinference-instrumentation-anthropic": "3.1.0",
        "openinference-instrumentation-langchain": "0.1.80",
        "openlit": "1.45.0",
        "opentelemetry-instrumentation-openai": "0.62.4",
    }


def names(found: list[dict[str, str]]) -> list[str]:
    return [one["name"] for one in found]


def test_each_stands_beside_the_client_that_it_watches(installed: Path) -> None:
    others = neighbours.found()
    by_openai = neighbours.of_client("openai", openai.ADAPTER, others, "adopt")
    assert names(by_openai) == ["opentelemetry-instrumentation-openai", "openlit"]
    by_anthropic = neighbours.of_client("anthropic", anthropic.ADAPTER, others, "adopt")
    assert names(by_anthropic) == ["anthropic itself", "openinference-instrumentation-anthropic", "openlit"]
    assert "adopt" in by_anthropic[0]["one_charge"]
    replaced = neighbours.of_client("anthropic", anthropic.ADAPTER, {}, "replace")
    assert "switched off" in replaced[0]["one_charge"]
    assert names(neighbours.of_client("mistral", mistral.ADAPTER, {}, "adopt")) == ["mistralai itself"]
    (reported,) = neighbours.of_client("litellm", litellm.ADAPTER, {}, "adopt")
    assert "no observed client" in reported["one_charge"]
    assert neighbours.of_client("openai", openai.ADAPTER, {}, "adopt") == []


def test_it_is_said_whether_it_is_at_work(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed / "their_openai.py").write_text("TheirInstrumentor = None\n")

    class TheirInstrumentor(BaseInstrumentor):
        def instrumentation_dependencies(self) -> Any:
            return ()

        def _instrument(self, **kwargs: Any) -> None: ...

        def _uninstrument(self, **kwargs: Any) -> None: ...

    def said() -> str:
        return neighbours.state(neighbours.found()["opentelemetry-instrumentation-openai"])

    assert said() == "installed"
    import their_openai  # type: ignore[import-not-found]  # the file written above

    monkeypatch.setattr(their_openai, "TheirInstrumentor", TheirInstrumentor)
    assert said() == "imported"
    TheirInstrumentor().instrument()
    assert said() == "active"
    TheirInstrumentor().uninstrument()
    assert said() == "imported"
    monkeypatch.delitem(__import__("sys").modules, "their_openai")
