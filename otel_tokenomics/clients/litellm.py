"""The ``litellm`` library: it reports every call that comes to its end to callbacks.

Where it sends through a client that is observed, that client's call is the charge; what it sends by itself is
charged from its report. A stream that is left and a call that is cancelled it never reports: its ``Logging`` object
lives until all is reported, so one that is dropped before tells. Its own cost is an estimate from its price map:
compared, never adopted. See https://docs.litellm.ai/docs/observability/custom_callback.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from types import MappingProxyType, ModuleType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Ended, Kwargs, Operation, Request, Target, UnderWay, Watcher, lost
from otel_tokenomics.clients import _openai_formats as formats
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.clients._addresses import address_of, limit_of, mapping_of, model_of, parameters_of
from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects import litellm as dialect
from otel_tokenomics.usage.dialects.counts import field
from otel_tokenomics.usage.dialects.openai_like import OpenAIStreamReader

_CALLS: Final = MappingProxyType(
    {
        "completion": formats.CHAT,
        "text_completion": formats.COMPLETION,
        "embedding": formats.EMBEDDINGS,
        "responses": formats.CHAT,
        "rerank": formats.RERANK,
        "image_generation": formats.IMAGES,
    }
)
#: What is kept of the library's description of a call that is under way.
_KEPT: Final = ("litellm_call_id", "call_type", "cache_hit", "custom_llm_provider", "model", "messages", "input",
                "optional_params", "stream")  # fmt: skip
#: Where the library keeps who is called back; a program may set any of them anew.
_LISTS: Final = ("callbacks", "input_callback", "success_callback", "failure_callback", "_async_success_callback",
                 "_async_failure_callback")  # fmt: skip


def route(_client: Any, _args: Args, kwargs: Kwargs) -> Operation | None:
    """Return the operation of a reported call; an answer out of the library's own cache was not asked of anybody."""
    kind = str(kwargs.get("call_type") or "")
    return None if kwargs.get("cache_hit") is True else _CALLS.get(kind) or _CALLS.get(kind.removeprefix("a"))


def request(_client: Any, _operation: Operation, args: Args, kwargs: Kwargs) -> Request:
    """Return what a reported call asked for; ``args`` holds the response."""
    said, asked = mapping_of(kwargs.get("standard_logging_object")), mapping_of(kwargs.get("optional_params"))
    given = mapping_of(kwargs.get("litellm_params"))
    sent_to = said.get("api_base") or given.get("api_base") or mapping_of(kwargs.get("additional_args")).get("api_base")
    address = address_of(sent_to)
    parameters = parameters_of(asked, formats.WORDS)
    stream = kwargs.get("stream") is True
    provider = str(kwargs.get("custom_llm_provider") or "litellm")
    return Request(
        model=model_of(kwargs),
        provider=provider.removeprefix("text-completion-").removesuffix("_chat").removesuffix("_beta"),
        host=address.host,
        port=address.port,
        path=address.path,
        stream=stream,
        max_output=limit_of(parameters),
        usage_asked=False if stream and not _reported(args[0], kwargs) else None,
        parameters=parameters,
    )


def _reported(response: object, kwargs: Kwargs) -> bool:
    """Return whether a stream's counts are the provider's: unasked, some report none, and the library counts."""
    if "responses" in str(kwargs.get("call_type")):
        return True  # the last event of such a stream always bears them
    sent = mapping_of(mapping_of(kwargs.get("additional_args")).get("complete_input_dict"))
    asked = mapping_of(sent.get("stream_options") or mapping_of(kwargs.get("optional_params")).get("stream_options"))
    details = field(field(response, "usage"), "prompt_tokens_details")
    return details is not None or asked.get("include_usage") is True


def usage(_operation: Operation, response: object, _provider: str) -> Reading | None:
    """Return the reading of a response in the library's own form."""
    return dialect.read_response(response)


def stream_reader(operation: Operation, provider: str) -> OpenAIStreamReader:
    """Return the reader of one stream; none is observed here."""
    return OpenAIStreamReader(operation.api, provider)


def _ended(details: Any, response: object, start: Any, end: Any) -> Ended:
    said, error = mapping_of(details.get("standard_logging_object")), details.get("exception")
    failed = error if isinstance(error, BaseException) else None
    call_id = str(details.get("litellm_call_id") or "")
    return Ended(call_id, details, response, start.timestamp(), end.timestamp(), failed, said.get("response_cost"))


def ambiguous(error: BaseException) -> bool:
    """Return whether a failed call may have been billed: the library gives a timeout a status, as if it had come."""
    return any(kind.__name__ == "APITimeoutError" for kind in type(error).__mro__) or lost(error)


def under_way(thing: Any) -> UnderWay | None:
    """Return the call of a ``Logging`` object, or of a stream that has one; an answer out of the cache has no call."""
    carrier = getattr(thing, "logging_obj", None) or thing
    known = mapping_of(getattr(carrier, "model_call_details", None))
    if not known.get("litellm_call_id") or getattr(thing, "custom_llm_provider", None) == "cached_response":
        return None
    # Not the description itself: the library puts the stream in it, and with that the carrier.
    details = {name: known.get(name) for name in _KEPT}
    details["additional_args"] = {"api_base": mapping_of(known.get("additional_args")).get("api_base")}
    started, stream = carrier.start_time.timestamp(), thing is not carrier
    chunks: list[object] = getattr(thing, "chunks", [])  # empty still, and the very list that it fills
    return UnderWay(str(known["litellm_call_id"]), carrier, lambda: _left(details, started, chunks, stream=stream))


def _left(details: Kwargs, started: float, chunks: list[object], *, stream: bool) -> Ended:
    response, how = (dialect.left(chunks), GeneratorExit()) if stream else (None, asyncio.CancelledError())
    return Ended(str(details["litellm_call_id"]), details, response, started, time.time(), how, items=chunks)


def register(module: ModuleType, watcher: Watcher) -> Callable[[], None]:
    """Have the library report its calls; return what takes that back."""
    base: Any = importlib.import_module("litellm.integrations.custom_logger").CustomLogger

    class Tokenomics(base):
        """The names and arguments of these methods are the library's."""

        def log_pre_api_call(self, model: object, messages: object, kwargs: Any) -> None:  # noqa: ARG002
            watcher.began(lambda: str(kwargs["litellm_call_id"]))

        def log_success_event(self, kwargs: Any, response_obj: object, start_time: Any, end_time: Any) -> None:
            watcher.ended(lambda: _ended(kwargs, response_obj, start_time, end_time))

        def log_failure_event(self, kwargs: Any, response_obj: object, start_time: Any, end_time: Any) -> None:  # noqa: ARG002
            watcher.ended(lambda: _ended(kwargs, None, start_time, end_time))

        async def async_log_success_event(self, *args: Any, **kwargs: Any) -> None:
            self.log_success_event(*args, **kwargs)

        async def async_log_failure_event(self, *args: Any, **kwargs: Any) -> None:
            self.log_failure_event(*args, **kwargs)

    logger = Tokenomics()
    for name in _LISTS:
        getattr(module, name).append(logger)

    def take_back() -> None:
        for listed in (getattr(module, name) for name in _LISTS):
            listed[:] = [one for one in listed if one is not logger]

    return take_back


ADAPTER: Final = Adapter(
    library="litellm",
    tested=("1.80", "2"),
    targets=(
        Target("litellm.litellm_core_utils.litellm_logging", "Logging.pre_call", "under_way"),
        Target("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper.__init__", "under_way"),
        Target("litellm.responses.streaming_iterator", "BaseResponsesAPIStreamingIterator.__init__", "under_way"),
    ),
    route=route,
    request=request,
    usage=usage,
    stream_reader=stream_reader,
    register=register,
    under_way=under_way,
    ambiguous=ambiguous,
    input_texts=lambda _args, kwargs: base.texts(kwargs, frozenset({"messages", "content", "input", "text"})),
    output_texts=formats.output_texts,
)
