"""Reads a span that anybody made: what it is, whose model answered, what it used, what was said to be its cost.

Twin of ``collector/internal/attributes``: the same vectors hold both. Pure; nothing that stands on a span raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from otel_tokenomics.attributes import kinds, names
from otel_tokenomics.attributes.accounting import EXCLUSIVE, Source, Tally
from otel_tokenomics.attributes.emitters import OWN_SCOPE, VERCEL_SCOPES, emitter_of, maker_of
from otel_tokenomics.attributes.values import count_of, money_of, yes
from otel_tokenomics.usage import UNITS, Reading, Usage

#: Far above the limit of any SDK (128 by default): a span with more is not worth reading.
MAX_ATTRIBUTES: Final = 4096
_MAX_NAME: Final = 257
_MAX_ADDRESS: Final = 2048
_MAX_ERROR: Final = 256
#: scheme://[user@]host[:port][/path]
_ADDRESS: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]+\]|[^:/?#\s]+)(?::(?P<port>[0-9]{0,5}))?(?P<path>/[^?#]*|)(?:[?#]|\Z)"
)
_VERCEL_DETAIL: Final = "ai.usage.inputTokenDetails."
_UNIT: Final = "unit."
#: What the processor and the exporter write: a span that bears any of it was seen by a step of ours.
WRITTEN: Final = frozenset(
    {
        names.TOKENOMICS_COST_TOTAL, names.TOKENOMICS_COST_CURRENCY, names.TOKENOMICS_COST_BASIS,
        names.TOKENOMICS_COST_FLAGS, names.TOKENOMICS_COST_LIST, names.TOKENOMICS_COST_COMPUTED,
        names.TOKENOMICS_COST_SOURCE, names.TOKENOMICS_COST_STATUS, names.TOKENOMICS_COST_REASON,
        names.TOKENOMICS_COST_INPUT, names.TOKENOMICS_COST_CACHE_READ, names.TOKENOMICS_COST_CACHE_WRITE,
        names.TOKENOMICS_COST_OUTPUT, names.TOKENOMICS_COST_REASONING, names.TOKENOMICS_COST_TOOLS,
        names.TOKENOMICS_COST_REQUESTS, names.TOKENOMICS_COST_SAVINGS_CACHE, names.TOKENOMICS_COST_SAVINGS_BATCH,
        names.TOKENOMICS_COST_TOTAL_MICROS, names.TOKENOMICS_PRICE_BOOK, names.TOKENOMICS_PRICE_SKU,
        names.TOKENOMICS_PRICE_MODEL, names.TOKENOMICS_PRICE_MATCH, names.TOKENOMICS_USAGE_ACCOUNTING,
    }
)  # fmt: skip
#: Reasons for which a call's span bears no charge although it bears the tokens: another one has it.
REPEATS: Final = ("shadowed", "container")
_READ_APART: Final = ("kind", "estimate_of_others", "response_tier", "agent_event", "agent_event_kind", "agent_error")
#: word -> the keys under which it is read, the first that is there wins
_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    **{word: keys for word, keys in names.READ_AS.items() if word not in _READ_APART},
    "openinference_kind": ("openinference.span.kind",),
    "traceloop_kind": ("traceloop.span.kind",),
    "request_type": ("llm.request.type",),
    "operation_type": ("gen_ai.operation.type",),
    "operation": (names.GEN_AI_OPERATION_NAME,),
    "vercel_operation": ("ai.operationId",),
    "span_type": ("span.type",),
    "langfuse_type": ("langfuse.observation.type",),
    "port": (names.SERVER_PORT,),
    "response_status": (names.GEN_AI_RESPONSE_STATUS,),
    "response_id": (names.GEN_AI_RESPONSE_ID,),
    "error_type": (names.ERROR_TYPE,),
    "first_chunk": (names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,),
    "tier_response": (
        names.OPENAI_RESPONSE_SERVICE_TIER,
        names.ANTHROPIC_RESPONSE_SERVICE_TIER,
        "gen_ai.openai.response.service_tier",
    ),
    "image_cache_read": (names.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,),
    "compaction_input": (names.ANTHROPIC_USAGE_COMPACTION_INPUT_TOKENS,),
    "compaction_output": (names.ANTHROPIC_USAGE_COMPACTION_OUTPUT_TOKENS,),
    "tier": (names.TOKENOMICS_REQUEST_TIER,),
    "speed": (names.TOKENOMICS_REQUEST_SPEED,),
    "inference_geo": (names.TOKENOMICS_REQUEST_GEO,),
    "deployment_type": (names.TOKENOMICS_REQUEST_DEPLOYMENT,),
    "region": (names.TOKENOMICS_REQUEST_REGION,),
    "search_context_size": (names.TOKENOMICS_REQUEST_SEARCH_CONTEXT,),
    "account": (names.TOKENOMICS_CREDENTIAL_HASH,),
    "call_end": (names.TOKENOMICS_CALL_END,),
    "cost_total": (names.TOKENOMICS_COST_TOTAL,),
    "cost_computed": (names.TOKENOMICS_COST_COMPUTED,),
    "cost_source": (names.TOKENOMICS_COST_SOURCE,),
    "cost_status": (names.TOKENOMICS_COST_STATUS,),
    "cost_reason": (names.TOKENOMICS_COST_REASON,),
    "price_book": (names.TOKENOMICS_PRICE_BOOK,),
    "price_sku": (names.TOKENOMICS_PRICE_SKU,),
    "price_model": (names.TOKENOMICS_PRICE_MODEL,),
    "accounting": (names.TOKENOMICS_USAGE_ACCOUNTING,),
    "charge_kind": (names.TOKENOMICS_CHARGE_KIND,),
    "usage_source": (names.TOKENOMICS_USAGE_SOURCE,),
    "estimated_input": (names.TOKENOMICS_USAGE_ESTIMATED_INPUT_TOKENS,),
    "estimated_output": (names.TOKENOMICS_USAGE_ESTIMATED_OUTPUT_TOKENS,),
    **{_UNIT + unit: (f"tokenomics.usage.{unit}",) for unit in UNITS if unit != "cache_write_1h"},
}
_BY_KEY: Final[Mapping[str, tuple[str, int]]] = {
    key: (word, rank) for word, keys in reversed(_SPELLINGS.items()) for rank, key in enumerate(keys)
}
#: Words that are counts: there a text without digits is a wrong number, elsewhere an empty text says nothing.
_COUNTS: Final = frozenset(
    {
        "input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "reasoning", "audio_input",
        "audio_output", "audio_cache_read", "image_input", "image_output", "image_cache_read", "total",
        "compaction_input", "compaction_output", "estimated_input", "estimated_output", "agent_tool_input",
    }
)  # fmt: skip
#: A span without any of these is no model call.
_DECISIVE: Final = frozenset(
    key
    for word in (
        "operation", "openinference_kind", "traceloop_kind", "request_type", "vercel_operation", "langfuse_type",
        "input", "output", "response_model", "request_model", "cost_total", "cost_source", "cost_status", "charge_kind",
    )
    for key in _SPELLINGS[word]
)  # fmt: skip
#: Words that decide what a span is; another type than text there makes the span malformed.
_DECIDING: Final = (
    "operation", "openinference_kind", "traceloop_kind", "request_type", "operation_type", "vercel_operation",
    "langfuse_type", "response_model", "request_model", "provider", "host", "cost_source", "cost_status", "price_book",
)  # fmt: skip
_FACTS: Final = ("speed", "inference_geo", "deployment_type", "region", "search_context_size", "account")
#: Parts of the names of errors after which nobody knows whether the provider answered and billed.
_LOST: Final = (
    "timeout", "timedout", "timed_out", "deadline", "connectionreset", "connectionerror", "connection_error",
    "connectionaborted", "connectionclosed", "remoteprotocolerror", "remotedisconnected", "incompleteread",
    "readerror", "chunkedencoding", "brokenpipe", "apiconnectionerror", "econnreset", "etimedout", "socket hang up",
    "timed out", "connection error", "stream disconnected",
)  # fmt: skip


_NO_ATTRIBUTES: Final[Mapping[str, Any]] = {}


class SpanView(NamedTuple):
    """One span as a reader needs it; ``start_ms`` is UTC since 1970, ``exception`` the type of its first exception."""

    scope: str
    scope_version: str
    attributes: Mapping[str, Any]
    start_ms: int
    server: bool = False
    failed: bool = False
    exception: str = ""
    resource: Mapping[str, Any] = _NO_ATTRIBUTES


class ReadOptions(NamedTuple):
    """The settings that change how a span is read."""

    usage_convention: str = "auto"
    price_server_spans: bool = False


class SpanReading(NamedTuple):
    """What one span says.

    ``verdict`` is pass (nothing for us, or settled), price, not_applicable (``reason`` says why) or malformed. Costs
    are pico-USD: ``reading.stated_cost`` of the party that bills, ``estimate`` of another library (compared alone);
    ``zero`` is set where some library wrote 0 beside tokens.
    """

    verdict: str
    reason: str | None = None
    operation: str = ""
    provider: str | None = None
    request_model: str | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    reading: Reading = Reading()
    own: bool = False
    exclusive: bool = False
    cache_hit: bool = False
    estimate: int | None = None
    zero: bool = False
    tier_stated: bool = False
    split_stated: bool = False
    tokens: tuple[int, int] = (0, 0)


class CallIdentity(NamedTuple):
    """What joins the spans of one call. ``own``: our SDK saw it; ``models``: every name of it, without its maker's.

    ``repeats``: a step of ours found that somebody else's span repeats another's charge.
    """

    own: bool
    repeats: bool
    response_id: str | None
    provider: str
    models: frozenset[str]
    tokens: tuple[int, int]


_PASS: Final = SpanReading("pass")


def worth_reading(attributes: Mapping[str, Any]) -> bool:
    """Return whether any attribute can make a span a model call: most spans end here."""
    return not _DECISIVE.isdisjoint(attributes)


def read_span(view: SpanView, options: ReadOptions) -> SpanReading:
    """Return what a span says."""
    values, ranks = _values(view.attributes)
    if any(word in values and not isinstance(values[word], str) for word in _DECIDING):
        return SpanReading("malformed")
    if _settled(values):
        return _PASS
    kind = _kind(values, _agent(view))
    counted = "input" in values or "output" in values
    if kind.role == "other" or (kind.role == "adjunct" and not counted):
        return _PASS
    if kind.role != "call":
        return SpanReading("not_applicable", "container")
    if view.server and not options.price_server_spans:
        return SpanReading("not_applicable", "server_side", kind.operation)
    return _call(view, options, values, ranks, kind.operation)


def identity_of(view: SpanView, options: ReadOptions) -> CallIdentity | None:
    """Return what a call is known by that is priced, unpriced or repeats another's charge; None for all else."""
    values, ranks = _values(view.attributes)
    if "charge_kind" in values or any(word in values and not isinstance(values[word], str) for word in _DECIDING):
        return None
    own = view.scope == OWN_SCOPE or "call_end" in values
    role = _kind(values, _agent(view)).role
    status = _text(values, "cost_status")
    repeats = not own and status == "not_applicable" and _text(values, "cost_reason") in REPEATS
    if not own and (role != "call" or (status in ("", "not_applicable") and not repeats)):
        return None
    if own and role != "call" and "cost_total" not in values:
        return None
    provider = _provider(values, ranks, _agent(view))
    tally = Tally(values, _source(view, options, values, ranks, provider))
    found = (_text(values, word) for word in ("response_model", "request_model", "price_model"))
    return CallIdentity(
        own,
        repeats,
        _text(values, "response_id")[:_MAX_NAME] or None,
        provider.strip().lower(),
        frozenset(name for text in found if (name := text[:_MAX_NAME].strip().lower().rpartition("/")[2])),
        (tally.input or 0, tally.output or 0),
    )


def _agent(view: SpanView) -> bool:
    """Return whether a coding agent speaks: some words only it means so."""
    emitter = emitter_of(view.scope, view.scope_version)
    return emitter is not None and emitter.agent


def _provider(values: Mapping[str, Any], ranks: Mapping[str, int], agent: bool) -> str:
    if agent and "provider" not in values:
        return _text(values, "agent_provider")[:_MAX_NAME]
    provider = _text(values, "provider")[:_MAX_NAME]
    if provider and names.READ_AS["provider"][ranks["provider"]] == "ai.model.provider":
        return provider.partition(".")[0]  # anthropic.messages is the provider and its API
    return provider


def _source(
    view: SpanView, options: ReadOptions, values: Mapping[str, Any], ranks: Mapping[str, int], provider: str
) -> Source:
    emitter = emitter_of(view.scope, view.scope_version)
    if emitter is not None and emitter.spelling and names.READ_AS["input"][ranks.get("input", 0)] != emitter.spelling:
        emitter = None
    return Source(
        emitter, maker_of(provider), view.scope == OWN_SCOPE,
        view.scope in VERCEL_SCOPES, "vercel_detail" in values, "vercel_operation" in values,
        _text(values, "accounting") == EXCLUSIVE, options.usage_convention,
    )  # fmt: skip


def _values(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the values by word; of several spellings the first of the map stays, and an empty name hides none."""
    values: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for key in attributes.keys() & _BY_KEY.keys():
        value = attributes[key]
        word, rank = _BY_KEY[key]
        own = key in WRITTEN
        if (value is None and not own) or (value == "" and not own and word not in _COUNTS and _UNIT not in word):
            continue
        if word not in ranks or rank < ranks[word]:
            values[word], ranks[word] = value, rank
    if any(key.startswith(_VERCEL_DETAIL) for key in attributes):
        values["vercel_detail"] = True
    return values, ranks


def _text(values: Mapping[str, Any], word: str) -> str:
    value = values.get(word)
    return value if isinstance(value, str) else ""


def _settled(values: Mapping[str, Any]) -> bool:
    """Return whether an earlier step of ours left nothing to do: a mark, a charge, or a verdict no book can change."""
    status = _text(values, "cost_status")
    if "charge_kind" in values or status == "not_applicable":
        return True
    if status == "unpriced" and _text(values, "cost_reason") in ("pending", "billing_unknown", "no_usage"):
        return "input" not in values and "output" not in values
    source = _text(values, "cost_source")
    return bool(source) and not (source == "provider" and "price_book" not in values)


def _kind(values: Mapping[str, Any], agent: bool) -> kinds.Kind:
    """Return what a span is. The emitter's own kind comes first: a normaliser's operation name is coarser."""
    modelled = "response_model" in values or "request_model" in values
    standard = kinds.kind_in(kinds.OPERATIONS, _text(values, "operation"))
    found = kinds.kind_in(kinds.OPENINFERENCE, _text(values, "openinference_kind"))
    if found is not None:
        finer = standard is not None and found == kinds.CHAT and standard.role == "call"
        return standard if finer and standard is not None else found
    for word, table in (
        ("traceloop_kind", kinds.TRACELOOP),
        ("request_type", kinds.REQUEST_TYPES),
        ("operation_type", kinds.OPERATION_TYPES),
        ("operation", kinds.OPERATIONS),
    ):
        found = kinds.kind_in(table, _text(values, word))
        if found is not None:
            return found
    if "vercel_operation" in values:
        return kinds.vercel_kind(_text(values, "vercel_operation"))
    found = kinds.kind_in(kinds.SPAN_TYPES, _text(values, "span_type")) if modelled else None
    found = found or kinds.kind_in(kinds.LANGFUSE, _text(values, "langfuse_type"))
    if found is not None:
        return found
    # What a coding agent counts is a call, whether or not it says of which model.
    return kinds.CHAT if (modelled or agent) and ("input" in values or "output" in values) else kinds.OTHER


def _call(
    view: SpanView, options: ReadOptions, values: Mapping[str, Any], ranks: Mapping[str, int], operation: str
) -> SpanReading:
    own = view.scope == OWN_SCOPE
    provider = _provider(values, ranks, _agent(view))
    host, port, path = _address(values)
    tally = Tally(values, _source(view, options, values, ranks, provider))
    facts, stated_tier = _facts(values, _agent(view))
    found = SpanReading(
        "price",
        None,
        operation,
        provider or None,
        _text(values, "request_model")[:_MAX_NAME] or None,
        host,
        port,
        path,
        own=own or "call_end" in values,
        exclusive=tally.exclusive,
        tier_stated=stated_tier,
        split_stated=tally.write_1h is not None or tally.write_5m is not None,
    )
    units = tally.units()
    reason, failed = _reason(view, values, tally, units, found)
    if failed:
        return SpanReading("not_applicable", "call_failed", operation)
    flags = ("inconsistent_usage",) if tally.inconsistent else ()
    if reason == "invalid_usage":
        units = {}
    if any(units.values()) and _completed(view, values):
        # One completed call is one request; a model without a fee per request has no rate for it.
        units["request"] = 1
    usage = Usage(units, "estimated" if tally.estimated else "provider") if units else None
    tokens = (tally.input or 0, tally.output or 0)
    model = _text(values, "response_model")[:_MAX_NAME] or None
    emitter = emitter_of(view.scope, view.scope_version)
    if emitter is not None and not provider and host is None:
        implied = emitter.implied(model or found.request_model or "")
        if implied is not None:
            found, flags = found._replace(provider=implied), (*flags, "assumed_provider")
    found = found._replace(reading=Reading(usage, facts, model, flags=flags, reason=reason), tokens=tokens)
    return _with_stated(found, view, values)


def _address(values: Mapping[str, Any]) -> tuple[str | None, int | None, str]:
    """Return host, port and path; a host that the span names by itself stays."""
    host: str | None = _text(values, "host")[:_MAX_NAME] or None
    number = count_of(values.get("port"))
    port = number if number is not None and number >= 0 else None
    base = _text(values, "api_base")
    if not base or len(base) > _MAX_ADDRESS:
        return host, port, ""
    parsed = _ADDRESS.match(base)
    if parsed is None:
        return host, port, ""
    name = parsed["host"].strip("[]").lower()
    if host is None:
        return name, int(parsed["port"]) if parsed["port"] else port, parsed["path"]
    return host, port, parsed["path"] if host.lower() == name else ""


def _facts(values: Mapping[str, Any], agent: bool) -> tuple[dict[str, str], bool]:
    """Return what else a price depends on, and whether a tier is stated: the response's word, else the request's."""
    facts = {word: text[:_MAX_NAME] for word in _FACTS if (text := _text(values, word))}
    speed = _text(values, "agent_speed")[:_MAX_NAME]
    if agent and "speed" not in facts and speed.lower() not in ("", "normal"):
        facts["speed"] = speed
    for word in ("tier", "tier_response", "request_tier"):
        tier = _text(values, word)[:_MAX_NAME]
        if tier:
            batch = tier.lower() == "batch"
            facts["processing" if batch else "service_tier"] = "batch" if batch else tier
            return facts, True
    return facts, False


def _completed(view: SpanView, values: Mapping[str, Any]) -> bool:
    end = _text(values, "call_end")
    return end == "completed" if end else not view.failed and "error_type" not in values


def _reason(
    view: SpanView, values: Mapping[str, Any], tally: Tally, units: dict[str, int], found: SpanReading
) -> tuple[str | None, bool]:
    """Return the reader's reason, and whether the call failed before anything was billed."""
    beside = [tally.take(word) for word in ("compaction_input", "compaction_output")]
    # Billed beside the totals, at a model that the span does not name.
    tally.incomplete |= any(beside)
    if tally.huge or (not units and tally.bad):
        return "invalid_usage", False
    if not units and "usage_source" in values:
        # Our SDK names a source where usage was reported, and no count where all of it was zero.
        units["input"] = 0
    if not units:
        return _missing(view, values)
    end = _text(values, "call_end")
    known = _text(values, "cost_reason") == "incomplete_usage"
    cut = not found.own and tally.cut_short(units, found.operation)
    if tally.bad or tally.incomplete or known or cut or end not in ("", "completed"):
        return "incomplete_usage", False
    return None, False


def _missing(view: SpanView, values: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Say why a call bears no usage: one that failed was not billed, unless it may have reached the provider."""
    if _text(values, "response_status").lower() in ("queued", "in_progress"):
        return "pending", False
    end = _text(values, "call_end")
    failed = end in ("error", "cancelled") if end else view.failed or "error_type" in values
    if not failed or "first_chunk" in values:
        # Once a stream has begun the call was accepted: something was billed, and nobody said how much.
        return "no_usage", False
    if end == "cancelled" or _lost(_text(values, "error_type")) or _lost(view.exception):
        return "billing_unknown", False
    return "no_usage", True


def _lost(error_type: str) -> bool:
    name = error_type[:_MAX_ERROR].lower()
    return any(word in name for word in _LOST)


def _with_stated(found: SpanReading, view: SpanView, values: Mapping[str, Any]) -> SpanReading:
    """Add the costs that stand on the span: a bill is adopted, an estimate of another library only compared."""
    if yes(values.get("cache_hit")):
        # The gateway answered from its own cache: the provider was not asked.
        return found._replace(cache_hit=True, reading=found.reading._replace(stated_cost=0))
    billed = _billed(found, values)
    if billed is not None:
        return found._replace(reading=found.reading._replace(stated_cost=billed))
    keys = [*names.READ_AS["estimate_of_others"], *names.READ_AS["billed"]]
    if _dollars(values):
        keys += names.READ_AS["billed_amount"]
    ours = own_total(view.attributes)
    estimate, zero = None, False
    for key in keys:
        amount = money_of(view.attributes.get(key))
        if amount is None or amount == ours:
            continue
        if amount == 0 and (sum(found.tokens) or found.reading.usage is None):
            # Nobody knows what an unknown model costs: 0 is a word for that in some libraries.
            zero = True
        elif estimate is None:
            estimate = amount
    return found._replace(estimate=estimate, zero=zero)


def _billed(found: SpanReading, values: Mapping[str, Any]) -> int | None:
    """Return the amount that the billing party stated."""
    if _text(values, "cost_source") == "provider" and "cost_total" in values:
        return money_of(values["cost_total"])
    if "billed_amount" in values and _text(values, "billed_source") == "provider" and _dollars(values):
        return money_of(values["billed_amount"])
    host = (found.host or "").lower()
    at_openrouter = host == "openrouter.ai" or host.endswith(".openrouter.ai")
    if "billed" in values and (at_openrouter or (found.provider or "").strip().lower() == "openrouter"):
        return money_of(values["billed"])
    return None


def _dollars(values: Mapping[str, Any]) -> bool:
    return _text(values, "billed_currency").lower() in ("", "usd")


def own_total(attributes: Mapping[str, Any]) -> int | None:
    """Return the cost of an earlier step of ours (pico-USD): it writes its source beside it."""
    if not attributes.get(names.TOKENOMICS_COST_SOURCE):
        return None
    return money_of(attributes.get(names.TOKENOMICS_COST_TOTAL))
