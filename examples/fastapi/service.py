"""A FastAPI service that streams a model's words: the tags come from the request, and hold while the body is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import openai
from fastapi import Body, FastAPI, Header
from fastapi.responses import StreamingResponse

import otel_tokenomics as tk

tk.instrument()
client = openai.AsyncOpenAI()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Hand over the last spans and metrics: after SIGTERM uvicorn ends the process without Python's own exit."""
    yield
    tk.flush()


app = FastAPI(lifespan=lifespan)


async def words(text: str) -> AsyncIterator[str]:
    """Call the model, and pass on what it says as it says it."""
    async with await client.responses.create(model="gpt-5.4-mini", input=text, stream=True) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta


@app.post("/{feature}")
async def answer(
    feature: Literal["summarise", "translate"],
    text: Annotated[str, Body(media_type="text/plain")],
    x_team: Annotated[str | None, Header()] = None,
    x_customer: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Answer with a stream. It is read when this function has returned, so its generator bears the tags itself."""
    tagged = tk.tags(team=x_team, customer=x_customer, feature=feature)(words)
    return StreamingResponse(tagged(text), media_type="text/plain")
