"""Two tiers on loopback: one router that prices, three instances that roll up; one leaves and one joins under load."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import yaml
from load_parts import ROOT, WIDE, Collector, Json, Sender, Sink, free_port, lay_over, pipeline
from load_scenarios import TRACE, everything_went, row, traces_of

INSTANCES: Final = 3
KILLED: Final = "kill -9, holding nothing"
SHIPPED: Final = ROOT / "collector" / "distribution" / "config.tier1.yaml"


def router(port: int, sink: str, instances: Sequence[int], folder: Path) -> Json:
    """Return tier 1 as shipped: prices, counts, and routes by trace id, one queue on disk in front of the routing.

    Laid over it are ports, prices and the instances, and its metrics go to the sink.
    """
    config: Json = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    ours = pipeline(port, sink)
    del config["exporters"]["prometheus"], config["service"]["pipelines"]["logs"]
    config["receivers"] = ours["receivers"]
    lay_over(config, {
        "extensions": {"file_storage": {"directory": str(folder / "router")}},
        "processors": {"tokenomics": ours["processors"]["tokenomics"]},
        "connectors": {"tokenomics": {"flush_interval": "1s"}},
        "exporters": {
            "load_balancing": {"resolver": {"static": {"hostnames": [f"127.0.0.1:{one}" for one in instances]}}},
            "otlp_http/metrics": ours["exporters"]["otlp_http/metrics"],
        },
        "service": {
            "telemetry": {"metrics": {"level": "none", "readers": []}},
            "pipelines": {"metrics": ours["service"]["pipelines"]["metrics"]},
        },
    })  # fmt: skip
    return config


def instance(port: int, sink: str, *, holds: bool) -> Json:
    """Return tier 2: rolls up what it is sent, or answers for nothing that the sink has not taken."""
    processors = ("memory_limiter", "tokenomics_rollup") if holds else ("memory_limiter",)
    config = pipeline(port, sink, processors, count=False)
    if not holds:
        config["exporters"]["otlp_http"]["sending_queue"] = {"enabled": False}
    config["receivers"]["otlp"]["protocols"] = {"grpc": {"endpoint": f"127.0.0.1:{port}"}}
    return config


def two_tiers(folder: Path, *, short: bool) -> list[Json]:
    """An instance leaves and one joins: in order (the ring first), by surprise (the instance first), and strictly.

    Strictly is in order, and the instances that stay are reloaded too: then no trace that was under way claims to be
    whole. Else some do whose other part says that it lacks its parent.

    Killed with kill -9 are instances that hold nothing: what one holds is lost with it, whatever stands in front.
    """
    names = ("in order", "by surprise", "strictly", KILLED)
    return [_run(folder / name, name, 15_000 if short else 60_000, 8 if short else 16) for name in names]


def _run(folder: Path, name: str, spans: int, seconds: int) -> Json:
    folder.mkdir()
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(TRACE))
        second = [_instance(stack, folder, sink, number, name) for number in range(INSTANCES)]
        ports = [one.port for one in second]
        port = free_port()
        tier1 = stack.enter_context(Collector(folder, router(port, sink.endpoint, ports, folder), port, WIDE, "router"))

        def route(to: Sequence[int]) -> None:
            tier1.write(router(port, sink.endpoint, to, folder))
            tier1.process.send_signal(signal.SIGHUP)
            if name == "strictly":
                time.sleep(0.5)
                for one in second[1:]:
                    one.process.send_signal(signal.SIGHUP)

        # One span of each trace at a time: each trace takes one to two seconds.
        sender = Sender(
            tier1.endpoint, spans, models=25, traces=10, parts=TRACE, rate=spans / seconds, workers=8, timeout="5s"
        )
        time.sleep(seconds / 4)
        if name in ("by surprise", KILLED):
            number = signal.SIGKILL if name == KILLED else signal.SIGTERM
            assert second[0].end(number) == (-number if name == KILLED else 0)
            time.sleep(1)
            route(ports[1:])
        else:
            route(ports[1:])
            time.sleep(1)
            assert second[0].end() == 0
        time.sleep(seconds / 4)
        joined = _instance(stack, folder, sink, INSTANCES, name)
        route([*ports[1:], joined.port])
        report = sender.report()
        found = sink.wait(spans, report["accepted"]["calls"])
        time.sleep(1.5)
        cpu = {"router": tier1.cpu_s, "instances": sum(one.cpu_s for one in [*second[1:], joined])}
        assert tier1.end() == 0, tier1.log.read_text()
        found = sink.count()
    everything_went(report, spans)
    assert found["distinct"] == report["accepted"], f"accepted {report}, arrived {found}"
    assert found["wrong_price"] == 0, found
    assert (found["metric_pico"], found["metric_requests"]) == (
        report["accepted"]["pico"], report["accepted"]["calls"],
    ), found  # fmt: skip
    used = {who: round(seconds_used, 1) for who, seconds_used in cpu.items()}
    if name == KILLED:
        return row(name, report, found, cpu_s=used)
    # A total that is too low and claims to be complete stands beside a span of its trace that says what it lacks.
    assert found["traces"]["wrong"] == 0, found
    assert found["traces"]["bare"] == 0, found
    if name == "strictly":
        assert found["traces"]["contradicted"] == 0, found
    assert found["traces"]["right"] > 0, found
    return row(name, report, found, **traces_of(found), cpu_s=used)


def _instance(stack: ExitStack, folder: Path, sink: Sink, number: int, name: str) -> Collector:
    port = free_port()
    config = instance(port, sink.endpoint, holds=name != KILLED)
    return stack.enter_context(Collector(folder, config, port, WIDE, f"instance-{number}"))
