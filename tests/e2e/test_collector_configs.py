"""Each default configuration and each fragment, run as shipped on the demo set: OTLP in, OTLP and metrics out.

The prices are laid over them (``collector_run.PRICES``), so that every expected amount can be reckoned by hand.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

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
    root,
    running,
    trace_id,
    until,
)

from otel_tokenomics.version import __version__

pytestmark = pytest.mark.collector

CHEAP: Final = range(1, 201)
DEAR: Final = range(1001, 1004)
UNKNOWN: Final = range(2001, 2003)
TRACES: Final = len(CHEAP) + len(DEAR) + len(UNKNOWN)
SPANS: Final = 2 * len(CHEAP) + 3 * len(DEAR) + 2 * len(UNKNOWN)
#: A cheap call is 100 x 100 + 50 x 200 USD per million; a dear trace has two of 2000 and 1000.
CHEAP_COST: Final = 0.02
DEAR_COST: Final = 0.8
TOTAL: Final = 200 * CHEAP_COST + 3 * DEAR_COST

Seen = Callable[[Running, Backend], object]

WIDE_ONLY: Final = {"tier1.yaml", "config.tier1.yaml"}


def traffic() -> list[Json]:
    """Return cheap traces, some that nobody can price, and dear ones, whose calls are not dear alone; these last."""
    spans: list[Json] = []
    for number in CHEAP:
        spans += [call(number, 2, 100, 50, parent=1), root(number)]
    for number in UNKNOWN:
        spans += [call(number, 2, 100, 50, model="model-unheard-of", parent=1), root(number)]
    for number in DEAR:
        spans += [call(number, 2, 2000, 1000, parent=1), call(number, 3, 2000, 1000, parent=1), root(number)]
    return spans


def ids(numbers: range) -> set[str]:
    return {trace_id(number) for number in numbers}


def traces(spans: list[Json]) -> set[str]:
    return {span["traceId"] for span in spans}


def roots(spans: list[Json]) -> dict[str, Json]:
    return {span["traceId"]: span["attributes"] for span in spans if "parentSpanId" not in span}


def near(amount: float) -> Any:
    return pytest.approx(amount, abs=1e-9)


def run(tmp_path: Path, *configs: Path, seen: Seen, more: Json | None = None) -> Backend:
    """Run configs over the traffic until ``seen(collector, backend)``; return what its backend got."""
    backend = Backend()
    try:
        with running(binary(), tmp_path, configs, more, FORWARD_ENDPOINT=backend.endpoint) as collector:
            collector.send(traffic())
            until(lambda: seen(collector, backend), "what was to be seen")
    finally:
        backend.close()
    return backend


def existing_alone(tmp_path: Path) -> set[str]:
    """Return the traces that the existing collector's sampler keeps."""
    backend = run(tmp_path / "alone", FRAGMENTS / "existing.yaml", seen=lambda _, backend: backend.spans())
    kept = traces(backend.spans())
    assert TRACES * 0.3 < len(kept) < TRACES * 0.7
    return kept


def assert_priced(spans: list[Json]) -> None:
    for span in spans:
        bears = span["attributes"]
        if span["kind"] == 2:
            assert "tokenomics.cost.status" not in bears
        elif bears["gen_ai.request.model"] == "model-unheard-of":
            assert bears["tokenomics.cost.status"] == "unpriced"
            assert "tokenomics.cost.total" not in bears
        else:
            wanted = 0.02 if bears["gen_ai.usage.input_tokens"] == 100 else 0.4
            assert bears["tokenomics.cost.total"] == near(wanted)


def assert_sampled_by_cost(spans: list[Json]) -> None:
    """Dear and unpriced traces are whole and told what they cost; of the cheap ones about a tenth is left, whole."""
    assert_priced(spans)
    kept = traces(spans)
    assert ids(DEAR) | ids(UNKNOWN) <= kept
    cheap = kept & ids(CHEAP)
    assert 5 <= len(cheap) <= 40
    assert len(spans) == 3 * len(DEAR) + 2 * len(UNKNOWN) + 2 * len(cheap)
    for trace, bears in roots(spans).items():
        assert bears["tokenomics.trace.complete"] is True
        if trace in ids(UNKNOWN):
            assert bears["tokenomics.trace.unpriced_calls"] == 1
            assert "tokenomics.trace.cost.total" not in bears
        else:
            wanted = DEAR_COST if trace in ids(DEAR) else CHEAP_COST
            assert bears["tokenomics.trace.cost.total"] == near(wanted)


def dear_roots_came(_: Running, backend: Backend) -> bool:
    return ids(DEAR) <= roots(backend.spans()).keys()


def test_single(tmp_path: Path) -> None:
    def seen(collector: Running, backend: Backend) -> bool:
        return len(backend.spans()) == SPANS and collector.scraped_cost() == near(TOTAL)

    backend = run(tmp_path, DISTRIBUTION / "config.yaml", seen=seen)
    assert_priced(backend.spans())


def test_roll_up(tmp_path: Path) -> None:
    config = DISTRIBUTION / "config.rollup.yaml"
    backend = run(tmp_path, config, seen=lambda _, backend: len(backend.spans()) == SPANS)
    assert_priced(backend.spans())
    totals = [bears.get("tokenomics.trace.cost.total") for bears in roots(backend.spans()).values()]
    assert sum(total for total in totals if total) == near(TOTAL)
    assert totals.count(None) == len(UNKNOWN)


def test_tail_sampling(tmp_path: Path) -> None:
    def seen(collector: Running, backend: Backend) -> bool:
        return dear_roots_came(collector, backend) and collector.scraped_cost() == near(TOTAL)

    backend = run(tmp_path, DISTRIBUTION / "config.tail-sampling.yaml", seen=seen)
    assert_sampled_by_cost(backend.spans())


def test_metrics_only(tmp_path: Path) -> None:
    """To both places that the file names; no span leaves."""
    more: Json = {"service": {"pipelines": {"metrics": {"exporters": ["prometheus", "otlp_http"]}}}}

    def seen(collector: Running, backend: Backend) -> bool:
        return collector.scraped_cost() == near(TOTAL) and backend.cost() == near(TOTAL)

    backend = run(tmp_path, DISTRIBUTION / "config.metrics.yaml", more=more, seen=seen)
    assert set(backend.received) == {"/v1/metrics"}


def test_fragment_single(tmp_path: Path) -> None:
    """The existing sampler keeps what it kept; the metrics know of all."""
    kept = existing_alone(tmp_path)
    files = (FRAGMENTS / "existing.yaml", FRAGMENTS / "single.yaml")
    backend = run(tmp_path, *files, seen=lambda _, backend: backend.cost() == near(TOTAL) and backend.spans())
    assert traces(backend.spans()) == kept
    assert_priced(backend.spans())


def test_fragment_metrics(tmp_path: Path) -> None:
    """The existing pipeline is as it was, to the attribute; the metrics know of all."""
    kept = existing_alone(tmp_path)
    files = (FRAGMENTS / "existing.yaml", FRAGMENTS / "metrics.yaml")
    backend = run(tmp_path, *files, seen=lambda _, backend: backend.cost() == near(TOTAL) and backend.spans())
    assert traces(backend.spans()) == kept
    assert not [key for span in backend.spans() for key in span["attributes"] if key.startswith("tokenomics.")]


def test_fragment_rollup(tmp_path: Path) -> None:
    """Whole traces come to the sampler, which keeps what it kept."""
    kept = existing_alone(tmp_path)
    files = (FRAGMENTS / "existing.yaml", FRAGMENTS / "rollup.yaml")
    backend = run(tmp_path, *files, seen=lambda _, backend: roots(backend.spans()).keys() == kept)
    assert_priced(backend.spans())
    for trace, bears in roots(backend.spans()).items():
        assert bears["tokenomics.trace.complete"] is True
        wanted = None if trace in ids(UNKNOWN) else near(DEAR_COST if trace in ids(DEAR) else CHEAP_COST)
        assert bears.get("tokenomics.trace.cost.total") == wanted


def test_fragment_tail_sampling(tmp_path: Path) -> None:
    files = (FRAGMENTS / "existing.yaml", FRAGMENTS / "tail-sampling.yaml")

    def seen(collector: Running, backend: Backend) -> bool:
        return dear_roots_came(collector, backend) and backend.cost() == near(TOTAL)

    assert_sampled_by_cost(run(tmp_path, *files, seen=seen).spans())


#: What Claude Code tells of one call: 1000 x 3 + 100 x 15 USD per million (the provider's list price).
EVENT: Final[Json] = {
    "event.name": "api_request", "model": "claude-sonnet-4-5-20250929", "input_tokens": 1000, "output_tokens": 100,
}  # fmt: skip
EVENT_COST: Final = 0.0045


@pytest.mark.parametrize(
    ("configs", "on", "scraped"),
    [
        ([DISTRIBUTION / "config.yaml"], True, True),
        ([DISTRIBUTION / "config.rollup.yaml"], True, False),
        ([DISTRIBUTION / "config.tail-sampling.yaml"], True, True),
        ([DISTRIBUTION / "config.metrics.yaml"], False, True),
        ([FRAGMENTS / "existing.yaml", FRAGMENTS / "coding-agents.yaml"], True, False),
        ([FRAGMENTS / "existing.yaml", FRAGMENTS / "single.yaml", FRAGMENTS / "coding-agents.yaml"], True, False),
    ],
    ids=lambda value: "+".join(path.stem for path in value) if isinstance(value, list) else None,
)
def test_coding_agents(tmp_path: Path, configs: list[Path], on: bool, scraped: bool) -> None:
    """Log events are priced, go on, and are counted, wherever the configuration does so with spans."""
    backend = Backend()
    try:
        with running(binary(), tmp_path, configs, FORWARD_ENDPOINT=backend.endpoint) as collector:
            collector.send_event("com.anthropic.claude_code.events", EVENT)
            if on:
                until(backend.records, "the record goes on")
                (record,) = backend.records()
                assert record["tokenomics.cost.total"] == near(EVENT_COST)
            if scraped:
                until(lambda: collector.scraped_cost() == near(EVENT_COST), "the metrics know of it")
            elif configs[0].name == "existing.yaml":
                until(lambda: backend.cost() == near(EVENT_COST), "the metrics know of it")
    finally:
        backend.close()


CONFIGS: Final = [
    *([path] for path in sorted(DISTRIBUTION.glob("config*.yaml")) if path.name not in WIDE_ONLY),
    *([FRAGMENTS / "existing.yaml", path] for path in sorted(FRAGMENTS.glob("*.yaml")) if path.name not in WIDE_ONLY),
]


@pytest.mark.parametrize("files", CONFIGS, ids=lambda files: files[-1].name)
def test_valid_as_shipped(files: list[Path]) -> None:
    done = command("validate", *(f"--config={path}" for path in files))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_fragment_prices_behind_the_memory_limiter_and_before_a_sampler() -> None:
    """What the page promises of each fragment, also of those that are run elsewhere."""
    samplers = {"probabilistic_sampler", "tail_sampling"}
    for path in sorted(FRAGMENTS.glob("*.yaml")):
        if path.name == "existing.yaml":
            continue
        pipelines: dict[str, Json] = yaml.safe_load(path.read_text())["service"]["pipelines"]
        found = 0
        for pipeline in pipelines.values():
            chain = [name.partition("/")[0] for name in pipeline.get("processors", [])]
            ours = [at for at, name in enumerate(chain) if name.startswith("tokenomics")]
            if not ours:
                continue
            found += 1
            if pipeline.get("receivers") != ["forward/tokenomics"]:
                assert chain[0] == "memory_limiter", path.name
                assert ours[0] == 1, path.name
            assert all(at > max(ours) for at, name in enumerate(chain) if name in samplers), path.name
        assert found, path.name


SHIPPED: Final = [
    *(path for path in sorted(DISTRIBUTION.glob("config*.yaml")) if path.name != "config.demo.yaml"),
    *sorted((ROOT / "examples" / "kubernetes").glob("values.?*.yaml")),
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_shipped_waits_for_its_backend_and_counts_once(path: Path) -> None:
    """As docs/sizing.md promises: no queue gives up, no span that a sender sends again is counted again."""
    config = yaml.safe_load(path.read_text())
    config = config.get("alternateConfig", config)
    senders = [settings for name, settings in config["exporters"].items() if name != "prometheus"]
    assert senders
    for settings in senders:
        # load_balancing has two places for a queue, of which one is used.
        places = [settings, *settings.get("protocol", {}).values()]
        retries = [place["retry_on_failure"] for place in places if "retry_on_failure" in place]
        assert [retry["max_elapsed_time"] for retry in retries if retry["enabled"]] == ["0s"]
    for name, settings in config.get("connectors", {}).items():
        assert name != "tokenomics" or settings["dedupe"] == {"window": "5m"}


def test_what_the_benchmark_compares_is_valid(tmp_path: Path) -> None:
    """Also a shipped configuration without ours, whose every pipeline the benchmark must know."""
    for number, arrangement in enumerate(
        runpy.run_path(str(ROOT / "benchmarks" / "bench_collector.py"))["arrangements"]()
    ):
        configs: list[str] = []
        for place, config in enumerate(arrangement.configs):
            path = config if isinstance(config, Path) else tmp_path / f"{number}.{place}.json"
            if path is not config:
                path.write_text(json.dumps(config))
            configs.append(f"--config={path}")
        done = command("validate", *configs)
        assert (done.returncode, done.stderr) == (0, ""), arrangement.name


def test_the_manifests_state_the_version_of_the_project() -> None:
    manifests = sorted(DISTRIBUTION.glob("builder-config*.yaml"))
    assert len(manifests) >= 3
    for path in manifests:
        assert yaml.safe_load(path.read_text())["dist"]["version"] == __version__, path.name
