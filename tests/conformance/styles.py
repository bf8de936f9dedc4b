"""In what styles a client is called, and what its usage means: the words in which ``client_table.py`` is written."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from otel_tokenomics.demo.provider import LocalProvider

#: Found again in nothing that we export.
CANARY = "xyzzy-canary"
MESSAGES: Any = [{"role": "user", "content": f"{CANARY}: how do I reset my password?"}]
KEY = f"sk-{CANARY}"
Usage = Mapping[str, Any]


class Limits(NamedTuple):
    """What a client is made with: seconds until it gives up, and how often it sends a request again."""

    timeout: float = 5.0
    retries: int = 0


class Bill(NamedTuple):
    """What a usage object of the provider's ledger means: fields of input and output, USD for a million of each."""

    given: str
    made: str | None
    prices: tuple[str, str] | None

    def tokens(self, usage: Usage) -> tuple[int, int]:
        """Return input and output."""
        return int(usage[self.given]), int(usage[self.made]) if self.made else 0

    def pico_usd(self, usage: Usage) -> int | None:
        """Return the cost; None where no price is published."""
        if self.prices is None:
            return None
        each = zip(self.tokens(usage), self.prices, strict=True)
        return sum(int(count * Decimal(price) * 10**6) for count, price in each)


class Style(NamedTuple):
    """One way to call a client. A stream is given back for the test to consume."""

    call: Callable[[Any], Any]
    bill: Bill
    stream: bool = False
    asynchronous: bool = False
    #: Whether the request goes out when the first item is asked for.
    lazy: bool = False
    #: Whether the format has an answer without usage.
    may_leave_usage_out: bool = True
    #: Whether a usage can be null.
    nulls: bool = True
    #: Whether a filter's verdict stands in the answer.
    filters: bool = True
    #: Whether the call can be made in one place and its stream be read in another.
    travels: bool = True
    #: Whether a stream can be closed.
    closes: bool = True


Open = Callable[[LocalProvider, Limits], Any]


class Row(NamedTuple):
    """One client: context managers that make it, and its styles by name."""

    open: Open
    aopen: Open
    styles: dict[str, Style]
    #: Whether the library can be told to send a request again.
    retries: bool = True
    #: Whether the library reports its calls, from a thread of its own and a little later.
    reports: bool = False


def closing(make: Callable[[LocalProvider, Limits], Any], close: Callable[[Any], Any]) -> Open:
    """Return the context manager of a client that is made and closed by functions."""

    @contextlib.contextmanager
    def opened(provider: LocalProvider, limits: Limits) -> Iterator[Any]:
        client = make(provider, limits)
        try:
            yield client
        finally:
            close(client)

    return opened


def aclosing(make: Callable[[LocalProvider, Limits], Any], close: Callable[[Any], Any]) -> Open:
    """Return the same for an asynchronous client."""

    @contextlib.asynccontextmanager
    async def opened(provider: LocalProvider, limits: Limits) -> Any:
        client = make(provider, limits)
        try:
            yield client
        finally:
            await close(client)

    return opened


def both(styles: dict[str, Style]) -> dict[str, Style]:
    """Return the styles, and each again for the asynchronous client, which is called by the same words."""
    return styles | {f"async {name}": style._replace(asynchronous=True) for name, style in styles.items()}


async def parsed(response: Any) -> Any:
    """Return what an asynchronous raw response holds: some libraries parse in a coroutine."""
    result = (await response).parse()
    return await result if inspect.isawaitable(result) else result


async def within(manager: Any) -> Any:
    """Return what an asynchronous streaming response holds."""
    async with manager as response:
        return await response.parse()


def _within(manager: Any) -> Any:
    with manager as response:
        return response.parse()


def stainless(face: Callable[[Any], Any], ask: dict[str, Any], bill: Bill, **more: Any) -> dict[str, Style]:
    """Return the forms in which every client of this family hands out an answer."""
    plain, stream = Style(lambda c: face(c).create(**ask), bill, **more), {**ask, "stream": True}
    raw, opened = "with_raw_response", "with_streaming_response"
    return {
        **both({"": plain, "stream": plain._replace(call=lambda c: face(c).create(**stream), stream=True)}),
        "raw": plain._replace(call=lambda c: getattr(face(c), raw).create(**ask).parse()),
        "raw stream": plain._replace(call=lambda c: getattr(face(c), raw).create(**stream).parse(), stream=True),
        "streaming response": plain._replace(call=lambda c: _within(getattr(face(c), opened).create(**ask))),
        "async raw": plain._replace(call=lambda c: parsed(getattr(face(c), raw).create(**ask)), asynchronous=True),
        "async raw stream": plain._replace(
            call=lambda c: parsed(getattr(face(c), raw).create(**stream)), stream=True, asynchronous=True
        ),
        "async streaming response": plain._replace(
            call=lambda c: within(getattr(face(c), opened).create(**ask)), asynchronous=True
        ),
    }


def named(name: str, styles: dict[str, Style]) -> dict[str, Style]:
    """Return styles under the name of what is asked for."""
    return {
        " ".join(filter(None, ("async" if style.asynchronous else "", name, word.removeprefix("async").strip()))): style
        for word, style in styles.items()
    }


def helper(open_stream: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def events(client: Any) -> Iterator[Any]:
        with open_stream(client) as stream:
            yield from stream

    return events


def async_helper(open_stream: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def events(client: Any) -> Any:
        async with open_stream(client) as stream:
            async for event in stream:
                yield event

    return events
