"""Push prices of the book to a backend that prices by itself, so that it shows what the spans say.

Phoenix ignores every cost attribute and has a table of its own: this puts our rates above it, own prices and discounts
included. They hold for spans that arrive from some 5 seconds later on; push again after a new book. A token of Phoenix,
where it asks for one, is read from PHOENIX_API_KEY.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from otel_tokenomics.cli.price import load_book
from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.errors import BadInputError, TokenomicsError
from otel_tokenomics.pricing import PriceBook, price, resolve
from otel_tokenomics.pricing.rates import Row
from otel_tokenomics.report.fixes import nearest
from otel_tokenomics.usage import Usage, pico_to_text

#: Token type and kind in Phoenix for each unit that it can tell apart.
_TOKENS: Final = MappingProxyType(
    {
        "input": ("input", "PROMPT"),
        "cache_read": ("cache_read", "PROMPT"),
        "cache_write": ("cache_write", "PROMPT"),
        "audio_in": ("audio", "PROMPT"),
        "image_in": ("image", "PROMPT"),
        "output": ("output", "COMPLETION"),
        "reasoning": ("reasoning", "COMPLETION"),
        "audio_out": ("audio", "COMPLETION"),
        "image_out": ("image", "COMPLETION"),
    }
)
#: What Phoenix makes of gen_ai.provider.name; of every other provider it keeps no name to tell a model by.
_PROVIDERS: Final = MappingProxyType(
    {
        "anthropic": "anthropic",
        "aws.bedrock": "aws",
        "azure.ai.inference": "azure",
        "azure.ai.openai": "azure",
        "cohere": "cohere",
        "deepseek": "deepseek",
        "gcp.gemini": "google",
        "gcp.vertex_ai": "google",
        "groq": "groq",
        "mistral_ai": "mistralai",
        "openai": "openai",
        "perplexity": "perplexity",
        "x_ai": "xai",
    }
)
#: Tokens of one unit that a rate is read from: exact for it, and below every tier of context.
_TOKENS_PRICED: Final = 1000
_TIMEOUT_S: Final = 30
_LARGEST_ANSWER: Final = 64 * 2**20
_KNOWN: Final = """{ generativeModels(first: 100000) { edges { node {
  id name kind namePattern provider tokenPrices { tokenType kind costPerMillionTokens } } } } }"""
_CREATE: Final = "mutation ($input: CreateModelMutationInput!) { createModel(input: $input) { model { id } } }"
_UPDATE: Final = "mutation ($input: UpdateModelMutationInput!) { updateModel(input: $input) { model { id } } }"


class _Model(NamedTuple):
    """What Phoenix is told of a model, and what it cannot be told."""

    name: str
    told: dict[str, Any]
    left_out: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("backend", choices=["phoenix"], help="who is told: phoenix")
    parser.add_argument("models", nargs="+", metavar="PROVIDER/MODEL", help="a model as calls name it, or PROVIDER/*")
    parser.add_argument("--url", default="http://127.0.0.1:6006", help="address of Phoenix; %(default)s without it")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--book", metavar="FILE", help="price book to use instead of the embedded one")
    parser.add_argument("--overrides", metavar="FILE", help="overlay: own prices, discounts, aliases")


def run(arguments: argparse.Namespace) -> int:
    """Push; what Phoenix refuses ends the command, and what went before it stays."""
    phoenix = _Phoenix(arguments.url)
    models = _models(load_book(arguments), arguments.models)
    known = {
        node["name"]: node for node in (edge["node"] for edge in phoenix.ask(_KNOWN, "generativeModels")["edges"])
        if node["kind"] == "CUSTOM"
    }  # fmt: skip
    said: list[dict[str, Any]] = []
    for model in models:
        before = known.get(model.name)
        done = "new" if before is None else "same" if _same(before, model.told) else "changed"
        if not arguments.dry_run and before is None:
            phoenix.ask(_CREATE, "createModel", input=model.told)
        elif not arguments.dry_run and before is not None and done == "changed":
            phoenix.ask(_UPDATE, "updateModel", input={"id": before["id"], **model.told})
        said.append({"model": model.name, "done": done, "told": model.told, "left_out": model.left_out})
        if not arguments.json:
            print(plain_line(_line(model, done)))
    if arguments.json:
        print(json.dumps({"url": arguments.url, "dry_run": arguments.dry_run, "models": said}, indent=2))
    elif arguments.dry_run:
        print("dry run: nothing was changed")
    return 0


def _line(model: _Model, done: str) -> str:
    rates = ", ".join(f"{cost['tokenType']} {cost['costPerMillionTokens']:g}" for cost in _costs(model.told))
    rest = f"; Phoenix cannot hold: {', '.join(model.left_out)}" if model.left_out else ""
    return f"{done:8s} {model.name}: {rates} USD per million tokens{rest}"


def _costs(told: Any) -> list[dict[str, Any]]:
    return told["costs"]


def _same(before: Any, told: Any) -> bool:
    def key(costs: Any) -> list[Any]:
        # Phoenix keeps a rate for one token, and what comes back is not the last bit of what went.
        return sorted((cost["tokenType"], cost["kind"], f"{cost['costPerMillionTokens']:.9g}") for cost in costs)

    named = all(before[name] == told[name] for name in ("namePattern", "provider"))
    return named and key(before["tokenPrices"]) == key(told["costs"])


def _models(book: PriceBook, asked: list[str]) -> list[_Model]:
    """Return what is to be pushed; raise BadInputError where a name is none, or its price cannot be."""
    found: dict[str, _Model] = {}
    for text in asked:
        word, _, name = text.partition("/")
        provider = book.provider_by_name(word)
        if provider is None or not name:
            known = ", ".join(sorted({key for key, _ in book.ids()}))
            raise BadInputError(f"{text!r} is no PROVIDER/MODEL of {book.id}; providers are {known}")
        if name == "*":
            ids = sorted({model.id for key, one in book.ids() if key == provider and (model := book.model(key, one))})
            made = [made for one in ids if isinstance(made := _model(book, provider, one), _Model)]
            if not made:
                raise BadInputError(f"{text!r}: no model with a rate for input and for output")
            found |= {one.name: one for one in made}
            continue
        one = _model(book, provider, name)
        if isinstance(one, str):
            near = ", ".join(nearest(book, name, provider)) if one == "unknown_model" else ""
            raise BadInputError(f"{text!r}: {one}" + (f"; the nearest ids: {near}" if near else ""))
        found[one.name] = one
    return list(found.values())


def _model(book: PriceBook, provider: str, name: str) -> _Model | str:
    """Return a model with its rates of now, or why it cannot be pushed."""
    match = resolve(book, provider, name)
    if match.model is None:
        return match.reason or "unknown_model"
    at_ms = time.time_ns() // 1_000_000
    rates = {unit: _usd_per_million(book, provider, name, unit, at_ms) for unit in _TOKENS}
    if rates["input"] is None or rates["output"] is None:
        return "Phoenix wants a rate for input and one for output, and it has not both now"
    # A kind of token without a rate of its own goes by that of plain input or output in Phoenix too.
    plain = {"PROMPT": rates["input"], "COMPLETION": rates["output"]}
    costs = [
        {"tokenType": token, "kind": kind, "costPerMillionTokens": rates[unit]}
        for unit, (token, kind) in _TOKENS.items()
        if unit in ("input", "output") or rates[unit] not in (None, plain[kind])
    ]
    model = match.model
    names = [other for key, other in book.ids() if key == provider and book.model(key, other) is model]
    pattern = "|".join(re.escape(one) for one in sorted({name, *names}))
    called = f"{provider}/{model.id if name in names else name}"
    told = {
        "name": called,
        "provider": _PROVIDERS.get(provider),
        "namePattern": f"^(?:{pattern})$",
        "costs": costs,
    }
    return _Model(called, told, list(dict.fromkeys(_left_out(model.rows, at_ms))))


def _usd_per_million(book: PriceBook, provider: str, name: str, unit: str, at_ms: int) -> float | None:
    """Return what a call pays for a unit; None where no rate is stated for it."""
    cost = price(book, provider, name, Usage({unit: _TOKENS_PRICED}), {}, at_ms)
    if cost.total is None or "assumed_rate" in cost.flags:
        return None
    return float(pico_to_text(cost.total * 10**6 // _TOKENS_PRICED))


def _left_out(rows: Sequence[Row], at_ms: int) -> Iterator[str]:
    """Yield what Phoenix has no place for: it knows one rate for each kind of token."""
    for row in rows:
        if not row.start <= at_ms < row.until:
            continue
        if row.calendar is not None:
            yield "rows by time of day"
        for key, _ in row.when:
            yield f"rows by {key}"
        for tier in row.tiers:
            yield f"tier above {tier.gt}"
        for unit in row.source["rates"]:
            if unit not in _TOKENS:
                yield unit


class _Phoenix:
    """Its GraphQL API at an address, under /graphql."""

    def __init__(self, url: str) -> None:
        if "@" in url:
            raise BadInputError("--url: no user and no password there; PHOENIX_API_KEY is the place of a token")
        if not url.startswith(("http://", "https://")):
            raise BadInputError(f"--url: {url!r} is no http:// or https:// address")
        self._url = url.rstrip("/") + "/graphql"
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        token = os.environ.get("PHOENIX_API_KEY")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, query: str, field: str, **variables: Any) -> Any:
        """Return a field of what was asked for; raise TokenomicsError with what Phoenix said, or why nothing."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        try:
            request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310  # http or https, see above
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer: Any = json.loads(response.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                known = {401: ": set PHOENIX_API_KEY", 403: ": PHOENIX_API_KEY is of nobody who may"}
            self._fail(f"answered {error.code}{known.get(error.code, '')}")
        except urllib.error.URLError as error:
            self._fail(f"does not answer: {getattr(error.reason, 'strerror', None) or error.reason}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._fail(f"gives no answer of Phoenix: {type(error).__name__}")
        try:
            if errors := answer.get("errors"):
                self._fail(f"refused: {errors[0]['message']}")
            return answer["data"][field]
        except (AttributeError, LookupError, TypeError):
            self._fail("gives no answer of Phoenix")

    def _fail(self, why: str) -> NoReturn:
        raise TokenomicsError(plain_line(f"push: {self._url} {why}"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token is of this address and of no other."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        del req, fp, code, msg, headers, newurl
