"""The ``litellm`` library: it reports every call that comes to its end to callbacks.

Where it sends through a client that is observed, that client's call is the charge; what it sends by itself is
charged from its report. A stream that is left and a call that is cancelled it never reports: its ``Logging`` object
lives until all is reported, so one that is dropped before tells. Its own cost is an estimate from its price map:
compared, never adopted. See https://docs.litellm.ai/docs/observability/custom_callback.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import Any, Final

from otel_tokenomics.client_api import Adapter, Args, Ended, Kwargs, Operation, Request, Target, UnderWay, Watcher
from otel_tokenomics.clients import _openai_formats as formats
from otel_tokenomics.clients import _stainless as base
from otel_tokenomics.clients._addresses import mapping_of, model_of, request_to
from otel_tokenomics.usage.dialects import litellm as dialect

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
#: Where the library keeps who is called back.
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
    stream = kwargs.get("stream") is True
    provider = str(kwargs.get("custom_llm_provider") or "litellm")
    provider = provider.removeprefix("text-completion-").removesuffix("_chat").removesuffix("_beta")
    made = request_to(sent_to, provider, model_of(kwargs), asked, formats.WORDS, stream=stream)
    return made._replace(usage_asked=False) if stream and not dialect.is_reported(args[0], kwargs) else made


def _ended(details: Any, response: object, start: Any, end: Any) -> Ended:
    said, error = mapping_of(details.get("standard_logging_object")), details.get("exception")
    failed = error if isinstance(error, BaseException) else None
    call_id = str(details.get("litellm_call_id") or "")
    return Ended(call_id, details, response, start.timestamp(), end.timestamp(), failed, said.get("response_cost"))


def under_way(thing: Any) -> UnderWay | None:
    """Return the call of a ``Logging`` object, or of a stream that has one; an answer out of the cache has no call."""
    carrier = getattr(thing, "logging_obj", None) or thing
    known = mapping_of(getattr(carrier, "model_call_details", None))
    if not known.get("litellm_call_id") or getattr(thing, "custom_llm_provider", None) == "cached_response":
        return None
    # Not the description itself: the library puts the stream in it, and with that the carrier.
    details = {name: known.get(name) for name in _KEPT}
    details["additional_args"] = {"api_base": mapping_of(known.get("additional_args")).get("api_base")}
    chunks = getattr(thing, "chunks", []) if thing is not carrier else None  # empty still: the very list that it fills
    call_id, started = str(known["litellm_call_id"]), carrier.start_time.timestamp()
    return UnderWay(call_id, carrier, details, started, chunks, dialect.left)


def callback(watcher: Watcher) -> object:
    """Return what the library is to call back."""
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

    return Tokenomics()


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
    usage=lambda _operation, response, _provider: dialect.read_response(response),
    callback=callback,
    callback_lists=_LISTS,
    under_way=under_way,
    input_texts=lambda _args, kwargs: base.texts(kwargs, frozenset({"messages", "content", "input", "text"})),
    output_texts=formats.output_texts,
)
