"""After a fork parent and child report what each of them spent, in both temporalities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report.otlp_files import METRICS, read_points, read_spans
from otel_tokenomics.usage import parse_usd

SCRIPT = """
import json, os, sys
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import openai
import otel_tokenomics as tk

kind = AggregationTemporality[sys.argv[1]]
reader = InMemoryMetricReader(preferred_temporality={Counter: kind, ObservableCounter: kind})
metrics.set_meter_provider(MeterProvider([reader]))
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tk.instrument(endpoints=[sys.argv[3]])

def call(times):
    client = openai.OpenAI(base_url=sys.argv[2], api_key="x")
    for _ in range(times):
        client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "hello"}])

def requests():
    data, found = reader.get_metrics_data(), []
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "tokenomics.client.requests":
                    forked = bool((scope.scope.attributes or {}).get("tokenomics.process.forked"))
                    found += [(forked, point.value) for point in metric.data.data_points]
    return found

def work():
    call(1); first = requests()
    call(2); second = requests()
    return [first, second, len(exporter.get_finished_spans())]

before = 2
call(before); at_fork = requests(); exporter.clear()
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(writing, json.dumps(work()).encode()); os._exit(0)
os.waitpid(pid, 0)
child = json.loads(os.read(reading, 10000))
print(json.dumps({"at_fork": at_fork, "child": child, "parent": work()}))
"""


@pytest.mark.parametrize(
    ("temporality", "child", "parent"),
    [("CUMULATIVE", [1, 3], [3, 5]), ("DELTA", [1, 2], [1, 2])],
)
def test_a_forked_child_counts_its_own_calls(temporality: str, child: list[int], parent: list[int]) -> None:
    with LocalProvider() as provider:
        arguments = [temporality, provider.base_url_openai, provider.endpoints[0]]
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["at_fork"] == [[False, 2]]
    assert found["child"] == [[[True, child[0]]], [[True, child[1]]], 3]
    assert found["parent"] == [[[False, parent[0]]], [[False, parent[1]]], 3]


POOL = """
import multiprocessing, os, sys
import openai
import otel_tokenomics as tk
tk.instrument()

def work(n):
    client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key="x")
    client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "hello"}])
    return os.getpid()

if __name__ == "__main__":
    work(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pids = set(pool.map(work, range(6), chunksize=1))
        pool.close(); pool.join()
    tk.flush()
    print(len(pids))
"""


def test_a_prefork_pool_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    with LocalProvider() as provider, LocalReceiver(tmp_path) as receiver:
        environment = {
            **os.environ,
            "BASE_URL": provider.base_url_openai,
            "OTEL_TOKENOMICS_ENDPOINTS": ",".join(provider.endpoints),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        }
        script = tmp_path / "pool.py"
        script.write_text(POOL)
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(script)],
            env=environment, capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip
        billed = len(provider.ledger.billed)
    assert done.returncode == 0, done.stderr
    spans = list(read_spans(tmp_path))
    assert (billed, len(spans)) == (7, 7)
    last: dict[object, float] = {}
    for point in read_points(tmp_path / METRICS):
        if point.metric == "tokenomics.client.cost":
            last[point.start_ns] = point.value
    assert sum(map(parse_usd, last.values())) == sum(
        parse_usd(span.attributes["tokenomics.cost.total"]) for span in spans
    )
