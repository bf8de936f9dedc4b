"""What can happen to a collector under load, each asserted to the span and the pico-dollar.

Each scenario takes a folder for its files and a size, and returns the numbers that its table shows; it raises
AssertionError where a span or a cent is lost, told wrongly or counted twice.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from load_parts import ROOT, START_S, STEP_S, Collector, Json, Sender, Sink, free_port, persistent, pipeline

from otel_tokenomics.demo.provider import LocalProvider

#: Spans of a trace.
TRACE: Final = 20
ROLLUP: Final = ("memory_limiter", "tokenomics", "tokenomics_rollup")
SETUPS: Final[Mapping[str, tuple[tuple[str, ...], bool]]] = {
    "without ours": (("memory_limiter",), False),
    "tokenomics": (("memory_limiter", "tokenomics"), False),
    "+ connector": (("memory_limiter", "tokenomics"), True),
    "+ connector + roll-up": (ROLLUP, True),
}


def balance(report: Json, found: Json, *, duplicates: bool = False, counted: bool = True) -> None:
    """Assert that what was accepted arrived, priced right, and that the connector counted it once."""
    assert found["distinct"] == report["accepted"], f"accepted {report}, arrived {found}"
    assert found["wrong_price"] == 0, found
    if not duplicates:
        assert (found["duplicates"], found["pico_stated"]) == (0, report["accepted"]["pico"]), found
    if counted:
        counters = (found["metric_pico"], found["metric_requests"])
        assert counters == (report["accepted"]["pico"], report["accepted"]["calls"]), f"{report}, counted {found}"


def everything_went(report: Json, spans: int) -> None:
    """Assert that the sender got rid of all of it."""
    assert report["gave_up"]["spans"] == 0, report
    assert report["accepted"]["spans"] == spans, report


def measure(folder: Path, setup: str, models: int, rate: int, spans: int) -> Json:
    """Send at a rate (0 for as fast as it goes); return CPU per span and memory of the collector."""
    processors, count = SETUPS[setup]
    # A full wait, as shipped: memory is what is held meanwhile.
    more = {"processors": {"tokenomics_rollup": {"wait_after_root": "2s"}}} if "tokenomics_rollup" in processors else {}
    port = free_port()
    with (
        Sink(TRACE) as sink,
        Collector(folder, pipeline(port, sink.endpoint, processors, count=count, more=more), port) as collector,
    ):
        time.sleep(1)  # the work of the start goes on for a moment
        idle, before = collector.memory_mib(), collector.cpu_s
        report = Sender(collector.endpoint, spans, models=models, rate=rate).report()
        found = sink.wait(spans, report["accepted"]["calls"] if count else None)
        used, peak = collector.cpu_s - before, collector.memory_mib("VmHWM")
    everything_went(report, spans)
    if setup == "without ours":
        assert found["distinct"] == report["accepted"]
    else:
        balance(report, found, counted=count)
    if "tokenomics_rollup" in processors:
        assert found["traces"]["right"] == spans // TRACE, found
    return {
        "setup": setup, "model_spans": f"{models} %", "rate": rate or "most", "spans": spans,
        "spans_per_s": round(spans / report["seconds"]), "cpu_us_per_span": round(used / spans * 1e6, 1),
        "spans_per_core_s": round(spans / used), "idle_mib": round(idle), "peak_mib": round(peak),
    }  # fmt: skip


def steady(folder: Path, *, short: bool) -> list[Json]:
    """Load at several rates, with and without ours, 5 % and 100 % model spans; medians of interleaved rounds."""
    rates = ((0, 10_000),) if short else ((5_000, 40_000), (0, 150_000))
    rows: dict[tuple[str, int, int], list[Json]] = {}
    for _ in range(1 if short else 3):
        for rate, spans in rates:
            for models in (5, 100):
                for setup in SETUPS:
                    rows.setdefault((setup, models, rate), []).append(measure(folder, setup, models, rate, spans))
    numbers = ("spans_per_s", "cpu_us_per_span", "spans_per_core_s", "idle_mib", "peak_mib")
    return [
        {**row[0], **{name: statistics.median(one[name] for one in row) for name in numbers}} for row in rows.values()
    ]


def memory_limit(folder: Path, *, short: bool) -> list[Json]:
    """A slow backend fills the queue; the limiter refuses, the sender waits, and all arrives once."""
    spans = 60_000 if short else 120_000
    more = {
        "processors": {"memory_limiter": {"check_interval": "100ms", "limit_mib": 110, "spike_limit_mib": 30}},
        "exporters": {"otlp_http": {"sending_queue": {"block_on_overflow": False, "queue_size": 100_000}}},
    }
    port = free_port()
    rows: list[Json] = []
    with (
        Sink() as sink,
        Collector(folder, pipeline(port, sink.endpoint, more=more), port) as collector,
    ):
        for name, retry in (("refused, sent again", True), ("refused, given up", False)):
            before = sink.count()
            sink.behave(delay_ms=2000)
            sender = Sender(collector.endpoint, spans, seed=2 + retry, retry=str(retry).lower(), workers=8)
            if retry:
                time.sleep(4)  # long enough for refusals; then the queue drains
                sink.behave()
            report = sender.report()
            sink.behave()
            wanted = before["distinct"]["spans"] + report["accepted"]["spans"]
            found = sink.wait(wanted, before["metric_requests"] + report["accepted"]["calls"])
            assert report["refusals"].get("503", 0) > 0, f"nothing was refused: {report}"
            assert report["unknown"] == 0, report
            assert report["accepted"]["spans"] + report["gave_up"]["spans"] == spans, report
            assert bool(report["gave_up"]["spans"]) is not retry, report
            balance(report, difference(found, before))
            rows.append(row(name, report, difference(found, before), peak_mib=round(collector.memory_mib("VmHWM"))))
    return rows


def difference(after: Json, before: Json) -> Json:
    """Return what came between two counts."""
    return {
        key: difference(cast("Json", value), before[key]) if isinstance(value, dict) else value - before[key]
        for key, value in after.items()
    }


def row(name: str, report: Json, found: Json, **more: object) -> Json:
    """Return the line of a table: sent = delivered + refused, and cents."""
    return {
        "case": name,
        "sent": report["accepted"]["spans"] + report["gave_up"]["spans"],
        "delivered": found["distinct"]["spans"],
        "given_up": report["gave_up"]["spans"],
        "duplicates": found["duplicates"],
        "refusals": sum(report["refusals"].values()),
        "no_answer": report["unknown"],
        "usd_in": f"{report['accepted']['pico'] / 1e12:.12f}",
        "usd_out": f"{found['distinct']['pico'] / 1e12:.12f}",
        "usd_counted": f"{found['metric_pico'] / 1e12:.12f}",
        **more,
    }


def back_pressure(folder: Path, *, short: bool) -> list[Json]:
    """A slow backend and a small queue: who waits, and what a sender's impatience does to the counters."""
    spans = 10_000 if short else 30_000
    queue = {"queue_size": 4, "num_consumers": 2, "batch": {"min_size": 100, "max_size": 500}}
    rows: list[Json] = []
    for name, timeout, window in (
        ("sender waits", "10s", "5m"),
        ("sender loses patience", "300ms", "5m"),
        ("the same, counted without dedupe", "300ms", "0s"),
    ):
        port = free_port()
        more = {
            "exporters": {"otlp_http": {"sending_queue": queue}},
            "connectors": {"tokenomics": {"dedupe": {"window": window}}},
        }
        with Sink() as sink, Collector(folder, pipeline(port, sink.endpoint, more=more), port) as collector:
            sink.behave(delay_ms=150)
            sender = Sender(collector.endpoint, spans, workers=8, timeout=timeout)
            report = sender.report()
            sink.behave()
            found = sink.wait(spans, report["accepted"]["calls"])
            time.sleep(1.5)  # what was sent once more may still be under way
            found = sink.count()
        everything_went(report, spans)
        balance(report, found, duplicates=timeout != "10s", counted=window != "0s")
        if window == "0s":
            # What dedupe is for: the exporter refused what the connector had counted.
            assert found["metric_requests"] > report["accepted"]["calls"], found
        if timeout == "10s":
            assert report["slowest_answer"] > 0.15, f"nobody waited: {report}"
            assert report["unknown"] == 0, report
        else:
            assert report["unknown"] > 0, f"the sender never lost patience: {report}"
        rows.append(row(name, report, found, slowest_answer_s=round(report["slowest_answer"], 2)))
    return rows


def dead_backend(folder: Path, *, short: bool) -> list[Json]:
    """The backend is gone for a while; the queue on disk keeps what comes, over a stop of the collector too."""
    spans = 20_000 if short else 60_000
    port = free_port()
    with (
        Sink() as sink,
        Collector(folder, pipeline(port, sink.endpoint, more=persistent(folder)), port) as collector,
    ):
        sink.go_away()
        first = Sender(collector.endpoint, spans, seed=1).report()
        everything_went(first, spans)
        assert sink.count()["distinct"]["spans"] == 0
        kept = sum(file.stat().st_size for file in (folder / "queue").iterdir())
        assert collector.end() == 0, collector.log.read_text()
        collector.start()
        second = Sender(collector.endpoint, spans, seed=2).report()
        everything_went(second, spans)
        time.sleep(1)
        sink.come_back()
        report = together(first, second)
        found = sink.wait(2 * spans, report["accepted"]["calls"])
    balance(report, found)
    kept_all = row("queue on disk; gone, stopped, started, back", report, found, queue_mib=round(kept / 2**20, 1))
    return [kept_all, _given_up(folder)]


def _given_up(folder: Path) -> Json:
    """Show what the exporter does whose patience ends first: five minutes, if nothing else is said."""
    more = {"exporters": {"otlp_http": {"retry_on_failure": {"max_elapsed_time": "1s", "max_interval": "300ms"}}}}
    spans, port = 5_000, free_port()
    with (
        Sink() as sink,
        Collector(folder, pipeline(port, sink.endpoint, more=more), port, name="impatient") as collector,
    ):
        sink.go_away()
        report = Sender(collector.endpoint, spans, seed=3).report()
        everything_went(report, spans)
        deadline = time.monotonic() + START_S
        while collector.said("Dropping data") == 0 and time.monotonic() < deadline:
            time.sleep(STEP_S)
        time.sleep(1)
        sink.come_back()
        found = sink.wait(spans, report["accepted"]["calls"], seconds=4)
    lost = spans - found["distinct"]["spans"]
    assert lost > 0, "it should have given up"
    assert found["metric_pico"] == report["accepted"]["pico"], "the counters know of what the backend will never see"
    return row("max_elapsed_time shorter than that", report, found, lost=lost)


def together(first: Json, second: Json) -> Json:
    """Return the sum of two reports."""
    total: Json = {}
    for key in {*first, *second}:
        one, other = first.get(key, 0), second.get(key, 0)
        total[key] = together(cast("Json", one), other) if isinstance(one, dict) else one + other
    return total


def killed(folder: Path, *, short: bool) -> list[Json]:
    """The collector is killed under load and starts again on its queue: at least once; held spans are lost."""
    spans = 30_000 if short else 90_000
    rows: list[Json] = []
    for name, processors, number in (
        ("kill -9, queue on disk", ("memory_limiter", "tokenomics"), signal.SIGKILL),
        ("kill -9, roll-up holds", ROLLUP, signal.SIGKILL),
        ("SIGTERM, roll-up holds", ROLLUP, signal.SIGTERM),
    ):
        place = folder / str(len(rows))
        place.mkdir()
        port = free_port()
        with (
            Sink(TRACE) as sink,
            Collector(place, pipeline(port, sink.endpoint, processors, more=persistent(place)), port) as collector,
        ):
            sink.behave(delay_ms=20)
            sender = Sender(collector.endpoint, spans, models=25, parts=4, rate=spans / 6, workers=8)
            time.sleep(3)
            code = collector.end(number)
            assert code == (0 if number == signal.SIGTERM else -number), collector.log.read_text()
            collector.start()
            report = sender.report()
            sink.behave()
            # What was not waited for would stay in the queue on disk, for the next start.
            sink.wait(spans, report["accepted"]["calls"], seconds=20 if number == signal.SIGTERM else 4)
            assert collector.end() == 0, collector.log.read_text()
            found = sink.count()
        everything_went(report, spans)
        assert report["refusals"].get("unreachable", 0) + report["unknown"] > 0, f"the sender noticed nothing: {report}"
        lost = spans - found["distinct"]["spans"]
        if name == "kill -9, roll-up holds":
            assert lost > 0, "what was held should be gone"
            assert found["wrong_price"] == 0
        else:
            assert found["distinct"] == report["accepted"], f"accepted {report}, arrived {found}"
        if number == signal.SIGTERM:
            balance(report, found, duplicates=True)
        # The collector was away: no trace that was under way claims to be whole, whatever is left of it.
        assert found["traces"]["wrong"] == found["traces"]["contradicted"] == 0, found
        rows.append(row(name, report, found, lost_held=lost, **traces_of(found)))
    return rows


def traces_of(found: Json) -> Json:
    """Return what the traces say of themselves."""
    counts = found["traces"]
    return {f"traces_{name}": counts[name] for name in ("seen", "right", "flagged", "contradicted", "wrong", "bare")}


def real_sdk(folder: Path, *, short: bool) -> list[Json]:
    """A service on the real client: what the provider billed = spans = the connector's counters."""
    model, price = "gpt-5.4-mini", (750_000, 4_500_000)
    calls = 400 if short else 3000
    port = free_port()
    with LocalProvider(scale=50) as provider, Sink(rates={model: price}) as sink:
        more = {"processors": {"tokenomics": {"endpoints": provider.endpoints}}}
        with Collector(folder, pipeline(port, sink.endpoint, more=more), port):
            environment = {
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                **provider.environment,
                "PYTHONPATH": str(ROOT),
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_SERVICE_NAME": "load",
                "OTEL_TOKENOMICS_PRICE": "false",
            }
            command = [sys.executable, str(Path(__file__).with_name("load_service.py")), model, str(calls)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            found = sink.wait(2 * calls, calls)
        found = sink.count()
        billed = provider.ledger.billed
    pico = sum(line.usage["prompt_tokens"] * price[0] + line.usage["completion_tokens"] * price[1] for line in billed)
    assert len(billed) == calls
    assert found["distinct"] == {"spans": 2 * calls, "calls": calls, "unpriced": 0, "pico": pico}, (pico, found)
    assert (found["pico_stated"], found["metric_pico"], found["metric_requests"]) == (pico, pico, calls), found
    assert found["duplicates"] == found["wrong_price"] == 0, found
    return [{
        "case": f"{model}, {calls} calls", "billed_usd": f"{pico / 1e12:.12f}",
        "usd_out": f"{found['pico_stated'] / 1e12:.12f}", "usd_counted": f"{found['metric_pico'] / 1e12:.12f}",
        "spans": found["distinct"]["spans"], "duplicates": found["duplicates"],
    }]  # fmt: skip


def held_memory(folder: Path, *, short: bool) -> list[Json]:
    """What a held span costs in memory: the roll-up holds traces without a root's release, some more each time."""
    rows: list[Json] = []
    waits = {"wait_after_root": "4m", "idle_wait": "4m", "max_spans": 2_000_000}
    for models, trace in ((5, TRACE), (100, TRACE), (5, 200)):
        port = free_port()
        config = pipeline(port, "", ROLLUP, more={"processors": {"tokenomics_rollup": waits}})
        with Sink(trace) as sink:
            for exporter in config["exporters"].values():
                exporter["endpoint"] = sink.endpoint
            with Collector(folder, config, port) as collector:
                steps: list[tuple[int, float]] = []
                for step in range(1, 3 if short else 5):
                    spans = 24_000
                    report = Sender(
                        collector.endpoint, spans, models=models, trace=trace, traces=500 // trace,
                        seed=step, rate=20_000,
                    ).report()  # fmt: skip
                    everything_went(report, spans)
                    time.sleep(2)
                    steps.append((step * spans, collector.memory_mib()))
                assert sink.count()["distinct"]["spans"] == 0, "it should hold everything"
            found = sink.count()
        assert found["distinct"]["spans"] == steps[-1][0], "what is held leaves at the end"
        assert found["wrong_price"] == 0
        grown = (steps[-1][1] - steps[0][1]) * 2**20 / (steps[-1][0] - steps[0][0])
        rows.append({
            "model_spans": f"{models} %", "spans_per_trace": trace, "held_spans": steps[-1][0],
            "rss_mib": round(steps[-1][1]), "bytes_per_held_span": round(grown),
        })  # fmt: skip
    return rows


Scenario = Callable[..., list[Json]]
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "steady": steady,
    "memory_limit": memory_limit,
    "back_pressure": back_pressure,
    "dead_backend": dead_backend,
    "killed": killed,
    "real_sdk": real_sdk,
    "held_memory": held_memory,
}
