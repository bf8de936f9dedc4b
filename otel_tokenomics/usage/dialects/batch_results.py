"""Lines of a provider's batch result file, as text, dict or client object, in the four formats that there are.

Sources: OpenAI's batch guide (output and error file; Azure, Groq, Mistral and others write the same), Anthropic's API
reference (object ``MessageBatchIndividualResponse``), Google's batch guide (``key`` and ``response``; Vertex AI adds
``processed_time``), Bedrock's user guide, "View the results of a batch inference job" (``recordId``, ``modelOutput``).
Of a line nothing is kept but counts, names and ids.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_tokenomics.usage import Facts, Reading, Usage
from otel_tokenomics.usage.dialects import anthropic, bedrock, google
from otel_tokenomics.usage.dialects.bodies import api_of, read_body
from otel_tokenomics.usage.dialects.counts import count, field, fields_of, word

#: What only the batch's owner knows: OpenAI's and Google's usage objects do not say it.
BATCH: Final[Facts] = MappingProxyType({"processing": "batch"})
_FREE: Final = "modr"
_SCALARS: Final = (str, int, float, list)
_SAFE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_FIRST_S: Final = 1_577_836_800  # 2020: before it there was no batch
_FAILED_FROM: Final = 400


class BatchLine(NamedTuple):
    """What one line says. ``reading`` is None where the request failed, or its endpoint is free."""

    #: The provider that the line's format shows; None where several write the same.
    provider: str | None
    api: str
    reading: Reading | None = None
    #: The provider's id of the response, or of the line.
    identity: str | None = None
    #: The id that the batch's owner gave the request; unique within a batch alone.
    own_id: str | None = None
    #: When the response was made, in epoch nanoseconds.
    created_ns: int | None = None
    error: str | None = None


def read_line(line: object, provider: str | None = None) -> BatchLine | None:
    """Return what a line says; None where it is no line of a known format. ``provider``: whose it is, if known."""
    if isinstance(line, (bytes, bytearray, str)):
        try:
            line = json.loads(line)
        except (ValueError, RecursionError):
            return None
    line = fields_of(line)
    if field(line, "result") is not None:
        return _anthropic(line)
    if field(line, "recordId") is not None:
        return _bedrock(line)
    response = field(line, "response")
    if field(line, "custom_id") is not None:
        return _openai(line, fields_of(response), provider)
    if response is not None or any(field(line, name) is not None for name in ("key", "status", "error")):
        return _google(line, fields_of(response))
    return None


def _anthropic(line: object) -> BatchLine | None:
    result = fields_of(field(line, "result"))
    kind, own_id = word(result, "type"), word(line, "custom_id")
    if kind is None:
        return None
    head = BatchLine("anthropic", "messages", own_id=own_id)
    if kind != "succeeded":
        error = fields_of(field(result, "error"))
        cause = word(field(error, "error"), "type")
        return head._replace(error=_safe(cause or kind), identity=word(error, "request_id"))
    reading = anthropic.read_response(field(result, "message"))
    return None if reading is None else head._replace(reading=reading, identity=reading.response_id)


def _bedrock(line: object) -> BatchLine | None:
    """Return what a record says, in its maker's format or in Converse's; the model is the job's alone to know."""
    output, error = fields_of(field(line, "modelOutput")), fields_of(field(line, "error"))
    head = BatchLine("aws.bedrock", "converse", own_id=word(line, "recordId"))
    if error is not None:
        code = field(error, "errorCode")
        return head._replace(error=_safe(str(code)) if code is not None else "error")
    if output is None or isinstance(output, _SCALARS):
        return None
    reading = bedrock.read_body(output) or Reading()
    return head._replace(reading=reading, identity=reading.response_id)


def _openai(line: object, response: object, provider: str | None) -> BatchLine | None:
    own_id, line_id = word(line, "custom_id"), word(line, "id")
    error, status = fields_of(field(line, "error")), field(response, "status_code")
    body = fields_of(field(response, "body"))
    head = BatchLine(None, "chat", own_id=own_id, identity=word(response, "request_id") or line_id)
    failed = isinstance(status, int) and status >= _FAILED_FROM
    if failed or response is None:
        if not failed and error is None:
            return None
        cause = word(error, "code") or word(field(body, "error"), "type")
        return head._replace(error=_safe(cause or str(status)))
    return _openai_body(head, body, provider) if body is not None and not isinstance(body, _SCALARS) else None


def _openai_body(head: BatchLine, body: object, provider: str | None) -> BatchLine:
    identity = word(body, "id")
    if identity is not None and identity.startswith(_FREE):
        return head._replace(api="moderations", identity=identity)
    provider = provider or _who(body)
    api = api_of(provider, body)
    reading = read_body(api, body, provider) or Reading()
    if reading.facts.get("service_tier") == "batch":
        reading = reading._replace(facts={key: value for key, value in reading.facts.items() if key != "service_tier"})
    if reading.reason == "pending":  # no further answer will come
        reading = reading._replace(reason=None)
    at = _instant(field(body, "created") if field(body, "created") is not None else field(body, "created_at"))
    return head._replace(provider=provider, api=api, reading=reading, identity=identity or head.identity, created_ns=at)


def _who(body: object) -> str | None:
    """Return the host whose mark an answer in OpenAI's format bears."""
    if field(body, "x_groq") is not None:
        return "groq"
    marks = ("prompt_filter_results", "content_filters")
    return "azure.ai.openai" if any(field(body, mark) is not None for mark in marks) else None


def _google(line: object, response: object) -> BatchLine | None:
    vertex = field(line, "processed_time") is not None or field(line, "request") is not None
    provider = "gcp.vertex_ai" if vertex else "gcp.gemini"
    own_id = word(line, "key") or word(field(line, "metadata"), "key")
    head = BatchLine(provider, "generate_content", own_id=own_id)
    if not response:
        error = fields_of(field(line, "error"))
        if error is None and not field(line, "status"):
            return None
        status = word(error, "status") or field(error, "code")
        return head._replace(error=_safe(str(status)) if status is not None else "error")
    embedded = count(response, "token_count")
    if embedded is None:
        embedded = count(response, "tokenCount")
    if embedded is not None:  # of a batch of embeddings
        reading = Reading(Usage({"input": embedded})) if embedded >= 0 else Reading(reason="invalid_usage")
        return head._replace(api="embeddings", reading=reading)
    reading = google.read_response(response)
    if reading is None:
        return None
    at = field(response, "create_time") or field(response, "createTime") or field(line, "processed_time")
    return head._replace(reading=reading, identity=reading.response_id, created_ns=_instant(at))


def _safe(text: str) -> str:
    """Return an error's word; a sentence, which might quote content, is no word."""
    return text if _SAFE.fullmatch(text) else "error"


def _instant(value: object) -> int | None:
    """Return epoch nanoseconds of epoch seconds, RFC 3339 or a datetime; None for what is no plausible time."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value * 1_000_000_000) if _FIRST_S <= value < 2**33 else None
