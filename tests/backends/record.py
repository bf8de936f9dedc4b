"""Runs the agent on the local provider and writes ``trace.json``: ``python tests/backends/record.py``.

The SDK's pricing is off, so that who receives the trace has to price it. The addresses of the local provider become
the real ones, ids become numbers and times begin at 0: ``recorded.fresh`` makes them new at each sending.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from agent import USAGE
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_tokenomics.demo.provider import LocalProvider, Scenario
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report import otlp_files

HERE: Final = Path(__file__).resolve().parent
TRACE: Final = HERE / "trace.json"
#: Who answers at the addresses of the local provider, in truth.
_HOSTS: Final = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
_PLACE: Final = re.compile(r"^(?:http://127\.0\.0\.1:\d+)?/(?:openai|anthropic)-api/")
#: The waits of a model that thinks, so that the tree has a shape.
_THINKING_S: Final = (0.02, 0.35, 0.12, 0.3, 0.1, 0.25, 0.08)
_TIMEOUT_S: Final = 120

Json = dict[str, Any]


def run(endpoint: str, **environment: str) -> None:
    """Run the agent as the program of its own that it is, on a local provider; it exports to ``endpoint``.

    ``environment`` is laid over its own: ``OTEL_TOKENOMICS_PRICE="false"`` leaves the pricing to the receiver.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
    with LocalProvider() as provider:
        provider.expect(*(Scenario(usage=u, hang_s=s) for u, s in zip(USAGE, _THINKING_S, strict=True)))
        own = {
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(HERE.parents[1]),
            "OTEL_SERVICE_NAME": "support-assistant",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_METRICS_EXPORTER": "none",
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "agent.py")],
            env=inherited | provider.environment | own | environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]


def record() -> Json:
    """Return one run of the agent as OTLP/JSON."""
    with tempfile.TemporaryDirectory(prefix="tokenomics-record-") as name, LocalReceiver(Path(name)) as receiver:
        run(receiver.endpoint, OTEL_TOKENOMICS_PRICE="false")
        content = (Path(name) / otlp_files.TRACES).read_bytes()
    resources: list[Json] = []
    for _, request in otlp_files.records(content):
        resources += MessageToDict(TracesData.FromString(request))["resourceSpans"]
    spans = [span for resource in resources for scope in resource["scopeSpans"] for span in scope["spans"]]
    begin = min(int(span["startTimeUnixNano"]) for span in spans)
    numbers: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: int(span["startTimeUnixNano"])):
        numbers.setdefault(span["spanId"], len(numbers) + 1)
    assert len({span["traceId"] for span in spans}) == 1, "one agent trace is what is recorded"
    for span in spans:
        span["traceId"] = f"{1:032x}"
        for key in ("spanId", "parentSpanId"):
            if key in span:
                span[key] = f"{numbers[span[key]]:016x}"
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = str(int(span[key]) - begin)
        # OTLP/JSON writes enumerations as numbers (OpenTelemetry protocol, JSON Protobuf encoding).
        span["kind"] = {"SPAN_KIND_INTERNAL": 1, "SPAN_KIND_CLIENT": 3}[span["kind"]]
        span["status"] = {"code": 1} if span.pop("status", None) else {}
        span["attributes"] = sorted(_at_the_real_host(span.get("attributes", [])), key=lambda pair: pair["key"])
    for resource in resources:
        kept = [pair for pair in resource["resource"]["attributes"] if pair["key"] != "service.instance.id"]
        resource["resource"]["attributes"] = sorted(kept, key=lambda pair: pair["key"])
    return {"resourceSpans": resources}


def _at_the_real_host(attributes: list[Json]) -> list[Json]:
    """Return a call's attributes as they were had the provider not been a local one."""
    by_key = {pair["key"]: next(iter(pair["value"].values())) for pair in attributes}
    if "server.address" not in by_key:
        return attributes
    host = _HOSTS[by_key["gen_ai.provider.name"]]
    real: Json = {
        "server.address": {"stringValue": host},
        "server.port": {"intValue": "443"},
        "url.full": {"stringValue": _PLACE.sub(f"https://{host}/", by_key.get("url.full", ""))},
        "url.path": {"stringValue": _PLACE.sub("/", by_key.get("url.path", ""))},
        "url.scheme": {"stringValue": "https"},
    }
    return [{"key": pair["key"], "value": real.get(pair["key"], pair["value"])} for pair in attributes]


def main() -> None:
    """Write the recording anew."""
    TRACE.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
