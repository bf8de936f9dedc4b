"""Checked by the type checker, never run: what users write keeps its types."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import assert_type

import otel_tokenomics as tk
from otel_tokenomics.pricing import Cost


@tk.tags(team="search")
def plain(question: str) -> int:
    return len(question)


@tk.tags(team="search")
async def coroutine(question: str) -> int:
    return len(question)


@tk.tags(team="search")
def generator() -> Generator[int, str, bytes]:
    text = yield 1
    return text.encode()


@tk.tags(team="search")
async def agenerator() -> AsyncGenerator[int, None]:
    yield 1


async def use() -> None:
    tk.instrument(endpoints=["127.0.0.1:8080=openai"], estimate=True)
    assert_type(plain("x"), int)
    assert_type(await coroutine("x"), int)
    assert_type(generator(), Generator[int, str, bytes])
    async for number in agenerator():
        assert_type(number, int)
    with tk.tags(team="search", customer="acme") as nothing:
        assert_type(nothing, None)
    assert_type(tk.last_cost(), Cost | None)
    assert_type(tk.estimate(model="gpt-5.4", input_tokens=1), Cost)
    tk.record_cost("0.0015", kind="ocr", quantity=3, unit="page")
    tk.cache_hit(model="gpt-5.4", usage={"input": 1200, "output": 80})
    assert_type(tk.record_batch("results.jsonl", provider="openai").total, int)
    assert_type(tk.flush(timeout=1), bool)
    tk.uninstrument()
