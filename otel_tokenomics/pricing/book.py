"""The price book: an immutable value that finds a model's prepared rows by provider and id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricing.check import Checker
from otel_tokenomics.pricing.check_models import ModelChecker, refuse_a_step_back
from otel_tokenomics.pricing.factors import Discount, Multiplier
from otel_tokenomics.pricing.facts import NEUTRAL_WORDS, SEARCH_CONTEXT, Provider
from otel_tokenomics.pricing.hosts import HostTable
from otel_tokenomics.pricing.names import ascii_lower, ascii_trim
from otel_tokenomics.pricing.overlay import Overlay, multiplier_entries, parse_overlay
from otel_tokenomics.pricing.rates import Row, calendar, instant, rows_of

Entry = Mapping[str, Any]
_ROWS = ',"rows":'


@dataclass(frozen=True, slots=True)
class Model:
    """One model with its rows in the order in which they are tried; overlay rows stand first.

    ``factless`` are the rows that a call without facts can have; ``adjusted`` says that something acts on every
    call: a discount, or a multiplier without a condition. ``search_context`` is the provider's default size where a
    row asks for one. ``factors`` keeps what rules that acted together come to.
    """

    provider: str
    id: str
    rows: tuple[Row, ...]
    factless: tuple[Row, ...]
    multipliers: tuple[Multiplier, ...]
    discounts: tuple[Discount, ...]
    adjusted: bool
    search_context: str | None
    factors: dict[int, Any] = field(default_factory=dict, compare=False)


class _Source(NamedTuple):
    """The models of a book by (provider, id), as entries or as lines not read yet; and (provider, prefix, id)."""

    models: Mapping[tuple[str, str], Entry | str]
    prefixes: Sequence[tuple[str, str, str]]


class PriceBook:
    """A checked book, with the overlays laid over it. Immutable: a newer book is another object.

    ``id`` is ``<id>@<version>``, with ``+<8 hex>`` of the overlay; ``generated_at_ms`` is UTC milliseconds.
    ``deployments`` are the (provider, id) of ``capacity``, ``static`` the fixed costs, ``adjacent`` those of operations
    that are no model call.
    """

    def __init__(self, header: Entry, source: _Source, overlays: tuple[Overlay, ...] = ()) -> None:
        self._header = header
        self._source = source
        self._overlays = overlays
        self.version: str = header["version"]
        self.id: str = "+".join([f"{header['id']}@{header['version']}", *(one.digest for one in reversed(overlays))])
        self.generated_at_ms: int = instant(header["generated_at"])
        self._provider_entries: dict[str, Entry] = dict(header["providers"])
        self._calendar_entries: dict[str, Entry] = dict(header.get("calendars", {}))
        self.aliases: dict[str, Mapping[str, Mapping[str, str]]] = {}
        for overlay in reversed(overlays):
            self._provider_entries |= overlay.providers
            self._calendar_entries |= overlay.calendars
            for provider, names in overlay.aliases.items():
                self.aliases[provider] = {**self.aliases.get(provider, {}), **names}
        self._calendars = {name: calendar(entry) for name, entry in self._calendar_entries.items()}
        self.providers: Mapping[str, Provider] = {
            key: _provider(key, entry) for key, entry in self._provider_entries.items()
        }
        named = self._provider_entries.items()
        self._names = {name: key for key, entry in named for name in entry.get("names", ())} | {
            key: key for key in self.providers
        }
        self.hosts = HostTable({key: entry.get("hosts", ()) for key, entry in named})
        # Within an overlay a capacity lies above rows: it is said of one deployment.
        self._own = [layer for one in overlays for layer in (one.deployments, _by_id(one.models))]
        self.deployments = frozenset(key for overlay in overlays for key in overlay.deployments)
        self.capacity = tuple(entry for overlay in overlays for entry in overlay.capacity)
        self.static = tuple(entry for overlay in overlays for entry in overlay.static)
        self.adjacent = tuple(entry for overlay in overlays for entry in overlay.adjacent)
        self._multipliers = multiplier_entries(header.get("multipliers", ()))
        for overlay in overlays:
            self._multipliers += overlay.multipliers
        own_prefixes = [prefix for overlay in overlays for model in overlay.models for prefix in _prefixes(model)]
        self._prefixes = sorted((*own_prefixes, *source.prefixes), key=lambda entry: -len(entry[1]))
        self._models: dict[tuple[str, str], Model] = {}
        #: The kept answers of the model-id resolution, made at its first use.
        self.matches: Callable[..., Any] | None = None

    @classmethod
    def parse(cls, text: str, origin: str, replaces: PriceBook | None = None) -> PriceBook:
        """Return the book of a JSON text, checked in full.

        Args:
            text: the book.
            origin: its name in errors.
            replaces: the book in use, where this one is its next version.

        Raises:
            PriceBookError: naming origin, path and rule. With ``replaces``, also where version or date go back, half
                of the models are gone, or a rate moved more than tenfold.
        """
        check = Checker(origin)
        header = check.decode(text)
        check.header(header)
        values = check.filled(header.get("models"), "model", "models")
        checker = ModelChecker(origin, header.get("calendars", {}), header["providers"])
        models = [checker.model(value, f"models[{index}]") for index, value in enumerate(values)]
        book = cls({key: value for key, value in header.items() if key != "models"}, _source_of(models))
        if replaces is not None:
            book.must_follow(replaces, origin)
        return book

    @classmethod
    def indexed(cls, text: str) -> PriceBook:
        """Return the book of a text that the build wrote, one model a line: checked there, not here.

        Raises:
            PriceBookError: it has no models.
        """
        first, *lines = text.splitlines()
        header = json.loads(first + "]}")
        lines = [line for line in lines if _ROWS in line]
        # One call of the reader for all ids takes a third of the time of one call per line.
        heads: list[Entry] = json.loads("[" + ",".join([line[: line.find(_ROWS)] + "}" for line in lines]) + "]")
        if not heads:
            raise PriceBookError("pricebook.json: models: must not be empty")
        models: dict[tuple[str, str], Entry | str] = {}
        prefixes: list[tuple[str, str, str]] = []
        for head, line in zip(heads, lines, strict=True):
            models[head["p"], head["id"]] = line
            for name in head.get("ids", ()):
                models[head["p"], name] = line
            if "prefixes" in head:
                prefixes += _prefixes(head)
        return cls(header, _Source(models, prefixes))

    def must_follow(self, before: PriceBook, origin: str) -> None:
        """Refuse this book as the next version of another one.

        Raises:
            PriceBookError: version or date go back, half of the models are gone, or a rate moved more than tenfold.
        """
        header, models = self.written()
        refuse_a_step_back(Checker(origin), (header, list(models.values())), before.written())

    @property
    def name(self) -> str:
        """What the book goes by in every version."""
        return self.id.partition("@")[0]

    def with_overlay(self, text: str, origin: str, written: str | None = None) -> PriceBook:
        """Return this book with own prices laid over it, above overlays that it bears already.

        Args:
            text: the overlay, JSON.
            origin: its name in errors.
            written: the file that the text was made of, where it is no JSON: the id bears the digest of this.

        Raises:
            PriceBookError: the overlay breaks a rule; origin, path and rule are named.
        """
        return PriceBook(self._header, self._source, (self.overlay_of(text, origin, written), *self._overlays))

    def overlay_of(self, text: str, origin: str, written: str | None = None) -> Overlay:
        """Return an overlay that would lie above this book, checked.

        Raises:
            PriceBookError: it breaks a rule; origin, path and rule are named.
        """
        return parse_overlay(text, origin, self._calendar_entries, self._provider_entries, written)

    def provider_by_name(self, name: str | None) -> str | None:
        """Return the provider that goes by a name (trimmed, any case), or None."""
        return self._names.get(ascii_lower(ascii_trim(name))) if name else None

    def provider_by_host(self, host: str | None) -> str | None:
        """Return the provider that lists a host, or None."""
        return self.hosts.provider(host) if host else None

    def ids(self) -> Iterator[tuple[str, str]]:
        """Yield every (provider, id) that the book or an overlay names, further ids too."""
        yield from dict.fromkeys([*self._source.models, *(key for own in self._own for key in own)])

    def has(self, provider: str, name: str) -> bool:
        """Return whether the book or an overlay has an exact id."""
        key = (provider, name)
        return key in self._source.models or any(key in own for own in self._own)

    def entry(self, provider: str, name: str) -> Entry | None:
        """Return the book's own entry of a model, as written, or None."""
        found = self._source.models.get((provider, name))
        return _read(found) if found is not None else None

    def model(self, provider: str, name: str) -> Model | None:
        """Return the model of an exact id, its rows prepared, or None. Prepared at first use."""
        key = (provider, name)
        found = self._models.get(key)
        if found is None and self.has(provider, name):
            found = self._models.setdefault(key, self._prepare(provider, name))
        return found

    def by_prefix(self, provider: str, name: str) -> Model | None:
        """Return the model whose declared prefix begins the name; the longest wins."""
        for owner, prefix, model in self._prefixes:
            if owner == provider and name.startswith(prefix):
                return self.model(provider, model)
        return None

    def written(self) -> tuple[Entry, Mapping[tuple[str, str], Entry]]:
        """Return the book as it was written, without overlays: its header, and its models by (provider, id)."""
        entries = {key: _read(model) for key, model in self._source.models.items()}
        return self._header, {key: model for key, model in entries.items() if key[1] == model["id"]}

    def _prepare(self, provider: str, name: str) -> Model:
        written = [own[provider, name] for own in self._own if (provider, name) in own]
        entry = self.entry(provider, name) or (self.entry(provider, written[0]["id"]) if written else None)
        model_id: str = entry["id"] if entry else written[0]["id"]
        # A model goes by one name: what an overlay says of any of its ids holds for all.
        keys = [(provider, one) for one in (model_id, *(entry.get("ids", ()) if entry else ()))]
        owns = [found for own in self._own if (found := next((own[key] for key in keys if key in own), None))]
        rows: list[Row] = []
        for index, own in enumerate(owns):
            beneath = [row for below in (*owns[index + 1 :], *([entry] if entry else [])) for row in below["rows"]]
            rows += rows_of({**own, "id": model_id}, self._calendars, contracted=True, beneath=beneath)
        rows += rows_of(entry, self._calendars) if entry else ()
        multipliers = [
            one for owner, ids, one in self._multipliers if owner == provider and (ids is None or model_id in ids)
        ]
        discounts = [
            discount
            for overlay in self._overlays
            for discount in overlay.discounts
            if discount.provider == provider and discount.narrowness(model_id) >= 0
        ]
        discounts.sort(key=lambda discount: -discount.narrowness(model_id))
        asks = any(key == "search_context_size" for row in rows for key, _ in row.when)
        return Model(
            provider,
            model_id,
            tuple(rows),
            tuple(row for row in rows if not row.when),
            tuple(multipliers),
            tuple(discounts),
            bool(discounts) or any(not one.when for one in multipliers),
            SEARCH_CONTEXT.get(provider) if asks else None,
        )


@cache
def load_embedded() -> PriceBook:
    """Return the book inside the package. It was checked when it was built; a model is read at first use."""
    return PriceBook.indexed(Path(__file__).with_name("pricebook.json").read_text(encoding="utf-8"))


def _read(model: Entry | str) -> Entry:
    return json.loads(model.rstrip(",")) if isinstance(model, str) else model


def _source_of(models: Sequence[Entry]) -> _Source:
    return _Source(_by_id(models), [prefix for model in models for prefix in _prefixes(model)])


def _by_id(models: Sequence[Entry]) -> dict[tuple[str, str], Entry]:
    return {(model["p"], name): model for model in models for name in (model["id"], *model.get("ids", ()))}


def _prefixes(model: Entry) -> Sequence[tuple[str, str, str]]:
    return [(model["p"], prefix, model["id"]) for prefix in model.get("prefixes", ())]


def _provider(key: str, entry: Entry) -> Provider:
    neutral = frozenset({"", *entry.get("neutral_tiers", NEUTRAL_WORDS)})
    prefixes = tuple(name + end for name in dict.fromkeys([key, *entry.get("names", ())]) for end in "/:")
    accounting, aliases = entry.get("accounting", "inclusive"), entry.get("tier_aliases", {})
    return Provider(key, entry["kind"], accounting, neutral, aliases, prefixes)
