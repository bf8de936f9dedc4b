"""Every client in every form, as rows: what the tests of this folder run against the local provider.

A new client is a row. ``plain`` and ``stream`` are what a user writes; a stream is given back for the test to consume.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_tokenomics.demo.provider import LocalProvider

MESSAGES: Any = [{"role": "user", "content": "How do I reset my password?"}]
Usage = dict[str, Any]


class Row(NamedTuple):
    """One client: how it is made, called and streamed, synchronously and not, and what its usage objects mean."""

    make: Callable[[LocalProvider], Any]
    amake: Callable[[LocalProvider], Any]
    plain: Callable[[Any], Any]
    stream: Callable[[Any], Any]
    aplain: Callable[[Any], Any]
    #: A coroutine that gives a stream, or an asynchronous generator.
    astream: Callable[[Any], Any]
    totals: Callable[[Usage], tuple[int, int]]
    #: Whether a request goes out before the first item is asked for.
    eager: bool = True
    #: Whether the format allows an answer without usage.
    may_leave_usage_out: bool = True


def openai_totals(usage: Usage) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def anthropic_totals(usage: Usage) -> tuple[int, int]:
    return usage["input_tokens"], usage["output_tokens"]


def google_totals(usage: Usage) -> tuple[int, int]:
    return usage["promptTokenCount"], usage["candidatesTokenCount"]


def cohere_totals(usage: Usage) -> tuple[int, int]:
    return int(usage["input_tokens"]), int(usage["output_tokens"])


def bedrock_totals(usage: Usage) -> tuple[int, int]:
    return usage["inputTokens"], usage["outputTokens"]


def ollama_totals(usage: Usage) -> tuple[int, int]:
    return usage["prompt_eval_count"], usage["eval_count"]


def _openai() -> Row:
    import openai

    return Row(
        lambda p: openai.OpenAI(api_key="k", base_url=p.base_url_openai, max_retries=0, timeout=5),
        lambda p: openai.AsyncOpenAI(api_key="k", base_url=p.base_url_openai, max_retries=0, timeout=5),
        lambda c: c.chat.completions.create(model="gpt-5.4", messages=MESSAGES),
        lambda c: c.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True),
        lambda c: c.chat.completions.create(model="gpt-5.4", messages=MESSAGES),
        lambda c: c.chat.completions.create(model="gpt-5.4", messages=MESSAGES, stream=True),
        openai_totals,
    )


def _anthropic() -> Row:
    import anthropic

    ask: Any = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": MESSAGES}
    return Row(
        lambda p: anthropic.Anthropic(api_key="k", base_url=p.base_url_anthropic, max_retries=0, timeout=5),
        lambda p: anthropic.AsyncAnthropic(api_key="k", base_url=p.base_url_anthropic, max_retries=0, timeout=5),
        lambda c: c.messages.create(**ask),
        lambda c: c.messages.create(**ask, stream=True),
        lambda c: c.messages.create(**ask),
        lambda c: c.messages.create(**ask, stream=True),
        anthropic_totals,
        may_leave_usage_out=False,
    )


def _groq() -> Row:
    import groq

    return Row(
        lambda p: groq.Groq(api_key="k", base_url=p.base_url("groq-api"), max_retries=0, timeout=5),
        lambda p: groq.AsyncGroq(api_key="k", base_url=p.base_url("groq-api"), max_retries=0, timeout=5),
        lambda c: c.chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES),
        lambda c: c.chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES, stream=True),
        lambda c: c.chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES),
        lambda c: c.chat.completions.create(model="llama-3.3-70b-versatile", messages=MESSAGES, stream=True),
        openai_totals,
    )


def _together() -> Row:
    import together

    model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    # The second major has the version in its base URL.
    place = "together-api/v1" if together.__version__.startswith("2.") else "together-api"
    return Row(
        lambda p: together.Together(api_key="k", base_url=p.base_url(place), max_retries=0, timeout=5),
        lambda p: together.AsyncTogether(api_key="k", base_url=p.base_url(place), max_retries=0, timeout=5),
        lambda c: c.chat.completions.create(model=model, messages=MESSAGES),
        lambda c: c.chat.completions.create(model=model, messages=MESSAGES, stream=True),
        lambda c: c.chat.completions.create(model=model, messages=MESSAGES),
        lambda c: c.chat.completions.create(model=model, messages=MESSAGES, stream=True),
        openai_totals,
    )


def _google_genai() -> Row:
    from google import genai

    def make(provider: LocalProvider) -> Any:
        options = genai.types.HttpOptions(base_url=provider.base_url("google-api"), timeout=5000)
        return genai.Client(api_key="k", http_options=options)

    return Row(
        make,
        make,
        lambda c: c.models.generate_content(model="gemini-2.5-flash", contents="Hello"),
        lambda c: c.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello"),
        lambda c: c.aio.models.generate_content(model="gemini-2.5-flash", contents="Hello"),
        lambda c: c.aio.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello"),
        google_totals,
        eager=False,
    )


def _mistral() -> Row:
    try:
        from mistralai.client import Mistral
    except ImportError:  # the first major
        from mistralai import Mistral

    def make(provider: LocalProvider) -> Any:
        return Mistral(api_key="k", server_url=provider.base_url("mistral-api"), timeout_ms=5000)

    return Row(
        make,
        make,
        lambda c: c.chat.complete(model="mistral-large-latest", messages=MESSAGES),
        lambda c: c.chat.stream(model="mistral-large-latest", messages=MESSAGES),
        lambda c: c.chat.complete_async(model="mistral-large-latest", messages=MESSAGES),
        lambda c: c.chat.stream_async(model="mistral-large-latest", messages=MESSAGES),
        openai_totals,
    )


def _cohere() -> Row:
    import cohere

    return Row(
        lambda p: cohere.ClientV2(api_key="k", base_url=p.base_url("cohere-api"), timeout=5),
        lambda p: cohere.AsyncClientV2(api_key="k", base_url=p.base_url("cohere-api"), timeout=5),
        lambda c: c.chat(model="command-a-03-2025", messages=MESSAGES),
        lambda c: c.chat_stream(model="command-a-03-2025", messages=MESSAGES),
        lambda c: c.chat(model="command-a-03-2025", messages=MESSAGES),
        lambda c: c.chat_stream(model="command-a-03-2025", messages=MESSAGES),
        cohere_totals,
        eager=False,
    )


def _ollama() -> Row:
    import ollama

    return Row(
        lambda p: ollama.Client(host=p.base_url("ollama-api"), timeout=5),
        lambda p: ollama.AsyncClient(host=p.base_url("ollama-api"), timeout=5),
        lambda c: c.chat(model="llama3.2", messages=MESSAGES),
        lambda c: c.chat(model="llama3.2", messages=MESSAGES, stream=True),
        lambda c: c.chat(model="llama3.2", messages=MESSAGES),
        lambda c: c.chat(model="llama3.2", messages=MESSAGES, stream=True),
        ollama_totals,
        eager=False,
    )


def _bedrock() -> Row:
    from aiobotocore.session import get_session as aio_session
    from botocore.config import Config
    from botocore.session import get_session

    ask: Any = {"modelId": "amazon.nova-pro-v1:0", "messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    account: Any = {"region_name": "us-east-1", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    limits: Any = {"read_timeout": 5, "retries": {"total_max_attempts": 1}}

    def make(provider: LocalProvider) -> Any:
        address = provider.base_url("bedrock-api")
        return get_session().create_client("bedrock-runtime", endpoint_url=address, config=Config(**limits), **account)

    def amake(provider: LocalProvider) -> Any:
        # A client that exists within a block alone: whoever calls opens one.
        from aiobotocore.config import AioConfig

        address = provider.base_url("bedrock-api")
        return lambda: aio_session().create_client(
            "bedrock-runtime", endpoint_url=address, config=AioConfig(**limits), **account
        )

    async def aplain(opened: Any) -> Any:
        async with opened() as client:
            return await client.converse(**ask)

    async def astream(opened: Any) -> Any:
        async with opened() as client:
            answer = await client.converse_stream(**ask)
            async for event in answer["stream"]:
                yield event

    return Row(
        make,
        amake,
        lambda c: c.converse(**ask),
        lambda c: c.converse_stream(**ask)["stream"],
        aplain,
        astream,
        bedrock_totals,
    )


def _huggingface() -> Row:
    import huggingface_hub

    model = "openai/gpt-oss-120b"
    return Row(
        lambda p: huggingface_hub.InferenceClient(base_url=f"{p.base_url('huggingface-api')}/v1", token="k", timeout=5),
        lambda p: huggingface_hub.AsyncInferenceClient(
            base_url=f"{p.base_url('huggingface-api')}/v1", token="k", timeout=5
        ),
        lambda c: c.chat_completion(MESSAGES, model=model),
        lambda c: c.chat_completion(MESSAGES, model=model, stream=True),
        lambda c: c.chat_completion(MESSAGES, model=model),
        lambda c: c.chat_completion(MESSAGES, model=model, stream=True),
        openai_totals,
    )


#: By the name of the adapter's file.
ROWS: dict[str, Callable[[], Row]] = {
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "google_genai": _google_genai,
    "groq": _groq,
    "huggingface": _huggingface,
    "mistral": _mistral,
    "ollama": _ollama,
    "openai": _openai,
    "together": _together,
}
