"""Every client in every style, as rows: what the matrix of this folder runs against the local provider.

A new client is a row, a new way to call one a style of its row. Prices are those of the providers' published pages,
in USD for a million tokens, written down here by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styles import (
    CANARY,
    KEY,
    MESSAGES,
    Bill,
    Limits,
    Row,
    Style,
    aclosing,
    async_helper,
    both,
    closing,
    helper,
    named,
    stainless,
)  # fmt: skip

from otel_tokenomics.demo.provider import LocalProvider

OPENAI = ("prompt_tokens", "completion_tokens")


def _openai() -> Row:
    import openai

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        base = provider.base_url_openai
        return {"api_key": KEY, "base_url": base, "timeout": limits.timeout, "max_retries": limits.retries}

    # https://openai.com/api/pricing
    chat, responses = Bill(*OPENAI, ("2.50", "15")), Bill("input_tokens", "output_tokens", ("2.50", "15"))
    vectors = Bill("prompt_tokens", None, ("0.02", "0"))
    ask: dict[str, Any] = {"model": "gpt-5.4", "messages": MESSAGES}
    respond: dict[str, Any] = {"model": "gpt-5.4", "input": MESSAGES[0]["content"]}
    asked: dict[str, Any] = {**ask, "stream": True, "stream_options": {"include_usage": True}}
    read = Style(helper(lambda c: c.responses.stream(**respond)), responses, stream=True, lazy=True, travels=False)
    return Row(
        closing(lambda p, o: openai.OpenAI(**options(p, o)), lambda c: c.close()),
        aclosing(lambda p, o: openai.AsyncOpenAI(**options(p, o)), lambda c: c.close()),
        {
            **named("chat", stainless(lambda c: c.chat.completions, ask, chat)),
            **both(
                {
                    "chat stream, usage asked": Style(
                        lambda c: c.chat.completions.create(**asked), chat, stream=True
                    ),
                    "chat parse": Style(lambda c: c.chat.completions.parse(**ask), chat),
                    "embeddings": Style(
                        lambda c: c.embeddings.create(model="text-embedding-3-small", input=CANARY),
                        vectors,
                        filters=False,
                    ),
                }
            ),
            **named("responses", stainless(lambda c: c.responses, respond, responses)),
            "responses helper": read,
            "async responses helper": read._replace(
                call=async_helper(lambda c: c.responses.stream(**respond)), asynchronous=True
            ),
        },
    )  # fmt: skip


def _anthropic() -> Row:
    import anthropic

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        base = provider.base_url_anthropic
        return {"api_key": KEY, "base_url": base, "timeout": limits.timeout, "max_retries": limits.retries}

    ask: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 64, "messages": MESSAGES}
    # https://claude.com/pricing
    bill = Bill("input_tokens", "output_tokens", ("2", "10"))
    read = Style(
        helper(lambda c: c.messages.stream(**ask)),
        bill,
        stream=True,
        lazy=True,
        travels=False,
        may_leave_usage_out=False,
    )
    return Row(
        closing(lambda p, o: anthropic.Anthropic(**options(p, o)), lambda c: c.close()),
        aclosing(lambda p, o: anthropic.AsyncAnthropic(**options(p, o)), lambda c: c.close()),
        {
            **named("messages", stainless(lambda c: c.messages, ask, bill, may_leave_usage_out=False)),
            **named("beta messages", stainless(lambda c: c.beta.messages, ask, bill, may_leave_usage_out=False)),
            "messages helper": read,
            "async messages helper": read._replace(
                call=async_helper(lambda c: c.messages.stream(**ask)), asynchronous=True
            ),
        },
    )


def _groq() -> Row:
    import groq

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        base = provider.base_url("groq-api")
        return {"api_key": KEY, "base_url": base, "timeout": limits.timeout, "max_retries": limits.retries}

    ask: dict[str, Any] = {"model": "llama-3.3-70b-versatile", "messages": MESSAGES}
    bill = Bill(*OPENAI, ("0.59", "0.79"))  # https://groq.com/pricing
    return Row(
        closing(lambda p, o: groq.Groq(**options(p, o)), lambda c: c.close()),
        aclosing(lambda p, o: groq.AsyncGroq(**options(p, o)), lambda c: c.close()),
        named("chat", stainless(lambda c: c.chat.completions, ask, bill)),
    )


def _together() -> Row:
    import together

    # The second major has the version in its base URL.
    place = "together-api/v1" if together.__version__.startswith("2.") else "together-api"

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        base = provider.base_url(place)
        return {"api_key": KEY, "base_url": base, "timeout": limits.timeout, "max_retries": limits.retries}

    ask: dict[str, Any] = {"model": "meta-llama/Llama-3.3-70B-Instruct-Turbo", "messages": MESSAGES}
    bill = Bill(*OPENAI, ("1.04", "1.04"))  # https://www.together.ai/pricing
    return Row(
        closing(lambda p, o: together.Together(**options(p, o)), lambda c: c.close()),
        aclosing(lambda p, o: together.AsyncTogether(**options(p, o)), lambda c: c.close()),
        named("chat", stainless(lambda c: c.chat.completions, ask, bill)),
    )


def _google_genai() -> Row:
    from google import genai

    def make(provider: LocalProvider, limits: Limits) -> Any:
        again = genai.types.HttpRetryOptions(attempts=limits.retries + 1, initial_delay=0.01, max_delay=0.02)
        options = genai.types.HttpOptions(
            base_url=provider.base_url("google-api"), timeout=int(limits.timeout * 1000), retry_options=again
        )
        return genai.Client(api_key=KEY, http_options=options)

    async def aclose(client: Any) -> None:
        await client.aio.aclose()
        client.close()

    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": MESSAGES[0]["content"]}
    text, model = ask["contents"], ask["model"]
    bill = Bill("promptTokenCount", "candidatesTokenCount", ("0.30", "2.50"))  # https://ai.google.dev/pricing
    plain, stream = (
        Style(lambda c: c.models.generate_content(**ask), bill),
        Style(lambda c: c.models.generate_content_stream(**ask), bill, stream=True, lazy=True),
    )
    return Row(
        closing(make, lambda c: c.close()),
        aclosing(make, aclose),
        {
            "generate": plain,
            "generate stream": stream,
            "chat": plain._replace(call=lambda c: c.chats.create(model=model).send_message(text)),
            "chat stream": stream._replace(call=lambda c: c.chats.create(model=model).send_message_stream(text)),
            "async generate": plain._replace(call=lambda c: c.aio.models.generate_content(**ask), asynchronous=True),
            "async generate stream": stream._replace(
                call=lambda c: c.aio.models.generate_content_stream(**ask), asynchronous=True
            ),
            "async chat": plain._replace(
                call=lambda c: c.aio.chats.create(model=model).send_message(text), asynchronous=True
            ),
            "async chat stream": stream._replace(
                call=lambda c: c.aio.chats.create(model=model).send_message_stream(text), asynchronous=True
            ),
        },
    )  # fmt: skip


def _mistral() -> Row:
    try:
        from mistralai.client import Mistral
        from mistralai.client.utils import BackoffStrategy, RetryConfig
    except ImportError:  # the first major
        from mistralai import Mistral
        from mistralai.utils import BackoffStrategy, RetryConfig

    def make(provider: LocalProvider, limits: Limits) -> Any:
        again = RetryConfig("backoff", BackoffStrategy(10, 20, 1.0, 400), retry_connection_errors=False)
        return Mistral(
            api_key=KEY,
            server_url=provider.base_url("mistral-api"),
            timeout_ms=int(limits.timeout * 1000),
            **({"retry_config": again} if limits.retries else {}),
        )

    async def aclose(client: Any) -> None:
        await client.__aexit__(None, None, None)
        client.__exit__(None, None, None)

    ask: dict[str, Any] = {"model": "mistral-large-latest", "messages": MESSAGES}
    bill = Bill(*OPENAI, ("0.50", "1.50"))  # https://mistral.ai/pricing
    vectors = Bill("prompt_tokens", None, ("0.10", "0"))
    plain, stream = (
        Style(lambda c: c.chat.complete(**ask), bill),
        Style(lambda c: c.chat.stream(**ask), bill, stream=True, closes=False),
    )
    embed = Style(lambda c: c.embeddings.create(model="mistral-embed", inputs=[CANARY]), vectors, filters=False)
    return Row(
        closing(make, lambda c: c.__exit__(None, None, None)),
        aclosing(make, aclose),
        {
            "chat": plain,
            "chat stream": stream,
            "embeddings": embed,
            "async chat": plain._replace(call=lambda c: c.chat.complete_async(**ask), asynchronous=True),
            "async chat stream": stream._replace(call=lambda c: c.chat.stream_async(**ask), asynchronous=True),
            "async embeddings": embed._replace(
                call=lambda c: c.embeddings.create_async(model="mistral-embed", inputs=[CANARY]), asynchronous=True
            ),
        },
    )  # fmt: skip


def _cohere() -> Row:
    import cohere

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        return {"api_key": KEY, "base_url": provider.base_url("cohere-api"), "timeout": limits.timeout}

    ask: dict[str, Any] = {"model": "command-a-03-2025", "messages": MESSAGES}
    vectors: dict[str, Any] = {
        "model": "embed-v4.0", "texts": [CANARY], "input_type": "search_query", "embedding_types": ["float"],
    }  # fmt: skip
    bill = Bill("input_tokens", "output_tokens", ("2.50", "10"))  # https://cohere.com/pricing
    return Row(
        closing(lambda p, o: cohere.ClientV2(**options(p, o)), lambda c: c.__exit__(None, None, None)),
        aclosing(lambda p, o: cohere.AsyncClientV2(**options(p, o)), lambda c: c.__aexit__(None, None, None)),
        both(
            {
                "chat": Style(lambda c: c.chat(**ask), bill),
                "chat stream": Style(lambda c: c.chat_stream(**ask), bill, stream=True, lazy=True),
                "embed": Style(
                    lambda c: c.embed(**vectors), Bill("input_tokens", None, ("0.12", "0")), filters=False,
                    may_leave_usage_out=False,
                ),
            }
        ),
    )  # fmt: skip


def _ollama() -> Row:
    import ollama

    def close(client: Any) -> Any:
        return client._client.aclose() if isinstance(client, ollama.AsyncClient) else client._client.close()

    ask: dict[str, Any] = {"model": "llama3.2", "messages": MESSAGES}
    write: dict[str, Any] = {"model": "llama3.2", "prompt": MESSAGES[0]["content"]}
    bill = Bill("prompt_eval_count", "eval_count", None)
    stream: dict[str, Any] = {"stream": True, "lazy": True, "filters": False}
    return Row(
        closing(lambda p, o: ollama.Client(host=p.base_url("ollama-api"), timeout=o.timeout), close),
        aclosing(lambda p, o: ollama.AsyncClient(host=p.base_url("ollama-api"), timeout=o.timeout), close),
        both(
            {
                "chat": Style(lambda c: c.chat(**ask), bill, filters=False),
                "chat stream": Style(lambda c: c.chat(**ask, stream=True), bill, **stream),
                "generate": Style(lambda c: c.generate(**write), bill, filters=False),
                "generate stream": Style(lambda c: c.generate(**write, stream=True), bill, **stream),
                "embed": Style(
                    lambda c: c.embed(model="nomic-embed-text", input=CANARY),
                    Bill("prompt_eval_count", None, None), filters=False, may_leave_usage_out=False,
                ),
            }
        ),
        retries=False,
    )  # fmt: skip


def _bedrock() -> Row:
    import json

    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session as aio_session
    from botocore.config import Config
    from botocore.session import get_session

    account: Any = {"region_name": "us-east-1", "aws_access_key_id": CANARY, "aws_secret_access_key": KEY}

    def limited(limits: Limits) -> dict[str, Any]:
        return {"read_timeout": limits.timeout, "retries": {"total_max_attempts": limits.retries + 1}}

    def make(provider: LocalProvider, limits: Limits) -> Any:
        config, address = Config(**limited(limits)), provider.base_url("bedrock-api")
        return get_session().create_client("bedrock-runtime", endpoint_url=address, config=config, **account)

    def aopen(provider: LocalProvider, limits: Limits) -> Any:
        config, address = AioConfig(**limited(limits)), provider.base_url("bedrock-api")
        return aio_session().create_client("bedrock-runtime", endpoint_url=address, config=config, **account)

    counts = ("inputTokens", "outputTokens")
    prices = {  # https://aws.amazon.com/bedrock/pricing
        "amazon.nova-pro-v1:0": ("0.80", "3.20"),
        "anthropic.claude-sonnet-4-5-20250929-v1:0": ("3.30", "16.50"),  # in a region: a tenth more
        "meta.llama3-70b-instruct-v1:0": ("2.65", "3.50"),
        "mistral.mistral-large-2402-v1:0": ("4", "12"),
    }
    styles: dict[str, Style] = {}
    nova = "amazon.nova-pro-v1:0"
    text = MESSAGES[0]["content"]
    ask: Any = {"modelId": nova, "messages": [{"role": "user", "content": [{"text": text}]}]}
    bodies = {
        nova: {"messages": ask["messages"]},
        "anthropic.claude-sonnet-4-5-20250929-v1:0": {
            "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES,
        },
        "meta.llama3-70b-instruct-v1:0": {"prompt": text},
        "mistral.mistral-large-2402-v1:0": {"prompt": text},
    }  # fmt: skip

    async def astream(client: Any) -> Any:
        return (await client.converse_stream(**ask))["stream"]

    def invoked(model: str) -> dict[str, Style]:
        given: Any = {"modelId": model, "body": json.dumps(bodies[model])}
        bill = Bill(*counts, prices[model])

        def whole(client: Any) -> Any:
            answer = client.invoke_model(**given)
            return {**answer, "body": answer["body"].read()}

        async def awhole(client: Any) -> Any:
            answer = await client.invoke_model(**given)
            return {**answer, "body": await answer["body"].read()}

        async def apieces(client: Any) -> Any:
            return (await client.invoke_model_with_response_stream(**given))["body"]

        plain = Style(whole, bill, filters=False, nulls=False)
        stream = Style(
            lambda c: c.invoke_model_with_response_stream(**given)["body"],
            bill,
            stream=True,
            filters=False,
            nulls=False,
        )
        maker = model.partition(".")[0]
        if maker == "anthropic":
            stream = stream._replace(may_leave_usage_out=False)
        return {
            f"invoke {maker}": plain,
            f"invoke {maker} stream": stream,
            f"async invoke {maker}": plain._replace(call=awhole, asynchronous=True),
            f"async invoke {maker} stream": stream._replace(call=apieces, asynchronous=True),
        }

    bill = Bill(*counts, prices[nova])
    styles |= {
        "converse": Style(lambda c: c.converse(**ask), bill),
        "converse stream": Style(lambda c: c.converse_stream(**ask)["stream"], bill, stream=True),
        "async converse": Style(lambda c: c.converse(**ask), bill, asynchronous=True),
        "async converse stream": Style(astream, bill, stream=True, asynchronous=True),
    }
    for model in prices:
        styles |= invoked(model)
    return Row(closing(make, lambda c: c.close()), aopen, styles)


def _huggingface() -> Row:
    import huggingface_hub

    def options(provider: LocalProvider, limits: Limits) -> dict[str, Any]:
        # Hugging Face's router has no price of its own: the seller has.
        return {"base_url": f"{provider.base_url('groq-api')}/v1", "token": KEY, "timeout": limits.timeout}

    ask: dict[str, Any] = {"messages": MESSAGES, "model": "openai/gpt-oss-120b"}
    asked: dict[str, Any] = {**ask, "stream": True, "stream_options": {"include_usage": True}}
    bill = Bill(*OPENAI, ("0.15", "0.60"))  # https://groq.com/pricing
    return Row(
        closing(lambda p, o: huggingface_hub.InferenceClient(**options(p, o)), lambda c: c.__exit__(None, None, None)),
        aclosing(
            lambda p, o: huggingface_hub.AsyncInferenceClient(**options(p, o)), lambda c: c.__aexit__(None, None, None)
        ),
        both(
            {
                "chat": Style(lambda c: c.chat_completion(**ask), bill),
                "chat stream": Style(lambda c: c.chat_completion(**ask, stream=True), bill, stream=True),
                "chat stream, usage asked": Style(lambda c: c.chat_completion(**asked), bill, stream=True),
            }
        ),
        retries=False,
    )


def _litellm() -> Row:
    import os

    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it downloads a price map at import otherwise
    os.environ["LITELLM_TELEMETRY"] = "False"
    import asyncio
    import time
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, at its import
        import litellm

    litellm.disable_aiohttp_transport = True  # its sessions are never closed
    litellm.suppress_debug_info = True

    def make(provider: LocalProvider, limits: Limits) -> Any:
        """Return the options of its functions: it has no client, and keeps those of others for itself."""
        shared: Any = {"api_key": KEY, "timeout": limits.timeout, "max_retries": limits.retries}
        ask: dict[str, Any] = {**shared, "messages": MESSAGES}
        openai, claude = provider.base_url_openai, provider.base_url_anthropic
        return {
            "openai": {**ask, "model": "openai/gpt-5.4", "api_base": openai},
            "claude": {**ask, "model": "anthropic/claude-sonnet-5-5", "api_base": claude, "max_tokens": 64},
            "embed": {**shared, "model": "openai/text-embedding-3-small", "api_base": openai, "input": [CANARY]},
        }

    def close(_options: Any) -> None:
        litellm.error_logs.clear()
        time.sleep(0.05)  # it reports from threads of its own
        litellm.in_memory_llm_clients_cache.flush_cache()

    async def aclose(options: Any) -> None:
        await asyncio.sleep(0.05)  # and from the loop
        close(options)

    # https://openai.com/api/pricing, https://claude.com/pricing
    chat, claude = Bill(*OPENAI, ("2.50", "15")), Bill("input_tokens", "output_tokens", ("2", "10"))
    vectors = Bill("prompt_tokens", None, ("0.02", "0"))
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    styles: dict[str, Style] = {}
    for name, bill, more in (("openai", chat, {}), ("claude", claude, {"may_leave_usage_out": False})):
        plain = Style(lambda c, name=name: litellm.completion(**c[name]), bill, **more)
        stream = plain._replace(call=lambda c, name=name: litellm.completion(**c[name], **asked), stream=True)
        aplain = plain._replace(call=lambda c, name=name: litellm.acompletion(**c[name]), asynchronous=True)
        astream = aplain._replace(call=lambda c, name=name: litellm.acompletion(**c[name], **asked), stream=True)
        styles |= {
            f"{name} completion": plain,
            f"{name} completion stream": stream,
            f"async {name} completion": aplain,
            f"async {name} completion stream": astream,
        }
    # It keeps connections of a loop that has ended: tests/clients/test_litellm.py reads such streams in one loop.
    del styles["async claude completion stream"]
    embed = Style(lambda c: litellm.embedding(**c["embed"]), vectors, filters=False)
    styles |= {
        "embedding": embed,
        "async embedding": embed._replace(call=lambda c: litellm.aembedding(**c["embed"]), asynchronous=True),
    }
    return Row(closing(make, close), aclosing(make, aclose), styles, reports=True)


#: By the name of the adapter's file.
ROWS: dict[str, Callable[[], Row]] = {
    "anthropic": _anthropic,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "google_genai": _google_genai,
    "groq": _groq,
    "huggingface": _huggingface,
    "litellm": _litellm,
    "mistral": _mistral,
    "ollama": _ollama,
    "openai": _openai,
    "together": _together,
}
