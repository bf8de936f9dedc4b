"""Fixtures of this folder: a provider of websockets, and the ways to talk to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from socket_provider import SocketProvider
from socket_talk import APIS, Talk, talking


@pytest.fixture
def provider() -> Iterator[SocketProvider]:
    with SocketProvider() as local:
        yield local


@pytest.fixture
def watch(watching: Any) -> Any:
    made = watching()
    made.recorder.writes_tags = True  # this tracer provider has no processor of ours
    return made


@pytest.fixture(params=[f"{kind} {api}" for api in APIS for kind in ("sync", "async")])
async def talk(request: Any, provider: SocketProvider) -> AsyncIterator[Talk]:
    async with talking(provider, *request.param.split()) as made:
        yield made


@pytest.fixture(params=APIS)
async def atalk(request: Any, provider: SocketProvider) -> AsyncIterator[Talk]:
    async with talking(provider, "async", request.param) as made:
        yield made


@pytest.fixture(params=["sync", "async"])
async def realtime(request: Any, provider: SocketProvider) -> AsyncIterator[Talk]:
    async with talking(provider, request.param, "realtime") as made:
        yield made


@pytest.fixture(params=["sync", "async"])
async def responses(request: Any, provider: SocketProvider) -> AsyncIterator[Talk]:
    async with talking(provider, request.param, "responses") as made:
        yield made
