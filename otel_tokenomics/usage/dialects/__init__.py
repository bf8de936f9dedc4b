"""Readers of raw provider usage: one file per wire dialect, pure, never raising on what a provider sent.

Only readers may enter this room; it imports ``usage`` and the standard library.
"""

from __future__ import annotations

from otel_tokenomics.usage import Reading
from otel_tokenomics.usage.dialects.batch_results import BATCH, read_line
from otel_tokenomics.usage.dialects.bodies import read_body
from otel_tokenomics.usage.dialects.counts import field
from otel_tokenomics.usage.dialects.formats import APIS, default_api, read_usage

__all__ = ["APIS", "default_api", "read"]


def read(api: str | None, raw: object, *, provider: str | None = None) -> Reading:
    """Return the reading of what a provider returned.

    Args:
        api: the wire format, a word of ``APIS``; None: the one that the object and the provider show.
        raw: the usage object exactly as the API or its client returned it, the whole answer around it, an event of a
            stream that bears it, or a line of a batch result file.
        provider: key of the provider, for hosts whose usage differs from the format's.

    Raises:
        ValueError: no reader knows the format; the message names those available.
    """
    if api is not None and api not in APIS:
        raise ValueError(f"api {api!r} is not available; available are {', '.join(APIS)}")
    if _is_batch_line(raw):
        line = read_line(raw, provider)
        reading = line.reading if line is not None and line.reading is not None else Reading()
        return reading._replace(facts={**reading.facts, **BATCH})
    body = read_body(api, raw, provider)
    return body if body is not None else read_usage(api or default_api(provider, raw), raw, provider)


def _is_batch_line(raw: object) -> bool:
    if field(raw, "custom_id") is not None or field(raw, "recordId") is not None:
        return True
    keyed = any(field(raw, name) is not None for name in ("key", "processed_time"))
    return field(raw, "response") is not None and (keyed or field(field(raw, "metadata"), "key") is not None)
