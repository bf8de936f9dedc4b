"""The connector in the built collector: priced spans in over OTLP/HTTP, series that Prometheus can scrape out."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import DISTRIBUTION, ROOT, START_SECONDS, STEP_SECONDS, binary, command, free_port, started
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_collector_binary import BOOK_FILE, CHAT

from otel_tokenomics.client_api import Request
from otel_tokenomics.config import Settings
from otel_tokenomics.pricing import load_embedded
from otel_tokenomics.telemetry.metrics import Instruments
from otel_tokenomics.telemetry.recorder import Outcome, Recorder
from otel_tokenomics.usage import Reading, Usage

TRACE: Final = "0102030405060708090a0b0c0d0e0f10"

pytestmark = pytest.mark.collector

#: One line of a scrape: metric, labels, value; what follows a # is an exemplar.
LINE: Final = re.compile(r"^(\w+)(?:\{(.*?)\})? (\S+)( # .*)?$")
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

#: (metric, its labels without those of the scope) -> value
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _request(port: int, method: str, path: str, body: str | None = None, **headers: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == 200, text
        return text
    finally:
        connection.close()


@contextmanager
def _running(tmp_path: Path, connector: Mapping[str, Any]) -> Generator[tuple[int, int]]:
    """Run the default configuration on free ports, its backend being nobody; yield the ports of OTLP and the scrape."""
    otlp, scrape = free_port(), free_port()
    override = tmp_path / "override.json"
    override.write_text(
        json.dumps(
            {
                "receivers": {
                    "otlp": {
                        "protocols": {
                            "http": {"endpoint": f"127.0.0.1:{otlp}"},
                            "grpc": {"endpoint": f"127.0.0.1:{free_port()}"},
                        }
                    }
                },
                "processors": {"tokenomics": {"max_age": "0", "book": {"files": [{"path": str(BOOK_FILE)}]}}},
                "connectors": {"tokenomics": {"flush_interval": "1s", **connector}},
                "exporters": {"prometheus": {"endpoint": f"127.0.0.1:{scrape}"}},
                "service": {
                    "telemetry": {"metrics": {"readers": None, "level": "none"}},
                    "pipelines": {
                        "traces": {"exporters": ["tokenomics"]},
                        "logs": {"receivers": ["otlp"], "exporters": ["tokenomics"]},
                    },
                },
            }
        )
    )
    log = tmp_path / "collector.log"
    with started(binary(), [DISTRIBUTION / "config.yaml", override], log):
        yield otlp, scrape
    said = log.read_text()
    assert [line for line in said.splitlines() if "\twarn\t" in line or "\terror\t" in line] == []


def _series(text: str) -> Series:
    found: Series = {}
    for line in text.splitlines():
        if (match := LINE.match(line)) and match[1].startswith("tokenomics_"):
            labels = frozenset(pair for pair in LABEL.findall(match[2] or "") if not pair[0].startswith("otel_scope_"))
            found[match[1], labels] = float(match[3])
    return found


def _scrape(port: int, wanted: int) -> tuple[Series, str]:
    """Scrape until there are as many series as expected; what comes later shows in the next assertion."""
    deadline = time.monotonic() + START_SECONDS
    series, text = _series(""), ""
    while time.monotonic() < deadline and len(series) < wanted:
        text = _request(port, "GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        series = {key: value for key, value in _series(text).items() if not key[0].endswith("_created")}
        time.sleep(STEP_SECONDS)
    return series, text


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: str | int | float) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}


def _chat(number: int, model: str, **more: str | int) -> dict[str, Any]:
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 500,
        "user.id": "somebody",
        **more,
    }
    now = str(time.time_ns())
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": f"chat {model}",
        "kind": 3,
        "startTimeUnixNano": now,
        "endTimeUnixNano": now,
        "attributes": _pairs(attributes),
    }


def _post(port: int, *spans: dict[str, Any]) -> None:
    resource = {"attributes": _pairs({"service.name": "shop", "deployment.environment.name": "production"})}
    scope = {"scope": {"name": "opentelemetry.instrumentation.genai.openai"}, "spans": list(spans)}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]})
    assert json.loads(_request(port, "POST", "/v1/traces", body, **{"Content-Type": "application/json"})) == {
        "partialSuccess": {}
    }


def _key(metric: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    shared = {
        "service_name": "shop",
        "deployment_environment_name": "production",
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
    }
    return metric, frozenset({**shared, **labels}.items())


def test_what_prometheus_scrapes_is_what_the_calls_cost(tmp_path: Path) -> None:
    """Two teams at one model, a model that nobody knows, and an agent that repeats their usage."""
    team = "tokenomics.tag.team"
    spans = [
        _chat(1, "gpt-4o", **{team: "search"}),
        _chat(2, "gpt-4o", **{team: "search"}),
        _chat(3, "gpt-4o", **{team: "ads"}),
        _chat(4, "gpt-7-turbo", **{team: "ads"}),
        _chat(5, "gpt-4o", **{"gen_ai.operation.name": "invoke_agent", team: "ads"}),
    ]
    with _running(tmp_path, {}) as (otlp, scrape):
        _post(otlp, *spans)
        series, text = _scrape(scrape, 12)
        # 1000 x 2500000 + 500 x 10000000 pico-USD a call.
        money = {
            "tokenomics_cost_currency": "USD",
            "tokenomics_cost_source": "collector",
            "tokenomics_cost_basis": "list",
        }
        model = {"tokenomics_price_model": "gpt-4o"}
        search, ads = {"tokenomics_tag_team": "search"}, {"tokenomics_tag_team": "ads"}
        unknown = {"tokenomics_cost_reason": "unknown_model"}
        expected = {
            _key("tokenomics_span_cost_total", **money, **model, **search): 0.015,
            _key("tokenomics_span_cost_total", **money, **model, **ads): 0.0075,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="input", **model, **search): 2000,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="output", **model, **search): 1000,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="input", **model, **ads): 1000,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="output", **model, **ads): 500,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="input", **ads): 1000,
            _key("tokenomics_span_tokens_total", tokenomics_token_class="output", **ads): 500,
            _key("tokenomics_span_requests_total", tokenomics_cost_status="priced", **model, **search): 2,
            _key("tokenomics_span_requests_total", tokenomics_cost_status="priced", **model, **ads): 1,
            _key("tokenomics_span_requests_total", tokenomics_cost_status="unpriced", **unknown, **ads): 1,
            _key("tokenomics_span_unpriced_tokens_total", gen_ai_request_model="gpt-7-turbo", **unknown, **ads): 1500,
        }
        assert series == expected
        assert f'trace_id="{TRACE}"' in text, "no exemplar names the dear trace"
        assert "somebody" not in text

        _post(otlp, _chat(6, "gpt-4o", **{team: "search"}))
        cost = _key("tokenomics_span_cost_total", **money, **model, **search)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and series[cost] == 0.015:
            series, _ = _scrape(scrape, 12)
        assert series[cost] == 0.0225


def test_traces_and_logs_add_to_the_same_series(tmp_path: Path) -> None:
    """The collector makes a connector for each signal; the backend must see one counter."""
    settled = {"tokenomics.cost.status": "priced", "tokenomics.cost.source": "sdk", "tokenomics.cost.total": 0.25}
    record = {"timeUnixNano": str(time.time_ns()), "attributes": _pairs(settled)}
    span = _chat(1, "gpt-4o")
    span["attributes"] = record["attributes"]
    place = {"attributes": _pairs({"service.name": "shop"})}
    logs = {"resourceLogs": [{"resource": place, "scopeLogs": [{"logRecords": [record, record]}]}]}
    traces = {"resourceSpans": [{"resource": place, "scopeSpans": [{"spans": [span]}]}]}
    with _running(tmp_path, {}) as (otlp, scrape):
        for signal, body in (("logs", logs), ("traces", traces)):
            _request(otlp, "POST", f"/v1/{signal}", json.dumps(body), **{"Content-Type": "application/json"})
        seen: set[float] = set()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and 0.75 not in seen:
            seen |= {
                value for (metric, _), value in _scrape(scrape, 2)[0].items() if metric == "tokenomics_span_cost_total"
            }
        # Two writers would make it jump between 0.25 and 0.5 for ever.
        assert 0.75 in seen
        assert seen <= {0.25, 0.5, 0.75}
        series, _ = _scrape(scrape, 2)
        assert sorted(series.values()) == [0.75, 3]


def _sdk_calls(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], Series]:
    """Let the SDK settle calls of every kind; return its spans and its metrics as the connector names them."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    book = load_embedded()
    instruments = Instruments("", lambda: (book.id, 0.0))
    recorder = Recorder(Settings(billed_elsewhere=("gw.example",)), lambda: book, instruments)
    recorder.writes_tags = True
    tags = {"tokenomics.tag.team": "search"}
    spans: list[dict[str, Any]] = []

    def settle(model: str, usage: Usage | None, end: str = "completed", host: str | None = None, **more: Any) -> None:
        reading = Reading(usage, {}, model) if usage is not None else None
        request = Request(model, "openai", host=host, facts={})
        choice = recorder.provider(request)
        now = time.time_ns()
        span = recorder.start(CHAT, request, choice)
        recorder.settle(span, CHAT, request, choice, Outcome(reading, end, now, 0.5, **more), own=True, tags=tags)
        done = exporter.get_finished_spans()[-1]
        spans.append(
            {
                "traceId": TRACE,
                "spanId": f"{len(spans) + 1:016x}",
                "name": done.name,
                "kind": 3,
                "startTimeUnixNano": str(now),
                "endTimeUnixNano": str(now),
                "attributes": _pairs({k: v for k, v in (done.attributes or {}).items() if not isinstance(v, tuple)}),
            }
        )

    plain = Usage({"input": 1234, "cache_read": 4096, "output": 77})
    settle("gpt-4o", plain)
    settle("gpt-4o", plain)
    settle("gpt-5", Usage({"input": 10, "output": 20, "reasoning": 300}))
    settle("gpt-7-turbo", plain)
    settle("gpt-4o", Usage({"input": 9}), "abandoned", started=True, estimated=Usage({"output": 7}, "estimated"))
    settle("gpt-4o", None, "error", error_type="APITimeoutError", ambiguous=True)
    settle("gpt-4o", None, "abandoned", started=True)
    # Not applicable: such a span does not bear the model of a row, which the SDK knows in process where there is one.
    settle("gpt-7-turbo", None, "error", error_type="RateLimitError")
    settle("gpt-7-turbo", plain, host="gw.example")
    metrics = ("cost", "tokens", "requests", "unpriced.tokens")
    return spans, {
        (f"tokenomics_span_{metric.replace('.', '_')}_total", _labels(one.attributes or {})): float(one.value)
        for metric in metrics
        for one in instruments.accumulator.observations(f"tokenomics.client.{metric}")
    }


def _labels(attributes: Mapping[str, object]) -> frozenset[tuple[str, str]]:
    return frozenset((key.replace(".", "_"), str(value)) for key, value in attributes.items())


def test_sdk_and_connector_count_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine calls that end in every way: series for series, what the SDK counted in process is what its spans say."""
    spans, expected = _sdk_calls(monkeypatch)
    assert len(expected) == 20, sorted(expected)
    scope = {"scope": {"name": "otel_tokenomics", "version": "0.1.0"}, "spans": spans}
    with _running(tmp_path, {}) as (otlp, scrape):
        body = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]})
        _request(otlp, "POST", "/v1/traces", body, **{"Content-Type": "application/json"})
        series, _ = _scrape(scrape, len(expected))
    assert series == expected


def test_the_examples_of_the_connector_are_valid_as_printed(tmp_path: Path) -> None:
    text = (ROOT / "collector" / "connector" / "tokenomicsconnector" / "README.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        config = tmp_path / f"example{number}.yaml"
        config.write_text(example)
        done = command("validate", "--config", config)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), example


@pytest.mark.parametrize(
    ("settings", "quoted"),
    [
        ({"dimension": ["team"]}, "dimension"),
        ({"temporality": "gauge"}, '"temporality" must be cumulative or delta, got gauge'),
        ({"dimensions": ["session_id"]}, '"dimensions" must not name a user, session, conversation or trace'),
    ],
)
def test_a_wrong_config_never_starts(tmp_path: Path, settings: dict[str, Any], quoted: str) -> None:
    override = tmp_path / "override.json"
    override.write_text(json.dumps({"connectors": {"tokenomics": settings}}))
    done = command("validate", "--config", DISTRIBUTION / "config.yaml", "--config", override)
    assert done.returncode == 1
    assert quoted in done.stderr
