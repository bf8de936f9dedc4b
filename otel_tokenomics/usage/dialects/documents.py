"""Document formats: pages that were read (OCR).

Source: Mistral's API reference, object ``OCRUsageInfo``.
"""

from __future__ import annotations

from otel_tokenomics.usage import Reading, Usage
from otel_tokenomics.usage.dialects.counts import count, field, word


def read_ocr(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of an OCR answer's ``usage_info``."""
    pages = count(raw, "pages_processed")
    if pages is None or pages < 0:
        return Reading(None, reason=None if pages is None else "invalid_usage")
    return Reading(Usage({"page": pages}))


def read_response(response: object) -> Reading:
    """Return the reading of a whole answer."""
    return read_ocr(field(response, "usage_info"))._replace(response_model=word(response, "model"))
