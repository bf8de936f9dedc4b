"""The realtime connections of the ``mistralai`` library: one request each, from the first sound to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from otel_tokenomics.client_api import Args, Dialogue, Kind, Kwargs, Operation, Request, Step, Target
from otel_tokenomics.clients._addresses import request_to
from otel_tokenomics.usage.dialects.counts import field, word

HEARD: Final = Operation("generate_content", "transcription", "text")


class TranscriptionDialogue:
    """A connection that transcribes what it hears: one request, from the first sound to its end.

    See https://docs.mistral.ai/studio-api/audio/speech_to_text/realtime_transcription: the last event bears the usage.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._asked = False

    def sent(self, args: Args, kwargs: Kwargs) -> Step | None:  # noqa: ARG002  # the protocol's
        """Return what a piece of sound asks for: the first, a transcript of all that follows."""
        if self._asked:
            return None
        self._asked = True
        return Step("asked", operation=HEARD, request=self._request)

    def received(self, message: object) -> Iterator[Step]:
        """Yield what an event says."""
        kind = word(message, "type")
        if kind == "error":
            code = field(field(message, "error"), "code")
            yield Step("failed", error_type="error" if code is None else str(code))
        elif kind == "transcription.done":
            yield Step("over", _LAST, operation=HEARD, request=self._request, item=message)
        elif kind is not None and kind.startswith("transcription."):
            yield Step("says", _LAST, operation=HEARD, request=self._request)

    def ends(self, error: Exception) -> bool:  # noqa: ARG002
        """Return whether nothing more comes after an error: so it is, for the client closes the connection."""
        return True


def dialogue(opener: Any, args: Args, kwargs: Kwargs) -> Dialogue:
    """Return the dialogue of a connection that is opened, or was before: that knows its model and its address."""
    websocket = getattr(opener, "_websocket", None)
    if websocket is None:
        model, server = next(iter(args), None) or kwargs.get("model"), kwargs.get("server_url")
        url: object = server or opener._sdk_config.get_server_details()[0]  # noqa: SLF001  # it is shown nowhere else
    else:
        uri = websocket.protocol.uri
        model, path = opener.session.model, uri.path.removesuffix(_REALTIME)
        url = f"{'wss' if uri.secure else 'ws'}://{uri.host}:{uri.port}{path}"
    return TranscriptionDialogue(request_to(url, "mistral_ai", model, {}, {}, stream=True))


_LAST: Final = "transcript"
_REALTIME: Final = "/v1/audio/transcriptions/realtime"
_CONNECTION: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("transcription", "RealtimeTranscription.connect", "aenter"),
    ("connection", "RealtimeConnection.send_audio", "asend"),
    ("connection", "RealtimeConnection._apply_session_updates", "told"),
    ("connection", "RealtimeConnection.close", "leave"),
)
TARGETS: Final = tuple(
    Target(f"mistralai.extra.realtime.{module}", method, kind) for module, method, kind in _CONNECTION
)
