"""Random interleavings of calls, threads, tasks and streams: every span bears the tags and the cost of its own call.

Each plan is a tree of steps drawn from a seed. A leaf is a call whose token counts are its alone, so that a cost or
a tag on another span than its own cannot go unseen.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import queue
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan

from otel_tokenomics import tags
from otel_tokenomics.attributes import names
from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.telemetry.tag_processor import TagProcessor

MODEL = "gpt-5.4"
SEEDS = range(12)
KEYS = ("team", "feature", "customer")
PREFIX = names.TOKENOMICS_TAG_PREFIX
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(?!otel_tokenomics)"),
]


class Plan:
    """A random program. ``expected`` says, per call, which tags were in force and whose child its span is."""

    def __init__(self, seed: int, provider: LocalProvider, tracer: trace.Tracer) -> None:
        self.random = random.Random(seed)
        self.provider, self.tracer = provider, tracer
        self.client = OpenAI(api_key="k", base_url=provider.base_url_openai, max_retries=0)
        self.numbers = itertools.count(1)
        self.expected: dict[int, tuple[Mapping[str, str], int]] = {}
        self.consumers: list[threading.Thread] = []
        self.lock = threading.Lock()

    def draw(self, *choices: str) -> str:
        with self.lock:
            return self.random.choice(choices)

    def number(self, force: Mapping[str, str]) -> int:
        """Return the number of a new call, which also is the length of its prompt, and note what its span must say."""
        with self.lock:
            number = next(self.numbers)
        self.expected[number] = (dict(force), trace.get_current_span().get_span_context().span_id)
        return number

    def some_tags(self) -> dict[str, str]:
        with self.lock:
            keys = self.random.sample(KEYS, self.random.randint(1, 2))
            return {key: str(self.random.randrange(1000)) for key in keys}

    def ask(self, number: int, **more: Any) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": "x" * 8 * number}], **more}

    # --- steps: each is one of the ways in which a program comes to a call ---------------------------

    def step(self, force: Mapping[str, str], depth: int) -> None:
        kinds = (
            ("call", "call", "stream", "elsewhere")
            if depth == 0
            else ("nest", "span", "foreign", "thread", "many", "loop")
        )
        getattr(self, f"_{self.draw(*kinds)}")(force, depth)

    def _call(self, force: Mapping[str, str], _depth: int) -> None:
        self.client.chat.completions.create(**self.ask(self.number(force)))

    def _stream(self, force: Mapping[str, str], _depth: int) -> None:
        other = self.some_tags()
        stream = self.client.chat.completions.create(**self.ask(self.number(force), stream=True))
        with tags(**other):  # where it is read does not matter
            for _ in stream:
                self._call({**force, **other}, 0) if self.draw("call", "no", "no") == "call" else None

    def _elsewhere(self, force: Mapping[str, str], _depth: int) -> None:
        stream = self.client.chat.completions.create(**self.ask(self.number(force), stream=True))

        def consume() -> None:
            with tags(team="consumer"):
                for _ in stream:
                    pass

        self.consumers.append(threading.Thread(target=consume))
        self.consumers[-1].start()

    def _nest(self, force: Mapping[str, str], depth: int) -> None:
        more = self.some_tags()
        with tags(**more):
            self.step({**force, **more}, depth - 1)
            self.step({**force, **more}, 0)
        self.step(force, 0)

    def _span(self, force: Mapping[str, str], depth: int) -> None:
        with self.tracer.start_as_current_span("work"):
            self.step(force, depth - 1)

    def _foreign(self, force: Mapping[str, str], depth: int) -> None:
        """Another instrumentation takes off, inside a block of tags, what it attached before; or begins a context."""
        more = self.some_tags()
        theirs = context.attach(context.set_value("theirs", 1))
        with tags(**more):
            context.detach(theirs)
            self.step({**force, **more}, depth - 1)
            fresh = context.attach(Context())
            self.step({**force, **more}, 0)
            context.detach(fresh)
        self.step(force, 0)

    def _thread(self, force: Mapping[str, str], depth: int) -> None:
        """A thread with a copied context inherits the tags; one without has none."""
        copied = self.draw("copied", "bare") == "copied"
        within = contextvars.copy_context() if copied else contextvars.Context()
        thread = threading.Thread(target=within.run, args=(self.step, force if copied else {}, depth - 1))
        thread.start()
        self.step(force, 0)
        thread.join()

    def _many(self, force: Mapping[str, str], depth: int) -> None:
        def one(more: dict[str, str]) -> None:
            with tags(**more):
                self.step({**force, **more}, depth - 1)
            self.step(force, 0)

        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(contextvars.copy_context().run, one, self.some_tags()) for _ in range(3)]
            for future in sent:
                future.result()

    def _loop(self, force: Mapping[str, str], _depth: int) -> None:
        """An event loop in a thread that has the context of here."""
        failures: queue.Queue[BaseException] = queue.Queue()

        def run() -> None:
            try:
                asyncio.run(self._tasks(force))
            except BaseException as error:
                failures.put(error)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
        thread.start()
        thread.join()
        if not failures.empty():
            raise failures.get()

    async def _tasks(self, force: Mapping[str, str]) -> None:
        async with AsyncOpenAI(api_key="k", base_url=self.provider.base_url_openai, max_retries=0) as client:
            shared = tags(feature="shared")  # one object, entered by all tasks at once

            async def call(force: Mapping[str, str]) -> None:
                if self.draw("plain", "stream") == "plain":
                    await client.chat.completions.create(**self.ask(self.number(force)))
                    return
                async for _ in await client.chat.completions.create(**self.ask(self.number(force), stream=True)):
                    await asyncio.sleep(0)

            async def one(more: dict[str, str]) -> None:
                with tags(**more):
                    await asyncio.sleep(0)
                    await call({**force, **more})
                    with shared:
                        await asyncio.gather(call({**force, **more, "feature": "shared"}), asyncio.sleep(0))
                    await call({**force, **more})
                await call(force)

            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(one(self.some_tags()))
                handed: asyncio.Queue[Any] = asyncio.Queue()
                group.create_task(self._read(handed))
                with tags(team="producer"):
                    number = self.number({**force, "team": "producer"})
                    await handed.put(await client.chat.completions.create(**self.ask(number, stream=True)))

    async def _read(self, handed: asyncio.Queue[Any]) -> None:
        with tags(team="reader", customer="reader"):
            async for _ in await handed.get():
                await asyncio.sleep(0)

    def run(self) -> None:
        with self.tracer.start_as_current_span("request"):
            for _ in range(3):
                self.step({}, 2)
            for thread in self.consumers:
                thread.join()
        self.client.close()


def number_of(span: ReadableSpan, provider: LocalProvider) -> int:
    """Return which call a span is of, by its response: the tokens that were billed tell the length of the prompt."""
    identity = (span.attributes or {})[names.GEN_AI_RESPONSE_ID]
    (line,) = (line for line in provider.ledger.billed if line.response_id == identity)
    overhead = len('[{"role": "user", "content": ""}]')
    return (line.usage["prompt_tokens"] * 4 - overhead + 7) // 8


def tags_of(span: ReadableSpan) -> dict[str, Any]:
    return {key.removeprefix(PREFIX): value for key, value in (span.attributes or {}).items() if key.startswith(PREFIX)}


@pytest.fixture
def plan(watch: Any, provider: LocalProvider, request: pytest.FixtureRequest) -> Plan:
    watch.tracer_provider.add_span_processor(TagProcessor({}))
    return Plan(request.param, provider, watch.tracer_provider.get_tracer("application"))


@pytest.mark.parametrize("plan", SEEDS, indirect=True)
def test_tags_and_costs_stay_with_their_calls(plan: Plan, watch: Any, provider: LocalProvider) -> None:
    plan.run()
    calls = [span for span in watch.spans if span.instrumentation_scope.name == "otel_tokenomics"]
    assert len(calls) == len(plan.expected) == len(provider.ledger.billed) >= 3
    billed = {line.response_id: line.usage for line in provider.ledger.billed}
    for span in calls:
        force, parent = plan.expected.pop(number_of(span, provider))  # each call has one span
        usage = billed[span.attributes[names.GEN_AI_RESPONSE_ID]]
        assert tags_of(span) == force
        assert (span.parent.span_id if span.parent else 0) == parent
        assert span.attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == usage["prompt_tokens"]
        assert span.attributes[names.GEN_AI_USAGE_OUTPUT_TOKENS] == usage["completion_tokens"]
        assert span.attributes[names.TOKENOMICS_CALL_END] == "completed"
    assert plan.expected == {}
    costs = {round(span.attributes[names.TOKENOMICS_COST_TOTAL] * 1e12) for span in calls}
    assert costs == {settled.cost.total for settled in watch.settled}


@pytest.mark.parametrize("plan", SEEDS, indirect=True)
def test_totals_of_ancestors_are_the_sum_of_what_is_below(plan: Plan, watch: Any) -> None:
    plan.run()
    spans = {span.context.span_id: span for span in watch.spans}
    below: dict[int, list[ReadableSpan]] = {identity: [] for identity in spans}
    for span in spans.values():
        above = span.parent if names.TOKENOMICS_COST_TOTAL in span.attributes else None
        while above is not None:
            below[above.span_id].append(span)
            above = spans[above.span_id].parent
    checked = 0
    for identity, span in spans.items():
        # A stream that another thread reads may end after an ancestor, which then cannot know of it.
        if span.name in ("work", "request") and all(call.end_time < span.end_time for call in below[identity]):
            total = sum(call.attributes[names.TOKENOMICS_COST_TOTAL] for call in below[identity])
            assert span.attributes.get(names.TOKENOMICS_SUBTREE_COST_TOTAL, 0.0) == pytest.approx(total, abs=1e-12)
            checked += bool(below[identity])
    assert checked >= 1
