"""Business tags: whose money a call spends. Context-local, merged when nested, copied on every span started inside.

Tags travel in an OpenTelemetry context key, never in baggage, so no provider sees them.
"""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeVar, cast

from opentelemetry import baggage, context
from opentelemetry.context import Context

from otel_tokenomics.attributes import names

MAX_TAGS: Final = 16
MAX_VALUE: Final = 200
#: Tags for which OpenTelemetry has a name of its own.
STANDARD: Final = MappingProxyType(
    {
        "user": names.USER_ID,
        "session": names.SESSION_ID,
        "conversation": names.GEN_AI_CONVERSATION_ID,
        "agent": names.GEN_AI_AGENT_NAME,
        "workflow": names.GEN_AI_WORKFLOW_NAME,
        "environment": names.DEPLOYMENT_ENVIRONMENT_NAME,
    }
)
BAGGAGE_PREFIX: Final = "tokenomics."

_KEY: Final = context.create_key("tokenomics-tags")
_VALID_KEY: Final = re.compile(r"[a-z][a-z0-9_]*")
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_logger = logging.getLogger("otel_tokenomics")
_warned: set[str] = set()
_before_use: list[Callable[[], None]] = []

F = TypeVar("F", bound=Callable[..., Any])


class tags:  # noqa: N801  # reads as a verb: `with tags(team="search"):`
    """Tag every span and every cost inside a with-block or a decorated function.

    Keys are ``[a-z][a-z0-9_]*``, at most 16 per call, values text of at most 200 characters; what exceeds a limit
    is dropped or cut with one warning. ``user``, ``session``, ``conversation``, ``agent``, ``workflow`` and
    ``environment`` write the OpenTelemetry attribute, every other key ``tokenomics.tag.<key>``.
    """

    def __init__(self, **tags: object) -> None:
        self._attributes = attributes_of(tags)

    def __enter__(self) -> None:
        for prepare in tuple(_before_use):
            prepare()
        merged = MappingProxyType({**current_tags(), **self._attributes})
        token = context.attach(context.set_value(_KEY, merged))
        _entered.set((*_entered.get(), (self, token, merged)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = _entered.get()
        for place in range(len(entered) - 1, -1, -1):
            block, token, merged = entered[place]
            if block is self:
                _entered.set((*entered[:place], *entered[place + 1 :]))
                # Somebody may have taken our context off already: what stood before it is not ours to put on again.
                if context.get_value(_KEY) is merged:
                    context.detach(token)
                return

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine function, generator function or async generator function."""
        if inspect.isasyncgenfunction(function):
            return cast("F", self._async_generator(function))
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return (yield from self._drive(function(*args, **kwargs)))

            return cast("F", generator)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", coroutine)

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", plain)

    def _drive(self, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Enter around each step only: a token that crossed a yield would be reset in a foreign context."""
        step: Callable[[], Any] = functools.partial(next, inner)
        while True:
            try:
                with self:
                    item = step()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
                step = functools.partial(inner.send, sent)
            except GeneratorExit:
                with self:
                    inner.close()
                raise
            except BaseException as error:  # noqa: BLE001  # handed to the inner generator, which decides
                step = functools.partial(inner.throw, error)

    def _async_generator(self, function: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
        """Return an async generator function, as ``inspect`` and frameworks see it, that enters around each step."""

        @functools.wraps(function)
        async def asyncgen(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(inner.asend, None)
            while True:
                try:
                    with self:
                        item = await step()
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                    step = functools.partial(inner.asend, sent)
                except GeneratorExit:
                    with self:
                        await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # handed to the inner generator, which decides
                    step = functools.partial(inner.athrow, error)

        return asyncgen


#: Blocks entered in this context with the tags in force there, innermost last: one object may be entered by tasks and
#: threads at once.
_entered: ContextVar[tuple[tuple[tags, Token[Context], Mapping[str, str]], ...]] = ContextVar(
    "tokenomics-entered", default=()
)


def current_tags(within: Context | None = None) -> Mapping[str, str]:
    """Return the tags in force in a context (the current one by default), by attribute name.

    A block still open counts where the current context bears no tags, or those of an outer block: others detach what
    they attached before it began (FastAPI's own tracing, around dependencies), or begin a context of their own.
    """
    found = cast("Mapping[str, str]", context.get_value(_KEY, within)) or _NONE
    entered = _entered.get() if within is None else ()
    if entered and (not found or any(found is merged for _, _, merged in entered)):
        return entered[-1][2]
    return found


def current_context() -> Context:
    """Return the current context, with the tags in force put back where others took them off."""
    current, found = context.get_current(), current_tags()
    if not found or context.get_value(_KEY, current) is found:
        return current
    return context.set_value(_KEY, found, current)


def attributes_of(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags by attribute name, within the limits; what breaks one is one warning."""
    result: dict[str, str] = {}
    for key, value in tags.items():
        if value is None:
            continue
        if not is_key(key):
            _warn(f"tag key {key[:60]!r} is not of the form [a-z][a-z0-9_]*; it is dropped")
        elif len(result) >= MAX_TAGS:
            _warn(f"more than {MAX_TAGS} tags in one call; the rest is dropped")
        else:
            # Half of a surrogate pair is no text that can be sent: the exporter would lose the whole attribute.
            text = str(value).encode("utf-8", "replace").decode()
            if len(text) > MAX_VALUE:
                _warn(f"the value of tag {key!r} is longer than {MAX_VALUE} characters; it is cut")
            result[STANDARD.get(key, names.TOKENOMICS_TAG_PREFIX + key)] = text[:MAX_VALUE]
    return result


def is_key(text: str) -> bool:
    """Return whether a text can be the key of a tag."""
    return _VALID_KEY.fullmatch(text) is not None


def before_use(prepare: Callable[[], None]) -> None:
    """Register what must run before the first tag is set (the decision on the providers)."""
    if prepare not in _before_use:
        _before_use.append(prepare)


def not_before_use(prepare: Callable[[], None]) -> None:
    """Take back what ``before_use`` registered."""
    if prepare in _before_use:
        _before_use.remove(prepare)


def without_our_baggage(within: Context, strip: str = "ours") -> Context:
    """Return the context without baggage entries of ours (``ours``) or any (``all``), for the call of a provider."""
    if strip == "none":
        return within
    entries = baggage.get_all(within)
    if not entries:
        return within
    if strip == "all":
        return baggage.clear(within)
    for name in entries:
        if name.startswith(BAGGAGE_PREFIX):
            within = baggage.remove_baggage(name, within)
    return within


def _warn(message: str) -> None:
    cause = message.partition(" ")[0] + message.rpartition(";")[2]
    if cause not in _warned:
        _warned.add(cause)
        _logger.warning("otel_tokenomics: %s", message)
