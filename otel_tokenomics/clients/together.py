"""The ``together`` library (2.x and later): OpenAI's formats, without ``/v1`` in 2.x and with it from 3.0 on.

Usage is inclusive, and stands on a stream's last chunk unasked. See https://docs.together.ai/reference.
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.client_api import Adapter
from otel_tokenomics.clients import _openai_formats as formats

_PATHS: Final = {
    "/chat/completions": formats.CHAT,
    "/completions": formats.COMPLETION,
    "/embeddings": formats.EMBEDDINGS,
    "/rerank": formats.RERANK,
    "/images/generations": formats.IMAGES,
    "/audio/speech": formats.SPOKEN,
    "/audio/transcriptions": formats.HEARD,
    "/audio/translations": formats.HEARD,
    "/videos": formats.VIDEOS,
    "/evaluation": formats.RUNS,
    "/queue/submit": formats.RUNS,
    "/tci/execute": formats.RUNS,
}
_ROUTES: Final = {
    **_PATHS,
    **{f"/v1{path}": operation for path, operation in _PATHS.items()},
    "/v2/videos": formats.VIDEOS,
}
ADAPTER: Final[Adapter] = formats.adapter("together", ("2.42", "4"), _ROUTES, "together", ("Together", "AsyncTogether"))
