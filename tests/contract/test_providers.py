"""Whose providers are used: set before, set after, never set; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report.otlp_files import METRICS, read_points, read_spans

CALL = """
import openai, os
def call(model="gpt-5.4"):
    client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key="x")
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
"""
OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter, own = InMemorySpanExporter(), TracerProvider()
own.add_span_processor(SimpleSpanProcessor(exporter))
"""


def run(script: str, provider: LocalProvider, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    settings = {
        "BASE_URL": provider.base_url_openai,
        "OTEL_TOKENOMICS_ENDPOINTS": ",".join(provider.endpoints),
        "OTEL_METRICS_EXPORTER": "none",
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", CALL + script],
        env=inherited | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_provider_of_the_application_is_used_whenever_it_is_set(order: str) -> None:
    lines = ["import otel_tokenomics as tk", "tk.instrument()", "trace.set_tracer_provider(own)"]
    if order == "before":
        lines = [lines[0], lines[2], lines[1]]
    script = OWN_PROVIDER + "\n".join(lines) + "\ncall()\ntk.instrument()\ncall()\n"
    script += "print([s.name for s in exporter.get_finished_spans()], trace.get_tracer_provider() is own)"
    with LocalProvider() as provider:
        done = run(script, provider)
    assert done.stdout.strip() == "['chat gpt-5.4', 'chat gpt-5.4'] True", done.stderr
    assert done.stderr == ""


def test_without_a_provider_the_sdk_is_set_up(tmp_path: Path) -> None:
    script = (
        "import otel_tokenomics as tk\ntk.instrument()\nwith tk.tags(team='search'):\n    call()\nprint(tk.flush())"
    )
    with LocalProvider() as provider, LocalReceiver(tmp_path) as receiver:
        done = run(script, provider, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_METRICS_EXPORTER="otlp")
    assert (done.stdout.strip(), done.stderr) == ("True", "")
    (span,) = read_spans(tmp_path)
    assert span.attributes["tokenomics.tag.team"] == "search"
    costs = {point.value for point in read_points(tmp_path / METRICS) if point.metric == "tokenomics.client.cost"}
    assert costs == {span.attributes["tokenomics.cost.total"]}


def test_an_unreachable_endpoint_never_reaches_the_caller() -> None:
    script = "import otel_tokenomics as tk\ntk.instrument()\ncall()\nprint('called')"
    with LocalProvider() as provider:
        done = run(script, provider, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert (done.returncode, done.stdout.strip()) == (0, "called")
    assert "Traceback" not in done.stderr


def test_a_provider_that_takes_no_processor_works() -> None:
    script = """
from opentelemetry import trace
class Foreign(trace.NoOpTracerProvider): pass
trace.set_tracer_provider(Foreign())
import otel_tokenomics as tk
tk.instrument()
with tk.tags(team="a"):
    call()
print(tk.last_cost().status, tk.status()["providers"]["tags_on_other_spans"])
"""
    with LocalProvider() as provider:
        done = run(script, provider)
    assert done.stdout.split() == ["priced", "False"], done.stderr


def test_disabled_means_untouched() -> None:
    script = """
import openai._base_client as base
before = base.SyncAPIClient.request
import otel_tokenomics as tk
tk.instrument()
print(base.SyncAPIClient.request is before)
"""
    with LocalProvider() as provider:
        assert run(script, provider, OTEL_TOKENOMICS_ENABLED="false").stdout.strip() == "True"
        assert run(script, provider, OTEL_SDK_DISABLED="true").stdout.strip() == "True"
        assert run(script, provider).stdout.strip() == "False"


def test_a_notebook_cell_may_run_twice_and_uvloop_may_drive() -> None:
    cell = "import otel_tokenomics as tk\ntk.uninstrument()\ntk.instrument()\ncall()\n"
    loop = """
import asyncio, uvloop
async def main():
    client = openai.AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key="x")
    async def one(n):
        with tk.tags(team=f"t{n}"):
            await client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "hello"}])
    await asyncio.gather(*(one(n) for n in range(5)))
uvloop.run(main())
teams = sorted(s.attributes.get("tokenomics.tag.team", "") for s in exporter.get_finished_spans())
print(teams)
"""
    with LocalProvider() as provider:
        done = run(OWN_PROVIDER + "trace.set_tracer_provider(own)\n" + cell + cell + loop, provider)
    assert done.stdout.strip() == "['', '', 't0', 't1', 't2', 't3', 't4']", done.stderr


def test_charges_join_the_trace() -> None:
    script = (
        OWN_PROVIDER
        + """
trace.set_tracer_provider(own)
import otel_tokenomics as tk
tk.instrument()
with trace.get_tracer("app").start_as_current_span("root"):
    with trace.get_tracer("app").start_as_current_span("ocr"):
        tk.record_cost("0.0015", kind="ocr", quantity=3, unit="page")
        tk.record_cost(0.1, kind="search")
    call()
for span in exporter.get_finished_spans():
    print(span.name, span.attributes.get("tokenomics.cost.total"), span.attributes.get("tokenomics.subtree.cost.total"))
try:
    tk.record_cost("-1", kind="x")
except ValueError as error:
    print("refused")
"""
    )
    with LocalProvider() as provider:
        done = run(script, provider)
    assert done.stdout.splitlines() == [
        "charge search 0.1 None",
        "ocr 0.0015 0.1015",  # inclusive: its own and what is below it
        "chat gpt-5.4 0.0001125 None",
        "root None 0.1016125",
        "refused",
    ], done.stderr


def test_the_standard_variable_chooses_the_exporters() -> None:
    script = "import otel_tokenomics as tk\ntk.instrument()\ncall()\nprint(tk.status()['providers']['meter'])"
    with LocalProvider() as provider:
        done = run(script, provider, OTEL_TRACES_EXPORTER="console")
        both = run(script, provider, OTEL_TRACES_EXPORTER="none, console")
    assert '"name": "chat gpt-5.4"' in done.stdout
    assert "none, by OTEL_METRICS_EXPORTER" in done.stdout
    assert '"name": "chat gpt-5.4"' in both.stdout
    assert done.stderr == both.stderr == ""


def test_an_exporter_that_nobody_offers_is_one_line_that_names_it() -> None:
    script = "import otel_tokenomics as tk\ntk.instrument()\ncall()\nprint(tk.status()['failures'])"
    with LocalProvider() as provider:
        done = run(script, provider, OTEL_TRACES_EXPORTER="bogus")
    assert (done.returncode, done.stdout.strip()) == (0, "{}")
    (line,) = done.stderr.splitlines()
    assert "'bogus'" in line
    assert "console" in line


@pytest.mark.parametrize("named", [False, True], ids=["nobody named a backend", "a backend was named"])
def test_only_a_backend_that_somebody_named_is_waited_for(named: bool) -> None:
    script = (
        "import otel_tokenomics as tk\ntk.instrument()\ncall()\n"
        "from opentelemetry import trace\n"
        "exporter = trace.get_tracer_provider()._active_span_processor._span_processors[0].span_exporter\n"
        "seen = {getattr(exporter, name, None) for name in ('_timeout',)}\n"
        "seen |= {getattr(getattr(exporter, '_client', None), '_timeout', None)}\n"
        "print(1.0 in seen)\n"
        "trace.get_tracer_provider()._active_span_processor._span_processors = ()\n"
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if named else {}
    with LocalProvider() as provider:
        done = run(script, provider, **environment)
    assert done.stdout.strip() == str(not named), done.stderr
