"""Own prices: the overlay that is laid over a book (rows, discounts, aliases, capacity, fixed costs)."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.pricing.capacity import Capacity, capacity_models, gpu_rate, hourly_rate
from otel_tokenomics.pricing.check import HEADER_KEYS, WHEN_KEYS, Checker
from otel_tokenomics.pricing.check_models import MAX_RATE, ROW_KEYS, ModelChecker
from otel_tokenomics.pricing.factors import Discount, Multiplier
from otel_tokenomics.pricing.names import ascii_lower, ascii_trim
from otel_tokenomics.pricing.wording import WrittenFloat, path_key, shown
from otel_tokenomics.usage import MAX_COUNT, MAX_PICO, PICO_PER_USD, TOKEN_UNITS, UNITS

_HEAD: Final = ("schema", "id", "version", "generated_at", "currency", "scale")
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_OTHER_KIND: Final = {
    "usd_per_million": "must be a unit of tokens; {} is priced each, under usd_each",
    "usd_each": "must be a unit that is priced each; {} is priced per million, under usd_per_million",
}
_DISCOUNT: Final = ("p", "match", "ratio", "from", "until", "units", "account")
_ALIAS: Final = ("model", "provider", *(key for key in WHEN_KEYS if key != "calendar"))
_CAPACITY: Final = ("p", "ids", "kind", "from", "until", "account", "when")
_HOURLY: Final = (*_CAPACITY, "usd_per_hour", "units_per_hour", "allocate")
_GPU: Final = (*_CAPACITY, "usd_per_gpu_hour", "gpus", "tokens_per_second", "utilization")
_STATIC: Final = ("name", "usd", "from", "until", "tags")
_ADJACENT: Final = ("name", "match", "unit", "usd_each")


class StaticCost(NamedTuple):
    """A fixed cost (a lease, seats, a training run) of a time, ms UTC; open, it is one of the day of its start."""

    name: str
    pico: int
    start: int
    until: int
    tags: Mapping[str, str]


class AdjacentRate(NamedTuple):
    """What one operation that is no model call costs, in pico-USD: a vector database's read, a search.

    ``match`` are the attributes that a span must bear: text as written, or ``*`` and the end of it.
    """

    name: str
    match: tuple[tuple[str, str], ...]
    unit: str
    pico: int

    def meets(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether the attributes of a span match."""
        for key, wanted in self.match:
            value = attributes.get(key)
            if not isinstance(value, str):
                return False
            if not (value.endswith(wanted[1:]) if wanted.startswith("*") else value == wanted):
                return False
        return True


class Overlay(NamedTuple):
    """A checked overlay; ``digest`` is the first 8 hex digits of its sha256.

    ``deployments`` are the rows that ``capacity`` gives, as models by (provider, id).
    """

    digest: str
    models: tuple[Mapping[str, Any], ...]
    calendars: Mapping[str, Any]
    providers: Mapping[str, Any]
    multipliers: tuple[tuple[str, frozenset[str] | None, Multiplier], ...]
    discounts: tuple[Discount, ...]
    aliases: Mapping[str, Mapping[str, Mapping[str, str]]]
    capacity: tuple[Capacity, ...]
    deployments: Mapping[tuple[str, str], Any]
    static: tuple[StaticCost, ...]
    adjacent: tuple[AdjacentRate, ...]


def multiplier_entries(entries: Any) -> tuple[tuple[str, frozenset[str] | None, Multiplier], ...]:
    """Return (provider, ids or None for all, multiplier) of checked entries."""
    return tuple(
        (entry["p"], frozenset(entry["ids"]) if "ids" in entry else None, Multiplier.of(entry)) for entry in entries
    )


def parse_overlay(
    text: str,
    origin: str,
    calendars: Mapping[str, Any],
    providers: Mapping[str, Any],
    written: str | None = None,
) -> Overlay:
    """Return the overlay of a JSON text.

    Args:
        text: the overlay.
        origin: its name in errors.
        calendars: those of the book below.
        providers: those of the book below.
        written: what the digest is taken of, where it is not the text itself.

    Raises:
        PriceBookError: a rule is broken; origin, path and rule are named.
    """
    check = Checker(origin)
    entry = check.decode(text)
    check.known(entry, (*HEADER_KEYS, "discounts", "aliases", "capacity", "static", "adjacent"), "")
    check.head(entry, [key for key in _HEAD if key in entry])
    all_calendars = {**calendars, **check.calendars(entry.get("calendars", {}))}
    own_providers = check.providers(entry.get("providers", {}))
    all_providers = {**providers, **own_providers}
    if own_providers:
        check.one_owner(all_providers)
    models = ModelChecker(origin, all_calendars, all_providers)
    check.multipliers(entry.get("multipliers", []), all_providers)
    capacity = _capacities(check, entry.get("capacity", []), all_providers)
    static = _statics(check, entry.get("static", []))
    adjacent = _adjacent(check, entry.get("adjacent", []))
    return Overlay(
        hashlib.sha256((text if written is None else written).encode("utf-8", "surrogatepass")).hexdigest()[:8],
        tuple(
            _model(models, model, f"models[{index}]")
            for index, model in enumerate(check.sequence(entry.get("models", []), "models"))
        ),
        all_calendars,
        own_providers,
        multiplier_entries(entry.get("multipliers", ())),
        tuple(
            _discount(check, discount, all_providers, f"discounts[{index}]")
            for index, discount in enumerate(check.sequence(entry.get("discounts", []), "discounts"))
        ),
        _aliases(check, entry.get("aliases", {}), all_providers),
        capacity,
        capacity_models(zip(entry.get("capacity", ()), capacity, strict=True)),
        static,
        adjacent,
    )


def _model(check: ModelChecker, value: Any, path: str) -> Mapping[str, Any]:
    model = dict(check.mapping(value, path))
    if isinstance(model.get("rows"), list):
        model["rows"] = [_row(check, row, f"{path}.rows[{index}]") for index, row in enumerate(model["rows"])]
    return check.model(model, path)


def _row(check: ModelChecker, value: Any, path: str) -> Mapping[str, Any]:
    row = dict(check.mapping(value, path))
    check.known(row, (*ROW_KEYS, *_OTHER_KIND), path)
    rates = dict(check.rates(row.get("rates", {}), f"{path}.rates"))
    for key, per, units in (("usd_per_million", 10**6, TOKEN_UNITS), ("usd_each", 1, UNITS[len(TOKEN_UNITS) :])):
        for unit, amount in check.mapping(row.pop(key, {}), f"{path}.{key}").items():
            place = f"{path}.{key}.{path_key(unit)}"
            check.unit_key(unit, place)
            if unit not in units:
                raise check.refuse(place, _OTHER_KIND[key].format(unit))
            if unit in rates:
                raise check.refuse(place, "must be stated once, stands in rates too")
            rates[unit] = _pico(check, amount, per, MAX_RATE, place)
    if not rates:
        raise check.refuse(path, "must state at least one rate: in rates, usd_per_million or usd_each")
    return {**row, "rates": rates}


def _pico(check: Checker, amount: Any, per: int, most: int, path: str) -> int:
    """Return an amount of USD for ``per`` units as pico-USD for one, half-even."""
    if isinstance(amount, (int, WrittenFloat)) and _AMOUNT.fullmatch(shown(amount)):
        # A number of JSON is a double to many a reader: $0.1 would not be $0.1.
        raise check.refuse(path, f"must be USD as text: write {shown(_plain(amount))}, is {shown(amount)}")
    if isinstance(amount, str) and _AMOUNT.fullmatch(amount):
        with localcontext() as context:
            context.prec = len(amount) + 60
            try:
                value = Decimal(amount)
            except InvalidOperation:  # an exponent that no reader takes
                value = Decimal(most)
            # What is far too large is not written out in all its digits.
            far = value and value.adjusted() > 30
            pico = most + 1 if far else int((value * PICO_PER_USD / per).to_integral_value(rounding=ROUND_HALF_EVEN))
        if pico <= most:
            return pico
    limit = f'"0" to "{most * per // PICO_PER_USD}"'
    raise check.refuse(path, f'must be USD as text from {limit}, such as "2.50", is {shown(amount)}')


def _plain(amount: int | WrittenFloat) -> str:
    """Return a number as people write an amount: as it stands, or without its exponent."""
    text = amount.text if isinstance(amount, WrittenFloat) else str(amount)
    return format(Decimal(repr(float(amount))), "f") if "e" in text.lower() and amount <= sys.float_info.max else text


def _discount(check: Checker, value: Any, providers: Mapping[str, Any], path: str) -> Discount:
    entry = check.mapping(value, path)
    check.known(entry, _DISCOUNT, path)
    check.provider(entry.get("p"), providers, f"{path}.p")
    match = check.lower(entry.get("match", "*"), f"{path}.match")
    if "*" in match[:-1]:
        rule = f'must be an id, the beginning of ids before one final * ("gpt-5*"), or "*", is {shown(match)}'
        raise check.refuse(f"{path}.match", rule)
    check.ratio(entry.get("ratio"), f"{path}.ratio")
    if "units" in entry:
        check.units(entry["units"], f"{path}.units")
    accounts = check.sequence(entry.get("account", []), f"{path}.account")
    return Discount(
        entry["p"],
        match,
        (entry["ratio"][0], entry["ratio"][1]),
        *check.span(entry, path),
        frozenset(entry.get("units", UNITS)),
        frozenset(check.text(account, f"{path}.account[{index}]") for index, account in enumerate(accounts)),
    )


def _aliases(check: Checker, value: Any, providers: Mapping[str, Any]) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    result: dict[str, dict[str, Mapping[str, str]]] = {}
    for provider, names in check.mapping(value, "aliases").items():
        path = f"aliases.{path_key(provider)}"
        check.provider(provider, providers, path)
        targets = {
            ascii_trim(name): _target(check, target, providers, f"{path}.{path_key(name)}")
            for name, target in check.mapping(names, path).items()
        }
        # The name as written wins over another one that only looks the same in lower case.
        result[provider] = {**{ascii_lower(name): targets[name] for name in sorted(targets, reverse=True)}, **targets}
    return result


def _target(check: Checker, value: Any, providers: Mapping[str, Any], path: str) -> Mapping[str, str]:
    if not isinstance(value, (str, dict)):
        rule = f"must be the id of a model, or an object {{...}} with the key model, is {shown(value)}"
        raise check.refuse(path, rule)
    entry = {"model": value} if isinstance(value, str) else cast("Mapping[str, Any]", value)
    check.known(entry, _ALIAS, path)
    check.text(entry.get("model"), f"{path}.model")
    if "provider" in entry:
        check.provider(entry["provider"], providers, f"{path}.provider")
    for key in _ALIAS[2:]:
        if key in entry:
            check.lower(entry[key], f"{path}.{key}")
    return cast("Mapping[str, str]", {key: entry[key] for key in _ALIAS if key in entry})


def _statics(check: Checker, value: Any) -> tuple[StaticCost, ...]:
    result: list[StaticCost] = []
    for index, one in enumerate(check.sequence(value, "static")):
        path = f"static[{index}]"
        cost = check.mapping(one, path)
        check.known(cost, _STATIC, path)
        name = check.text(cost.get("name"), f"{path}.name")
        pico = _pico(check, cost.get("usd"), 1, MAX_PICO, f"{path}.usd")
        # Without a day it would stand in no report.
        check.instant(cost.get("from"), f"{path}.from")
        tags = _texts(check, cost.get("tags", {}), f"{path}.tags")
        result.append(StaticCost(name, pico, *check.span(cost, path), tags))
    return tuple(result)


def _adjacent(check: Checker, value: Any) -> tuple[AdjacentRate, ...]:
    result: list[AdjacentRate] = []
    for index, one in enumerate(check.sequence(value, "adjacent")):
        path = f"adjacent[{index}]"
        cost = check.mapping(one, path)
        check.known(cost, _ADJACENT, path)
        name, unit = (check.text(cost.get(key), f"{path}.{key}") for key in ("name", "unit"))
        match = _texts(check, cost.get("match"), f"{path}.match")
        if not match:
            # It would be every span of a service.
            rule = "must be an object {...} of at least one attribute, is {}"
            raise check.refuse(f"{path}.match", rule)
        pico = _pico(check, cost.get("usd_each"), 1, MAX_PICO, f"{path}.usd_each")
        result.append(AdjacentRate(name, tuple(sorted(match.items())), unit, pico))
    return tuple(result)


def _capacities(check: Checker, value: Any, providers: Mapping[str, Any]) -> tuple[Capacity, ...]:
    result: list[Capacity] = []
    known: dict[tuple[str, str], list[tuple[int, Capacity]]] = {}
    for index, one in enumerate(check.sequence(value, "capacity")):
        path = f"capacity[{index}]"
        capacity = _capacity(check, check.mapping(one, path), providers, path)
        result.append(capacity)
        for name in capacity.ids:
            others = known.setdefault((capacity.provider, name), [])
            taken = next((where for where, other in others if other.meets(capacity)), None)
            if taken is not None:
                too = f"which capacity[{taken}] has too"
                rule = f"must be that of one entry for the same calls, is {shown(name)}, {too}"
                raise check.refuse(f"{path}.ids", rule)
            others.append((index, capacity))
    return tuple(result)


def _capacity(check: Checker, entry: Mapping[str, Any], providers: Mapping[str, Any], path: str) -> Capacity:
    check.word(entry.get("kind"), ("hourly", "gpu"), f"{path}.kind")
    hourly = entry["kind"] == "hourly"
    check.known(entry, _HOURLY if hourly else _GPU, path)
    check.provider(entry.get("p"), providers, f"{path}.p")
    ids = check.lowers(check.filled(entry.get("ids"), "id", f"{path}.ids"), f"{path}.ids")
    start, until = check.span(entry, path)
    when = check.when(entry.get("when", {}), None, f"{path}.when")
    if "account" in when:
        raise check.refuse(f"{path}.when.account", "is no condition here: accounts stand under account, beside when")
    accounts = check.sequence(entry.get("account", []), f"{path}.account")
    if accounts:
        texts = [check.text(account, f"{path}.account[{index}]") for index, account in enumerate(accounts)]
        when = {"account": texts, **when}
    price = "usd_per_hour" if hourly else "usd_per_gpu_hour"
    pico, share = _pico(check, entry.get(price), 1, MAX_PICO, f"{path}.{price}"), (1, 1)
    if hourly:
        check.word(entry.get("allocate"), ("none", "capacity", "use"), f"{path}.allocate")
        key, allocate = "units_per_hour", entry["allocate"]
    else:
        pico *= check.integer(entry.get("gpus"), 1, 2**31 - 1, f"{path}.gpus")
        key, allocate = "tokens_per_second", "capacity"
        if "utilization" in entry:
            check.ratio(entry["utilization"], f"{path}.utilization")
            share = entry["utilization"][0], entry["utilization"][1]
    if allocate == "capacity" and not (isinstance(entry.get(key), dict) and entry[key]):
        rule = f"must be an object {{...}} of at least one unit, is {shown(entry.get(key))}"
        raise check.refuse(f"{path}.{key}", rule)
    units = check.mapping(entry.get(key, {}), f"{path}.{key}")
    rates: dict[str, int] = {}
    for unit, number in units.items():
        place = f"{path}.{key}.{path_key(unit)}"
        check.unit_key(unit, place)
        check.integer(number, 1, MAX_COUNT, place)
        rates[unit] = hourly_rate(pico, number) if hourly else gpu_rate(pico, number, share)
        if rates[unit] > MAX_RATE:
            raise check.refuse(place, f"must come to at most {MAX_RATE} pico-USD for one unit, comes to {rates[unit]}")
    return Capacity(
        entry["p"],
        tuple(ids),
        entry["kind"],
        allocate,
        pico,
        start,
        until,
        when,
        rates,
    )


def _texts(check: Checker, value: Any, path: str) -> Mapping[str, str]:
    return {key: check.text(text, f"{path}.{path_key(key)}") for key, text in check.mapping(value, path).items()}
