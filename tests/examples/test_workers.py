"""Forked workers: each sends its own spans and counts its own calls, and their sum is the bill."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from example_run import (
    ROOT,
    START_S,
    Asked,
    Place,
    ask,
    bill,
    billed,
    commands,
    cost,
    counted,
    free_port,
    needs,
    outside,
    program,
    running,
    tags,
    tokens,
    until,
)

from otel_tokenomics.demo.provider import Scenario
from otel_tokenomics.usage import parse_usd

QUESTIONS: Final = [Asked("/", "x" * 40 * number, "search", f"customer{number}") for number in range(1, 9)]


def check_workers(place: Place, processes: int, temporality: str = "cumulative") -> None:
    """Each process sent its spans and a series of its own, and their sum is the bill."""
    calls, points = place.calls, place.cost_points
    assert tokens(calls) == billed(place.provider)
    assert len({span.resource["service.instance.id"] for span in calls}) == processes
    assert len({point.start_ns for point in points if temporality == "cumulative"}) in (0, processes)
    # A counter that fell after the fork would be a negative delta.
    assert min(point.value for point in points) >= 0
    found = counted(points) if temporality == "cumulative" else sum(parse_usd(point.value) for point in points)
    assert found == cost(calls) == bill(place.provider)


@needs("gunicorn", "openai")
@pytest.mark.parametrize(
    ("starter", "temporality", "ctrl_c"),
    [([], "cumulative", False), ([], "delta", True), (["opentelemetry-instrument"], "cumulative", True)],
    ids=["sigterm", "delta-ctrl-c", "providers-before-the-fork"],
)
def test_workers_of_a_preloaded_application_add_up(
    starter: list[str], temporality: str, ctrl_c: bool, place: Place
) -> None:
    port = free_port()
    command = [*starter, *program("gunicorn"), "--bind", f"127.0.0.1:{port}"]
    assert "--preload" in command
    settings = {
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    # Slow answers, two at once: one worker alone could not take them.
    place.provider.expect(*[Scenario(hang_s=0.2)] * len(QUESTIONS))
    with (
        running(command, place.environment | settings, port, ctrl_c=ctrl_c) as log,
        ThreadPoolExecutor(4) as threads,
    ):
        assert set(threads.map(lambda asked: ask(port, asked), QUESTIONS)) == {"Done."}
        assert log.read_text().count("Booting worker") == 2
    check_workers(place, 2, temporality)
    of_customer = {span.attributes["gen_ai.usage.input_tokens"]: tags(span) for span in place.calls}
    assert [of_customer[count] for count in sorted(of_customer)] == [
        {"team": "search", "customer": asked.customer, "feature": "answer"} for asked in QUESTIONS
    ]


@needs("celery", "openai")
@pytest.mark.parametrize(
    ("more", "processes"), [([], 2), (["--max-tasks-per-child", "1"], 6)], ids=["pool", "a-process-per-task"]
)
def test_tasks_of_a_forked_pool_bear_the_tags_of_their_messages(more: list[str], processes: int, place: Place) -> None:
    worker, sender = program("celery"), commands("celery")[1]
    place.provider.expect(*[Scenario(hang_s=0.2)] * 6)
    with running([*worker, "--loglevel", "info", *more], place.environment, " ready.") as log:
        # The sender knows neither provider nor backend.
        subprocess.run(sender, cwd=ROOT, env=outside(place.folder.parent), check=True, timeout=START_S)
        until(lambda: log.read_text().count("succeeded in") == 6, log.read_text())
    check_workers(place, processes)
    assert Counter(frozenset(tags(span).items()) for span in place.calls) == {
        frozenset({"team": "search", "customer": customer, "feature": "summarise"}.items()): 3
        for customer in ("acme", "globex")
    }


#: A process of a pool that instruments itself, and one of a pool that was instrumented before Celery was there.
ITSELF: Final = """
import os, openai
from celery import signals
import otel_tokenomics as tk
tk.instrument()
openai.OpenAI().responses.create(model="gpt-5.4-mini", input="text")
signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
os._exit(0)
"""
BEFORE: Final = """
import os, openai
import otel_tokenomics as tk
tk.instrument()
from celery import signals
pid = os.fork()
if pid == 0:
    openai.OpenAI().responses.create(model="gpt-5.4-mini", input="text")
    signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    os._exit(0)
os.waitpid(pid, 0)
"""


@needs("celery", "openai")
@pytest.mark.parametrize("script", [ITSELF, BEFORE], ids=["instrumented-in-the-process", "before-celery"])
def test_a_process_of_a_pool_loses_nothing_whenever_it_was_instrumented(script: str, place: Place) -> None:
    command = [sys.executable, "-c", script]
    subprocess.run(command, cwd=ROOT, env=place.environment, check=True, timeout=START_S)
    check_workers(place, 1)
