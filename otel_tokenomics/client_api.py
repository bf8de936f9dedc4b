"""What a client adapter may import besides ``usage``: the words in which it describes its library.

An adapter is data plus functions that look at what the library hands over (``route``, ``request``,
``usage`` before all). Nothing here or in ``clients/`` may import OpenTelemetry, wrapt, prices,
settings or the names of attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol

from otel_tokenomics.usage import NO_FACTS, Facts, Reading

#: What happens at a target: ``call`` and ``acall`` are the choke point that every request passes (of a client that has
#: none, each method that sends one); ``gen`` and ``agen`` the same, of a (async) generator function, whose request goes
#: out with its first step; ``alater`` the same, of a coroutine that makes an asynchronous generator; ``opening`` and
#: ``aopening`` the same, of a function that makes a (async) context manager, whose request goes out when it is entered;
#: ``process`` and ``aprocess`` get the HTTP response of an attempt that succeeded; ``stream`` and ``astream`` make
#: the generator that iterates a response; ``parse`` turns a body that was unread into an object; ``read`` and
#: ``aread`` give the caller a piece of one, or all of it; ``close`` (sync or async) gives a response up; ``under_way``
#: is where a library that reports its calls begins one, or its stream.
#: Of connections that carry many responses: ``enter`` and ``aenter`` open one and return it (nothing: they are methods
#: of it), ``acontext`` returns an asynchronous context manager around one; ``send`` and ``asend`` send a message on it,
#: ``receive`` and ``areceive`` return the next that came (``told`` is handed each of them, on its way to the caller),
#: ``amessages`` an asynchronous generator of all, ``leave`` (sync or async) closes it; ``queue`` puts a message aside
#: until it is open.
Kind = Literal[
    "call", "acall", "gen", "agen", "alater", "opening", "aopening", "process", "aprocess", "stream", "astream",
    "parse", "read", "aread", "close", "under_way",
    "enter", "aenter", "acontext", "send", "asend", "receive", "areceive", "told", "amessages", "leave", "queue",
]  # fmt: skip
Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]
NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})
_NO_PARAMETERS: Final[Mapping[str, object]] = MappingProxyType({})


def _nothing(*_: object) -> None:
    return None


class Operation(NamedTuple):
    """The billable operation that a route recognised."""

    #: ``chat``, ``text_completion``, ``embeddings``, ``generate_content``, ``rerank``, ``fetch_response``; or AWS's
    #: ``apply_guardrail``, for which OpenTelemetry has no word.
    name: str
    #: The wire format of the usage (``chat``, ``completions``, ``responses``, ``messages``, ``embeddings``,
    #: ``images``, ``speech``, ``transcription``, ``realtime``): chooses the dialect reader.
    api: str
    #: ``text``, ``image``, ``speech``, ``video`` where it is not plain text generation.
    output_type: str | None = None
    #: The stored response that a ``fetch_response`` asks for.
    response_id: str | None = None
    #: Whether the method is one that streams; where the request says, it is the request's to say.
    stream: bool = False


class Request(NamedTuple):
    """What one call asked for, before it is sent."""

    model: str | None
    #: The provider that the client class stands for; the host decides, this is the fallback.
    provider: str
    host: str | None = None
    port: int | None = None
    #: Path of the client's base URL (``/v1``): an ``endpoints`` rule may name it.
    path: str = ""
    #: Whether the address itself names who serves (a router's path): then ``provider`` is no mere fallback.
    named: bool = False
    stream: bool = False
    max_output: int | None = None
    facts: Facts = NO_FACTS
    #: Whether the caller asked for usage in the stream; None where he did not say.
    usage_asked: bool | None = None
    #: Counts that only the request knows, by unit (``character`` of a speech input).
    units: Mapping[str, int] = NO_UNITS
    #: Plain request parameters under neutral words: ``max_tokens temperature top_p top_k seed
    #: frequency_penalty presence_penalty stop_sequences choice_count encoding_formats dimensions
    #: reasoning_level service_tier``. The recorder knows under which attribute each is written.
    parameters: Mapping[str, object] = _NO_PARAMETERS
    #: Whether the provider answers at once and works on in the background.
    background: bool = False
    #: Salted hash of the API key; adapters leave it out, the key itself is never held.
    credential_hash: str | None = None


class Target(NamedTuple):
    """One attribute that the engine wraps: ``attribute`` is ``Class.method`` in ``module``."""

    module: str
    attribute: str
    kind: Kind
    #: The operation that a method always is; None where the adapter's ``route`` must look at the request.
    operation: Operation | None = None


class StreamReader(Protocol):
    """What a dialect reader of one stream offers; ``final`` says that the last count has been seen."""

    @property
    def final(self) -> bool:
        """Whether the last count has been seen."""
        ...

    def observe(self, item: object) -> None:
        """Take note of one chunk or event; before them, of a result that carries the stream and is none itself."""
        ...

    def reading(self) -> Reading | None:
        """Return what the stream said so far."""
        ...


class Step(NamedTuple):
    """What one message of a connection says of a response.

    ``asked``: a response is asked for. ``begun``: one has begun, asked for or not. ``says``: its reader has something
    to note. ``done``: it is complete, but its usage may still come. ``over``: nothing more comes of it. ``refused``:
    one that was asked for will not come; ``failed``: the same, or it broke off. ``apart``: a charge that is of no
    response, as a whole; it belongs where the response of its key was asked for.
    """

    what: Literal["asked", "begun", "says", "done", "over", "refused", "failed", "apart"]
    #: What the provider knows the response by.
    key: str | None = None
    #: The lane of a connection that has several: answers come in the order of questions within one.
    lane: str | None = None
    #: What the question is known by, where an error may name it.
    question: str | None = None
    #: Whether a question that still waits may be answered together with this one.
    joins: bool = False
    #: What is asked for; of a response that nobody asked for, what is known.
    operation: Operation | None = None
    request: Request | None = None
    #: What the response's reader takes note of.
    item: object = None
    error_type: str | None = None


class Dialogue(Protocol):
    """How the messages of one open connection are read: it may remember what was agreed on, and no content."""

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:
        """Return what a message that is sent asks for."""
        ...

    def received(self, message: Any) -> Iterable[Step]:
        """Return what a message that came says."""
        ...

    def ends(self, error: Exception) -> bool:
        """Return whether an error at receiving says that no more will come."""
        ...


class Ended(NamedTuple):
    """A call that is over, as its library reports it. Times are epoch seconds."""

    #: What the library knows the call by, from its beginning on.
    call_id: str
    #: The library's description of the call: the ``kwargs`` of the adapter's functions.
    details: Kwargs
    response: object
    started_s: float
    ended_s: float
    error: BaseException | None = None
    #: What the library believes that it cost, in USD.
    opinion: object = None
    #: What came of a stream that was left.
    items: Iterable[object] = ()


class UnderWay(NamedTuple):
    """A call of a library that reports its calls, before it is over."""

    call_id: str
    #: What lives until the call is reported: dropped before, it was left (a stream), or cancelled.
    carrier: object
    #: The library's description of the call, as ``Ended`` has it; neither it nor what follows may hold the carrier.
    details: Kwargs
    started_s: float
    #: Of a stream, the list that it fills, and what makes one response of what came.
    items: Sequence[object] | None = None
    assembled: Callable[[Sequence[object]], object] = _nothing


class Watcher(Protocol):
    """Who is told of the calls of a library that reports them. What is handed over is made under its guard."""

    def began(self, call_id: Callable[[], str]) -> None:
        """Remember the context in which a call is made."""
        ...

    def ended(self, report: Callable[[], Ended]) -> None:
        """Charge a call, unless an observed client below it was charged."""
        ...


def _none_again(_: object) -> int:
    return 0


def _never(_: object) -> bool:
    return False


def _no_texts(*_: object) -> Iterable[str]:
    return ()


#: Parts of the names of errors after which a provider may have worked on, and billed: the answer did not come, or it
#: could not be read.
_LOST: Final = ("timeout", "connection", "protocol", "readerror", "deadline", "decodeerror", "parsererror")
#: Raised for an answer of another shape; the names of those that are raised for a request begin with ``Param``.
_UNREAD: Final = "validationerror"
_REFUSED: Final = 400


def lost(error: BaseException) -> bool:
    """Return whether an error says, by its name or status, that the answer was lost and not the request refused."""
    names = [kind.__name__.lower() for kind in type(error).__mro__]
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and "apitimeouterror" not in names:  # which litellm gives a status, as if it had come
        return status < _REFUSED
    sent = not any(name in ("connecterror", "connecttimeout", "endpointconnectionerror") for name in names)
    unread = any(name.endswith(_UNREAD) and not name.startswith("param") for name in names)
    return unread or (sent and any(word in name for name in names for word in _LOST))


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """How one client library is observed. The functions are pure and may raise: the engine guards them.

    ``args`` and ``kwargs`` are those of the choke point, ``instance`` is the client. What has a default is for clients
    that show their HTTP responses, hand out raw ones, or make spans of their own.
    """

    #: Import name of the library; its name in settings and ``status()`` is that of the adapter's file.
    library: str
    #: Lowest version tested, and the first major that is not.
    tested: tuple[str, str]
    targets: tuple[Target, ...]
    request: Callable[[Any, Operation, Args, Kwargs], Request]
    #: Reads a whole response: a parsed object, or the decoded body.
    usage: Callable[[Operation, object, str], Reading | None]
    #: Reads one stream; a library that reports its calls has none that is observed.
    stream_reader: Callable[[Operation, str], StreamReader | None] = _nothing
    #: The billable operation of a call; None passes it through untouched. Targets may name theirs instead.
    route: Callable[[Any, Args, Kwargs], Operation | None] = _nothing
    #: For a library that reports its calls to callbacks: makes the one that tells the watcher, when the library is
    #: imported; it is put in each of the library's lists. ``route`` and ``request`` get no client, the response as
    #: ``args``, and the library's description of the call as ``kwargs``.
    callback: Callable[[Watcher], object] | None = None
    callback_lists: tuple[str, ...] = ()
    #: Of such a library, the call that an object stands for at a target of the kind ``under_way``.
    under_way: Callable[[Any], UnderWay | None] = _nothing
    #: What one request is known by, where a call is met again in a wrapper further in; None: by its client.
    payload: Callable[[Args, Kwargs], object] = _nothing
    #: Public client classes, on which others may have put a wrapper of the choke point.
    client_classes: tuple[str, ...] = ()
    #: The secret that a client sends; it is hashed where a salt is set, and never kept.
    credential: Callable[[Any], str | None] = _nothing
    #: The HTTP response that a stream or a raw response object stands on, or what else lives as long as a stream.
    http_response: Callable[[object], Any | None] = _nothing
    #: Whether iterating a stream again goes on where it was left: who leaves after one item may only have peeked.
    resumable: bool = False
    #: The unread body of a response whose usage stands there alone: it is heard as the caller reads it.
    unread: Callable[[Operation, object], Any | None] = _nothing
    #: Reads such a body, once the caller has had all of it.
    heard: Callable[[Operation, bytes], Reading | None] = _nothing
    #: How often a client sent a request again before this response.
    retries: Callable[[object], int] = _none_again
    #: Whether a result is a raw response: its parsing is left to the caller.
    is_raw: Callable[[object], bool] = _never
    #: The decoded body of an HTTP response that has been read; None where it has not.
    body: Callable[[Any], object | None] = _nothing
    #: The attribute of a stream that holds the generator which the caller's iteration consumes.
    iterator: str | None = None
    #: Whether the client asks for no item after the one that its reader calls final: the call ends with that.
    stops_at_last: bool = False
    #: The word for the error that a stream's item is, of a client that raises it outside of what is observed; asked of
    #: those that stop at the last item.
    failure: Callable[[object], str | None] = _nothing
    #: The same arguments, the stream's usage asked for; None where that must not be done.
    ask_usage: Callable[[Operation, Request, Args, Kwargs], tuple[Args, Kwargs] | None] = _nothing
    #: Whether a stream item exists only because usage was asked for; tidies what asking left on the others.
    only_usage: Callable[[object], bool] = _never
    #: Whether an error is the host's refusal of the option that asks for usage.
    refused: Callable[[BaseException], bool] = _never
    #: Whether a failed call may have been billed: a timeout, or a connection lost after sending.
    ambiguous: Callable[[BaseException], bool] = lost
    #: The text that a request sends and that a response or stream item brings: only for estimates, in process.
    input_texts: Callable[[Args, Kwargs], Iterable[str]] = _no_texts
    output_texts: Callable[[object], Iterable[str]] = _no_texts
    #: Providers (keys) that are known to accept the option that asks for usage in a stream.
    asks_usage: frozenset[str] = frozenset()
    #: How the messages of a connection are read that ``enter`` or ``acontext`` has opened (``args`` and ``kwargs`` are
    #: theirs, ``instance`` is what they are methods of; where it was opened before us, the connection itself, without
    #: arguments); None where nothing on it is billed.
    dialogue: Callable[[Any, Args, Kwargs], Dialogue | None] = _nothing
    #: Prefix of the scope of the spans that the library makes itself, and whether a client will make one now.
    native_scope: str | None = None
    traces_itself: Callable[[Any], bool] | None = None
    #: Switches a client's own spans off and returns what switches them on again, given the client: it must not hold it.
    silence: Callable[[Any], Callable[[Any], None]] | None = None
