"""Coding agents at the built collector: log events in over OTLP/HTTP, the same with their costs out, and metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import DISTRIBUTION, ROOT, START_SECONDS, command, free_port
from test_collector_binary import BOOK, Json, _attributes, _bits, _running
from test_collector_metrics import _request, _scrape

pytestmark = pytest.mark.collector

VECTORS: Final = {path.stem: json.loads(path.read_text()) for path in (ROOT / "tests/vectors/logs").glob("*.json")}
#: Those that need no setting of their own: one collector for all of them.
PLAIN: Final = sorted(name for name, case in VECTORS.items() if not case["options"])


def _pipelines(scrape: int | None = None, **settings: Any) -> Json:
    """Return what lays a pipeline of logs beside the demo's traces, and metrics where they shall be scraped."""
    both = ["otlp_http"] if scrape is None else ["otlp_http", "tokenomics"]
    extra: Json = {
        "processors": {"tokenomics": {**BOOK, **settings}},
        "service": {
            "pipelines": {
                "traces": {"exporters": both},
                "logs": {"receivers": ["otlp"], "processors": ["tokenomics"], "exporters": both},
            }
        },
    }
    if scrape is not None:
        extra["connectors"] = {"tokenomics": {"flush_interval": "1s"}}
        extra["exporters"] = {"prometheus": {"endpoint": f"127.0.0.1:{scrape}", "enable_open_metrics": True}}
        extra["service"]["pipelines"]["metrics"] = {"receivers": ["tokenomics"], "exporters": ["prometheus"]}
    return extra


def _send(port: int, signal: str, body: Json) -> None:
    answer = _request(port, "POST", f"/v1/{signal}", json.dumps(body), **{"Content-Type": "application/json"})
    assert json.loads(answer) == {"partialSuccess": {}}


def _records(logs: Json) -> list[Json]:
    return [
        record for resource in logs["resourceLogs"] for scope in resource["scopeLogs"] for record in scope["logRecords"]
    ]


def _shown(logs: Json) -> list[list[tuple[str, str]]]:
    """Attributes of each record, keys that stand twice too, doubles by their bits."""
    return [
        sorted(
            (pair["key"], repr({kind: _bits(value) for kind, value in pair["value"].items()}))
            for pair in record.get("attributes", [])
        )
        for record in _records(logs)
    ]


def _values(record: Json) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values()), None) for pair in record.get("attributes", [])}


def test_events_are_priced_to_the_last_bit_and_only_once(tmp_path: Path) -> None:
    assert len(PLAIN) > 15
    with _running(tmp_path, _pipelines()) as (port, sink):
        for name in PLAIN:
            _send(port, "logs", VECTORS[name]["logs"]["in"])
            first = sink.wait()
            assert _shown(first) == _shown(VECTORS[name]["logs"]["out"]), name
            _send(port, "logs", first)
            assert sink.wait() == first, f"{name}: a second pass changed a record"


def test_the_metrics_say_what_the_records_bear(tmp_path: Path) -> None:
    """Everything that the agents of the vectors send on both signals: what is scraped is the sum of what came out."""
    scrape = free_port()
    bears: list[Mapping[str, Any]] = []
    with _running(tmp_path, _pipelines(scrape)) as (port, sink):
        for name in PLAIN:
            _send(port, "logs", VECTORS[name]["logs"]["in"])
            bears += [_values(record) for record in _records(sink.wait())]
            if "spans" in VECTORS[name]:
                _send(port, "traces", VECTORS[name]["spans"]["in"])
                spans = sink.wait()["resourceSpans"]
                bears += [
                    _values(span) for resource in spans for scope in resource["scopeSpans"] for span in scope["spans"]
                ]
        spent = sum((Fraction(repr(one["tokenomics.cost.total"])) for one in bears if _charged(one)), Fraction(0))
        requests = sum(_charged(one) or _counted(one) for one in bears)
        assert spent > Fraction("0.2")
        assert requests > 40
        found = {"cost": 0.0, "requests": 0.0}
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and found["requests"] != requests:
            series, _ = _scrape(scrape, 2)
            for kind in found:
                found[kind] = sum(v for (metric, _), v in series.items() if metric == f"tokenomics_span_{kind}_total")
    assert found["requests"] == requests
    assert found["cost"] == pytest.approx(float(spent), abs=1e-12)


def _charged(bears: Mapping[str, Any]) -> bool:
    return bears.get("tokenomics.cost.total") is not None


def _counted(bears: Mapping[str, Any]) -> bool:
    status, reason = bears.get("tokenomics.cost.status"), bears.get("tokenomics.cost.reason")
    return status == "unpriced" or (status == "not_applicable" and reason == "call_failed")


@pytest.mark.parametrize("choice", ["logs", "spans"])
def test_one_signal_of_an_agent_is_charged(tmp_path: Path, choice: str) -> None:
    case = VECTORS["agents_default_is_logs" if choice == "logs" else "agents_by_their_spans"]
    with _running(tmp_path, _pipelines(agents=case["options"].get("agents", {}))) as (port, sink):
        _send(port, "logs", case["logs"]["in"])
        logs = sink.wait()
        _send(port, "traces", case["spans"]["in"])
        spans = sink.wait()
    assert _shown(logs) == _shown(case["logs"]["out"])
    assert _attributes(spans) == _attributes(case["spans"]["out"])
    # The one call that came on both, with the same ids.
    record, span = _values(_records(logs)[0]), _attributes(spans)[0]
    assert ("tokenomics.cost.total" in record) != ("tokenomics.cost.total" in span)


@pytest.mark.parametrize(
    ("agents", "quoted"),
    [
        (
            {"claude": "logs"},
            '"agents" must map coding agents to logs or spans: "claude": no coding agent of that name',
        ),
        ({"codex": "metrics"}, '"codex": must be logs or spans, got "metrics"'),
        ({"cursor": "spans"}, '"cursor": has no other signal: it exports no spans'),
    ],
)
def test_a_wrong_choice_never_starts(tmp_path: Path, agents: dict[str, str], quoted: str) -> None:
    override = tmp_path / "override.json"
    override.write_text(json.dumps({"processors": {"tokenomics": {"agents": agents}}}))
    done = command("validate", "--config", DISTRIBUTION / "config.demo.yaml", "--config", override)
    assert done.returncode == 1
    assert quoted in done.stderr
