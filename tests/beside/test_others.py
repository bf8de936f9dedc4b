"""Another instrumentation of the same client beside us, installed before or after: one charge for one response."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.instrumentation import neighbours

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openinference") is None, reason="needs the other instrumentations: make test-clients"
)
OTHERS = {
    "official-openai": "opentelemetry.instrumentation.genai.openai",
    "official-anthropic": "opentelemetry.instrumentation.genai.anthropic",
    "openinference-openai": "openinference.instrumentation.openai",
    "openinference-anthropic": "openinference.instrumentation.anthropic",
    "openllmetry-openai": "opentelemetry.instrumentation.openai.v1",
    "openllmetry-anthropic": "opentelemetry.instrumentation.anthropic",
}
#: Never makes its span current, so nobody below can see it: ours is made beside it, and holds the charge alone.
HIDES_ITS_SPAN = "openllmetry-anthropic"
#: Form -> what it comes to where the provider is OpenAI, and Anthropic, whose streams begin with a usage.
FORMS = {
    "plain": ("priced", "priced"),
    "stream": ("priced", "priced"),
    "aplain": ("priced", "priced"),
    "astream": ("priced", "priced"),
    "left": ("unpriced", "partial"),
    "aleft": ("unpriced", "partial"),
    "refused": ("not_applicable", "not_applicable"),
    "helper": ("priced", "priced"),
}
#: Dollars per million tokens of input and output: gpt-5.4 and claude-sonnet-5-5 as published.
RATES = {name: (2.5, 15.0) if name.endswith("openai") else (2.0, 10.0) for name in OTHERS}
SIDES = (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
#: Others do not make their span current around the streaming helper.
HIDE_THE_HELPERS = frozenset({"openinference-anthropic", "openllmetry-openai"})


def run(name: str, order: str, *more: str) -> dict[str, Any]:
    """Run both in a process of their own: not every one of them takes all of its patches back."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1]), "ANTHROPIC_OPEN_TELEMETRY": "false"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(here / "both.py"), name, order, *more],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
@pytest.mark.parametrize("name", list(OTHERS))
def test_one_response_is_one_charge(name: str, order: str) -> None:
    result = run(name, order)
    assert result["billed"] == len(FORMS) - 1  # the refused one was not
    for form, expected in FORMS.items():
        (charge,), (status,), spans = result[form]["charges"], result[form]["status"], result[form]["spans"]
        assert status == expected[name.endswith("anthropic")], form
        written = [(scope, cost) for (scope, cost), end in zip(spans, result[form]["ends"], strict=True) if end]
        hidden = name == HIDES_ITS_SPAN or (form == "helper" and name in HIDE_THE_HELPERS)
        assert [scope for scope, _ in written] == ["otel_tokenomics" if hidden else OTHERS[name]], form
        assert hidden or len(spans) == 1, (form, spans)
        assert written[0][1] == (None if charge is None else pytest.approx(charge / 1e12)), form
    assert result["restored"]
    assert result["failures"] == {}


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
@pytest.mark.parametrize("name", [name for name in OTHERS if name.endswith("anthropic")])
def test_the_clients_own_span_is_innermost_and_holds_the_charge(name: str, order: str) -> None:
    result = run(name, order, "native")
    for form, expected in FORMS.items():
        (charge,), (status,) = result[form]["charges"], result[form]["status"]
        assert status == expected[1], form
        charged = [(scope, cost) for scope, cost in result[form]["spans"] if cost is not None]
        if charge is None:
            assert charged == [], form
        else:
            assert charged == [("com.anthropic.sdk.python", pytest.approx(charge / 1e12))], form
    assert result["restored"]
    assert result["failures"] == {}


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
@pytest.mark.parametrize("name", list(OTHERS))
def test_priced_at_export_too_the_sum_is_the_bill(name: str, order: str) -> None:
    """No span is open around the calls, so a span that hides begins a trace of its own."""
    for native in ("", "native") if name.endswith("anthropic") else ("",):
        result = run(name, order, *([native] if native else []))
        for form in ("plain", "stream", "aplain", "astream", "helper"):
            (usage,) = result[form]["usage"]
            given, made = (usage.get(key) or usage[other] for key, other in SIDES)
            bill = given * RATES[name][0] + made * RATES[name][1]
            assert bill > 0
            for sent in ("at_export", "one_by_one"):
                assert result[form][sent] == pytest.approx(bill / 1e6, rel=1e-9), (form, sent, native)
        for form in ("left", "aleft", "refused"):
            for sent in ("at_export", "one_by_one"):
                charge = result[form]["charges"][0] or 0
                assert result[form][sent] == pytest.approx(charge / 1e12), (form, sent, native)


@pytest.mark.parametrize("name", list(OTHERS))
def test_status_says_what_happens_beside_it(name: str) -> None:
    """The words of ``status()`` are those that the test above finds to be true."""
    library = name.rpartition("-")[2]
    distribution = {
        "official": f"opentelemetry-instrumentation-genai-{library}",
        "openinference": f"openinference-instrumentation-{library}",
        "openllmetry": f"opentelemetry-instrumentation-{library}",
    }[name.rpartition("-")[0]]
    adapter = importlib.import_module(f"otel_tokenomics.clients.{library}").ADAPTER
    said = neighbours.of_client(library, adapter, neighbours.found(), "adopt")
    (found,) = [one for one in said if one["name"] == distribution]
    assert found["one_charge"] == (neighbours.BESIDE if name == HIDES_ITS_SPAN else neighbours.ADOPTED)
    assert found["state"] in ("installed", "imported")
    assert found["version"]
