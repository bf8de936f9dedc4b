"""The wide and the newest distribution, as built: what is in them, each configuration valid and run, two tiers."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import pytest
import yaml
from collector_run import (
    DISTRIBUTION,
    FRAGMENTS,
    ROOT,
    Backend,
    Json,
    Running,
    binary,
    call,
    command,
    free_port,
    root,
    running,
    trace_id,
    until,
)

pytestmark = [pytest.mark.collector, pytest.mark.distributions]

TRACES: Final = range(1, 61)
#: 100 x 100 + 50 x 200 USD per million, twice.
TRACE_COST: Final = 0.04
INSTANCES: Final = 3
CLASSES: Final = ("receivers", "processors", "exporters", "connectors", "extensions")
#: What the newest distribution has not, of what configurations name.
NOT_IN_NEWEST: Final = {"tail_sampling", "prometheus", "load_balancing"}

CONFIGS: Final = [
    *([path] for path in sorted(DISTRIBUTION.glob("config*.yaml"))),
    *([FRAGMENTS / "existing.yaml", path] for path in sorted(FRAGMENTS.glob("*.yaml"))),
]


def named(files: list[Path]) -> set[str]:
    """Return the types of the components that configurations name."""
    found: set[str] = set()
    for path in files:
        config = yaml.safe_load(path.read_text())
        for section in CLASSES:
            found |= {name.partition("/")[0] for name in config.get(section, {})}
    return found


def spans() -> list[Json]:
    """Return traces of a root, a call, and a call below it, all of one sort together: no trace comes whole."""
    first = [call(number, 2, 100, 50, parent=1) for number in TRACES]
    second = [call(number, 3, 100, 50, parent=2) for number in TRACES]
    for span in second:  # another call, not the first one again
        span["attributes"] += [{"key": "gen_ai.response.id", "value": {"stringValue": span["traceId"] + "-3"}}]
    for span in first:
        span["attributes"] += [{"key": "gen_ai.response.id", "value": {"stringValue": span["traceId"] + "-2"}}]
    return [*second, *first, *(root(number) for number in TRACES)]


@pytest.mark.parametrize("name", ["demo", "wide", "newest"])
def test_what_the_manifest_names_is_in_the_binary_under_a_name_that_is_no_alias(name: str) -> None:
    manifest = yaml.safe_load((DISTRIBUTION / f"builder-config{'' if name == 'demo' else '.' + name}.yaml").read_text())
    done = command("components", program=name)
    assert done.returncode == 0, done.stderr
    components = yaml.safe_load(done.stdout)
    assert components["buildinfo"]["command"] == "otelcol-tokenomics"
    for section in CLASSES:
        built = [entry["name"] for entry in components.get(section) or []]
        assert len(built) == len(manifest[section]), section
        modules = {entry["module"].split()[0] for entry in components[section]}
        assert modules == {entry["gomod"].split()[0] for entry in manifest[section]}, section
        assert not [name for name in built if name in ("otlp", "otlphttp") and section == "exporters"]
        page = (ROOT / "docs" / "collector.md").read_text()
        assert [name for name in built if not re.search(rf"\b{name}\b", page)] == []
    assert {"tokenomics", "tokenomics_rollup"} <= {entry["name"] for entry in components["processors"]}


@pytest.mark.parametrize("name", ["wide", "newest"])
@pytest.mark.parametrize("files", CONFIGS, ids=lambda files: files[-1].name)
def test_valid_as_shipped(name: str, files: list[Path]) -> None:
    done = command("validate", *(f"--config={path}" for path in files), program=name)
    if name == "newest" and (missing := named(files) & NOT_IN_NEWEST):
        assert done.returncode == 1
        assert any(f'unknown type: "{kind}"' in done.stderr for kind in missing), done.stderr
    else:
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["wide", "newest"])
@pytest.mark.parametrize("files", [["config.rollup.yaml"], ["fragments/existing.yaml", "fragments/metrics.yaml"]])
def test_runs_and_prices(tmp_path: Path, name: str, files: list[str]) -> None:
    backend = Backend()
    configs = [DISTRIBUTION / file for file in files]
    try:
        with running(binary(name), tmp_path, configs, FORWARD_ENDPOINT=backend.endpoint) as collector:
            collector.send(spans())
            if files == ["config.rollup.yaml"]:
                until(lambda: len(backend.spans()) == 3 * len(TRACES), "every span is there")
            else:
                total = pytest.approx(len(TRACES) * TRACE_COST, abs=1e-9)
                until(lambda: backend.cost() == total, "every cost is counted")
    finally:
        backend.close()
    if files == ["config.rollup.yaml"]:
        assert_totals(backend)


def assert_totals(*backends: Backend) -> None:
    """Every span once; each root bears what its trace cost."""
    arrived = [span for backend in backends for span in backend.spans()]
    assert sorted((s["traceId"], s["spanId"]) for s in arrived) == sorted((s["traceId"], s["spanId"]) for s in spans())
    totals = {s["traceId"]: s["attributes"] for s in arrived if "parentSpanId" not in s}
    for number in TRACES:
        bears = totals[trace_id(number)]
        assert bears["tokenomics.trace.cost.total"] == pytest.approx(TRACE_COST, abs=1e-9)
        assert bears["tokenomics.trace.llm_calls"] == 2
        assert bears["tokenomics.trace.complete"] is True


def second_tier(
    folder: Path, configs: list[Path], backend: Backend, idle_wait: str = "60s"
) -> AbstractContextManager[Running]:
    """Run an instance of the second tier, which keeps every trace."""
    every = {"name": "all", "type": "probabilistic", "probabilistic": {"sampling_percentage": 100}}
    return running(
        binary("wide"),
        folder,
        configs,
        {"processors": {"tail_sampling": {"policies": [every]}, "tokenomics_rollup": {"idle_wait": idle_wait}}},
        FORWARD_ENDPOINT=backend.endpoint,
        OTLP_GRPC_ENDPOINT=f"127.0.0.1:{free_port()}",
        TELEMETRY_PORT=str(free_port()),
    )


def endpoints(instances: list[Running]) -> str:
    """Return the second tier as the first one is told of it."""
    return json.dumps([f"127.0.0.1:{instance.grpc}" for instance in instances])


def two_tiers(tmp_path: Path, first: list[Path], second: list[Path]) -> tuple[list[Backend], Backend]:
    """Run one instance of the first tier in front of three of the second; return their backends, and the first's."""
    backends, metrics = [Backend() for _ in range(INSTANCES)], Backend()
    try:
        with ExitStack() as stack:
            below = [
                stack.enter_context(second_tier(tmp_path / f"second{number}", second, backend))
                for number, backend in enumerate(backends)
            ]
            with running(
                binary("wide"),
                tmp_path / "first",
                first,
                TIER2_ENDPOINTS=endpoints(below),
                FORWARD_ENDPOINT=metrics.endpoint,
            ) as collector:
                for span in spans():  # each alone: the pieces of a trace come apart, and find together
                    collector.send([span])
                until(
                    lambda: sum(len(backend.spans()) for backend in backends) == 3 * len(TRACES), "every span is there"
                )
                total = pytest.approx(len(TRACES) * TRACE_COST, abs=1e-9)
                if "config.tier1.yaml" in {path.name for path in first}:
                    until(lambda: collector.scraped_cost() == total, "every cost is counted")
                else:
                    until(lambda: metrics.cost() == total, "every cost is counted")
    finally:
        for backend in [*backends, metrics]:
            backend.close()
    return backends, metrics


def tiers(kind: str) -> tuple[list[Path], list[Path]]:
    if kind == "configs":
        return [DISTRIBUTION / "config.tier1.yaml"], [DISTRIBUTION / "config.tier2.yaml"]
    existing = FRAGMENTS / "existing.yaml"
    return [existing, FRAGMENTS / "tier1.yaml"], [existing, FRAGMENTS / "tier2.yaml"]


@pytest.mark.parametrize("kind", ["configs", "fragments"])
def test_two_tiers(tmp_path: Path, kind: str) -> None:
    first, second = tiers(kind)
    backends, metrics = two_tiers(tmp_path, first, second)
    assert_totals(*backends)
    held = [{span["traceId"] for span in backend.spans()} for backend in backends]
    assert all(held), "an instance got no trace"
    assert sum(map(len, held)) == len(TRACES), "a trace went to two instances"
    assert "/v1/traces" not in metrics.received, "a span went past the second tier"


def test_coding_agents_through_two_tiers(tmp_path: Path) -> None:
    """Log events are priced and counted in the first tier, and go on from the second."""
    (first,), (second,) = tiers("configs")
    backend = Backend()
    # 1000 x 3 + 100 x 15 USD per million, the provider's list price.
    event = {"event.name": "api_request", "model": "claude-sonnet-4-5", "input_tokens": 1000, "output_tokens": 100}
    cost = pytest.approx(0.0045, abs=1e-9)
    try:
        with (
            second_tier(tmp_path / "second", [second], backend) as below,
            running(binary("wide"), tmp_path / "first", [first], TIER2_ENDPOINTS=endpoints([below])) as collector,
        ):
            collector.send_event("com.anthropic.claude_code.events", event)
            until(backend.records, "the record goes on")
            until(lambda: collector.scraped_cost() == cost, "the metrics know of it")
    finally:
        backend.close()
    (record,) = backend.records()
    assert record["tokenomics.cost.total"] == cost


@pytest.mark.parametrize("kind", ["configs", "fragments"])
def test_no_span_is_lost_where_an_instance_is_killed_and_another_joins(tmp_path: Path, kind: str) -> None:
    """What the killed one did not take waits, outlives the first tier, which is killed too, and finds another."""
    first, second = tiers(kind)
    backend = Backend()

    def join(name: str) -> AbstractContextManager[Running]:
        # A part of a trace without its root, which goes to another instance, is not held for long.
        return second_tier(tmp_path / name, second, backend, idle_wait="2s")

    def arrived() -> set[tuple[str, str]]:
        return {(span["traceId"], span["spanId"]) for span in backend.spans()}

    def ids(sent: list[Json]) -> set[tuple[str, str]]:
        return {(span["traceId"], span["spanId"]) for span in sent}

    everything = spans()
    parts = [[s for s in everything if s["traceId"] in {trace_id(n) for n in TRACES[at::3]}] for at in range(3)]
    try:
        with ExitStack() as stack:
            below = [stack.enter_context(join(f"second{number}")) for number in range(INSTANCES)]
            program, folder = binary("wide"), tmp_path / "first"
            with running(
                program, folder, first, TIER2_ENDPOINTS=endpoints(below), FORWARD_ENDPOINT=backend.endpoint
            ) as collector:
                collector.send(parts[0])
                until(lambda: arrived() == ids(parts[0]), "nothing is held")
                below.pop().kill()
                for span in parts[1]:
                    collector.send([span])
                collector.kill()
            assert arrived() < ids(parts[0] + parts[1]), "nothing was for the one that is gone"
            below.append(stack.enter_context(join("joined")))
            with running(
                program, folder, first, TIER2_ENDPOINTS=endpoints(below), FORWARD_ENDPOINT=backend.endpoint
            ) as collector:
                collector.send(parts[2])
                until(lambda: arrived() == ids(everything), "every span is there")
    finally:
        backend.close()
