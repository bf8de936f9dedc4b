"""The ``groq`` library: OpenAI's formats under Groq's paths.

Usage is inclusive, and stands on a stream's last chunk unasked (``x_groq``). See
https://console.groq.com/docs/api-reference.
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.client_api import Adapter
from otel_tokenomics.clients import _openai_formats as formats

_ROUTES: Final = {
    "/openai/v1/chat/completions": formats.CHAT,
    "/openai/v1/embeddings": formats.EMBEDDINGS,
    "/openai/v1/audio/transcriptions": formats.HEARD,
    "/openai/v1/audio/translations": formats.HEARD,
    "/openai/v1/audio/speech": formats.SPOKEN,
}
ADAPTER: Final[Adapter] = formats.adapter("groq", ("0.37", "2"), _ROUTES, "groq", ("Groq", "AsyncGroq"))
