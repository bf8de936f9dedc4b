"""One way to talk over a websocket of the openai client: an API of the synchronous client, or of its twin."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from socket_provider import REALTIME_USAGE, RESPONSES_USAGE, SocketProvider

from otel_tokenomics.attributes import names

#: USD per million tokens, as the provider's price pages have them: text, cached text, sound, cached sound; out.
REALTIME_MODEL, RESPONSES_MODEL = "gpt-realtime", "gpt-5.4"
PICO = 10**6
#: 119 text of which 64 cached, 41 sound of which 16 cached; 30 text and 91 sound made.
REALTIME_COST = (55 * 4_00 + 64 * 40 + 25 * 32_00 + 16 * 40 + 30 * 16_00 + 91 * 64_00) * PICO // 100
#: 100 given of which 40 cached, 20 made.
RESPONSES_COST = (60 * 2_50 + 40 * 25 + 20 * 15_00) * PICO // 100
APIS = ("responses", "realtime")
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.done", "error"}


async def settle(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Talk:
    """One way to talk: an API of the synchronous client or of its twin."""

    def __init__(self, client: Any, api: str) -> None:
        self.client, self.api = client, api
        self.realtime = api.endswith("realtime")
        self.model = REALTIME_MODEL if self.realtime else RESPONSES_MODEL
        self.cost = REALTIME_COST if self.realtime else RESPONSES_COST
        self.usage = REALTIME_USAGE if self.realtime else RESPONSES_USAGE

    def manager(self) -> Any:
        place: Any = self.client
        for part in self.api.split("."):
            place = getattr(place, part)
        return place.connect(model=self.model) if self.realtime else place.connect()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        manager = self.manager()
        if hasattr(manager, "__aenter__"):
            async with manager as connection:
                yield connection
        else:
            with manager as connection:
                yield connection

    async def ask(self, connection: Any, **more: Any) -> None:
        asked = more if self.realtime else {"model": self.model, "input": "Say it.", **more}
        await settle(connection.response.create(**asked))

    async def answer(self, connection: Any) -> list[Any]:
        events: list[Any] = []
        while not events or events[-1].type not in TERMINAL:
            events.append(await settle(connection.recv()))
        return events


def teams(watch: Any) -> list[str]:
    return [
        span.attributes["tokenomics.tag.team"] for span in watch.spans if names.TOKENOMICS_CALL_END in span.attributes
    ]


@asynccontextmanager
async def talking(provider: SocketProvider, kind: str, api: str) -> AsyncIterator[Talk]:
    # Where no address for websockets is set, the beta and the older majors make one with TLS of the other.
    address = f"ws://{provider.host}/openai-api/v1"
    settings: Any = {"api_key": "sk-canary", "websocket_base_url": address, "max_retries": 0}
    client = openai.OpenAI(**settings) if kind == "sync" else openai.AsyncOpenAI(**settings)
    made = Talk(client, api)
    try:
        made.manager()
    except (AttributeError, TypeError):
        pytest.skip(f"openai {openai.__version__} has no {api}.connect")
    yield made
    await settle(client.close())


def total(watch: Any) -> int:
    return sum(made.cost.total or 0 for made in watch.settled)
