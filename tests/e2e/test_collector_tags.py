"""Business tags, required tags and sensitive attributes in the built collector: OTLP in, asserted OTLP out."""

from __future__ import annotations

import hmac
import http.client
import json
from pathlib import Path
from typing import Any, Final

import pytest
from collector_run import DISTRIBUTION, START_SECONDS, command, free_port
from test_collector_binary import BOOK, _post, _running

SALT: Final = "salt of the test"
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALL: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
}
TAGS: Final = {
    "map": {
        "team": ["litellm.team.id", "langfuse.trace.metadata.team", "resource:k8s.namespace.name"],
        "product": ["service.namespace"],
        "user": ["litellm.end_user.id"],
        "*": ["traceloop.association.properties.*"],
    },
    "required": ["team", "feature"],
    "defaults": {"cost_center": "unassigned"},
}
SENSITIVE: Final = {
    "drop": ["gen_ai.input.messages", "gen_ai.prompt.*", "enduser.*"],
    "hash": ["user.id", "enduser.id", "tokenomics.tag.customer"],
    "salt": "${env:TAGS_SALT}",
}

pytestmark = pytest.mark.collector

Json = dict[str, Any]


def _pairs(attributes: Json) -> list[Json]:
    def value(one: object) -> Json:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    return [{"key": key, "value": value(one)} for key, one in attributes.items()]


def _plain(pairs: list[Json]) -> Json:
    found: Json = {}
    for pair in pairs:
        ((kind, value),) = pair["value"].items()
        found[pair["key"]] = [one["stringValue"] for one in value["values"]] if kind == "arrayValue" else value
    return found


def _traces(resource: Json, *spans: Json) -> Json:
    made = [
        {
            "traceId": TRACE,
            "spanId": f"{number + 1:016x}",
            "name": "span",
            "kind": 3,
            "startTimeUnixNano": "1795341600000000000",
            "endTimeUnixNano": "1795341601000000000",
            "attributes": _pairs(attributes),
            "events": [{"name": "prompt", "attributes": _pairs({"gen_ai.prompt.0.content": "alice asks", "n": 1})}],
        }
        for number, attributes in enumerate(spans)
    ]
    scopes = [{"scope": {"name": "opentelemetry.instrumentation.openai"}, "spans": made}]
    return {"resourceSpans": [{"resource": {"attributes": _pairs(resource)}, "scopeSpans": scopes}]}


def _spans(traces: Json) -> list[Json]:
    return traces["resourceSpans"][0]["scopeSpans"][0]["spans"]


def _hash(text: str) -> str:
    return "hmac:" + hmac.digest(SALT.encode(), text.encode(), "sha256").hex()[:16]


def _scrape(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        return response.read().decode()
    finally:
        connection.close()


def test_rules_policies_and_sensitive_attributes(tmp_path: Path) -> None:
    telemetry = free_port()
    settings: Json = {
        "processors": {"tokenomics": {**BOOK, "tags": TAGS, "sensitive": SENSITIVE}},
        "service": {
            "telemetry": {
                "metrics": {
                    "level": "normal",
                    "readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": telemetry}}}}],
                }
            }
        },
    }
    batch = _traces(
        {"service.namespace": "shop", "k8s.namespace.name": "shop-prod", "user.id": "robot"},
        {
            **CALL,
            "litellm.team.id": "search",
            "litellm.end_user.id": "alice",
            "traceloop.association.properties.customer": "acme",
            "traceloop.association.properties.seats": 12,
            "tokenomics.tag.feature": "summarise",
            "gen_ai.input.messages": "alice asks",
            "enduser.role": "admin",
            "enduser.id": "alice",
        },
        CALL,
        {"http.route": "/login", "user.id": "alice", "litellm.team.id": "search", "gen_ai.prompt.0.content": "alice"},
    )
    # A charge that the SDK of the service settled already.
    settled = {
        **CALL,
        "tokenomics.cost.total": "x",
        "tokenomics.cost.status": "unpriced",
        "tokenomics.cost.reason": "no_usage",
        "tokenomics.tag.feature": "chat",
    }
    del settled["tokenomics.cost.total"], settled["gen_ai.usage.input_tokens"], settled["gen_ai.usage.output_tokens"]
    _spans(batch).append({**_spans(batch)[1], "spanId": "00000000000000aa", "attributes": _pairs(settled)})

    with _running(tmp_path, settings, TAGS_SALT=SALT) as (port, sink):
        _post(port, batch)
        out = sink.wait()
        first, second, other, kept = (_plain(span["attributes"]) for span in _spans(out))
        assert first["tokenomics.cost.total"] == second["tokenomics.cost.total"] == 0.0075
        tags = {key: value for key, value in first.items() if key.startswith("tokenomics.tag")}
        assert tags == {
            "tokenomics.tag.team": "search",
            "tokenomics.tag.product": "shop",
            "tokenomics.tag.feature": "summarise",
            "tokenomics.tag.customer": _hash("acme"),
            "tokenomics.tag.seats": "12",
            "tokenomics.tag.cost_center": "unassigned",
        }
        # The resource states user.id: a rule's is further away.
        assert "user.id" not in first
        assert first["enduser.id"] == _hash("alice")
        assert "gen_ai.input.messages" not in first
        assert "enduser.role" not in first
        assert second["tokenomics.tag.team"] == "shop-prod"
        assert second["tokenomics.tags.missing"] == ["feature"]
        assert other == {"http.route": "/login", "user.id": _hash("alice"), "litellm.team.id": "search"}
        assert kept == {
            **_plain(_pairs(settled)),
            "tokenomics.tag.team": "shop-prod",
            "tokenomics.tag.product": "shop",
            "tokenomics.tag.cost_center": "unassigned",
        }
        assert [_plain(span["events"][0]["attributes"]) for span in _spans(out)] == [{"n": "1"}] * 4
        assert _plain(out["resourceSpans"][0]["resource"]["attributes"])["user.id"] == _hash("robot")

        _post(port, out)
        assert sink.wait() == out, "a second pass changed something"
        metrics = _scrape(telemetry)
    counted = [line for line in metrics.splitlines() if line.startswith("otelcol_processor_tokenomics_missing_tags")]
    assert sorted(
        (line.split('action="')[1].split('"')[0], line.split('tag="')[1].split('"')[0], line.split()[-1])
        for line in counted
    ) == [
        ("defaulted", "cost_center", "3"),
        ("marked", "feature", "2"),
        ("marked", "team", "0"),
    ]
    log = (tmp_path / "collector.log").read_text()
    assert SALT not in log
    assert "alice" not in log


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"tags": {"map": {"team": ["tokenomics.tag.product"], "product": ["tokenomics.tag.team"]}}}, "tags::map"),
        ({"tags": {"required": ["Team"]}}, "tags::required"),
        ({"tags": {"required": {"team": "mark"}}}, "required"),
        ({"sensitive": {"hash": ["user.id"]}}, "sensitive::salt"),
        ({"sensitive": {"hash": ["user.id", "*"], "salt": SALT}}, "sensitive::hash"),
    ],
)
def test_a_wrong_policy_does_not_start(tmp_path: Path, settings: Json, key: str) -> None:
    override = tmp_path / "extra.json"
    override.write_text(json.dumps({"processors": {"tokenomics": settings}}))
    done = command("validate", "--config", DISTRIBUTION / "config.demo.yaml", "--config", override)
    assert done.returncode != 0
    assert key in done.stderr
    assert SALT not in done.stderr
