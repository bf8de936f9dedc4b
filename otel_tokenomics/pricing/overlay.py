"""Own prices: the overlay that is laid over a book (rows, discounts, aliases; the rest is checked in form)."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.pricing.check import HEADER_KEYS, WHEN_KEYS, Checker
from otel_tokenomics.pricing.check_models import MAX_RATE, ROW_KEYS, ModelChecker
from otel_tokenomics.pricing.factors import Discount, Multiplier
from otel_tokenomics.pricing.names import ascii_lower, ascii_trim
from otel_tokenomics.pricing.wording import WrittenFloat, path_key, shown
from otel_tokenomics.usage import MAX_COUNT, PICO_PER_USD, TOKEN_UNITS, UNITS

_HEAD: Final = ("schema", "id", "version", "generated_at", "currency", "scale")
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_OTHER_KIND: Final = {
    "usd_per_million": "must be a unit of tokens; {} is priced each, under usd_each",
    "usd_each": "must be a unit that is priced each; {} is priced per million, under usd_per_million",
}
_DISCOUNT: Final = ("p", "match", "ratio", "from", "until", "units", "account")
_ALIAS: Final = ("model", "provider", *(key for key in WHEN_KEYS if key != "calendar"))
_HOURLY: Final = ("p", "ids", "kind", "usd_per_hour", "units_per_hour", "allocate")
_GPU: Final = ("p", "ids", "kind", "usd_per_gpu_hour", "gpus", "tokens_per_second", "utilization")
_STATIC: Final = ("name", "usd", "from", "until", "tags")
_ADJACENT: Final = ("name", "match", "unit", "usd_each")


class Overlay(NamedTuple):
    """A checked overlay; ``digest`` is the first 8 hex digits of its sha256."""

    digest: str
    models: tuple[Mapping[str, Any], ...]
    calendars: Mapping[str, Any]
    providers: Mapping[str, Any]
    multipliers: tuple[tuple[str, frozenset[str] | None, Multiplier], ...]
    discounts: tuple[Discount, ...]
    aliases: Mapping[str, Mapping[str, Mapping[str, str]]]


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
    _form_of_the_rest(check, entry)
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


def _form_of_the_rest(check: Checker, entry: Mapping[str, Any]) -> None:
    """Refuse capacity, static and adjacent costs that break the form; what they do is up to the reports."""
    for index, value in enumerate(check.sequence(entry.get("capacity", []), "capacity")):
        _capacity(check, check.mapping(value, f"capacity[{index}]"), f"capacity[{index}]")
    for index, value in enumerate(check.sequence(entry.get("static", []), "static")):
        path = f"static[{index}]"
        cost = check.mapping(value, path)
        check.known(cost, _STATIC, path)
        check.text(cost.get("name"), f"{path}.name")
        _pico(check, cost.get("usd"), 1, 2**63 - 1, f"{path}.usd")
        check.span(cost, path)
        _texts(check, cost.get("tags", {}), f"{path}.tags")
    for index, value in enumerate(check.sequence(entry.get("adjacent", []), "adjacent")):
        path = f"adjacent[{index}]"
        cost = check.mapping(value, path)
        check.known(cost, _ADJACENT, path)
        for key in ("name", "unit"):
            check.text(cost.get(key), f"{path}.{key}")
        _texts(check, cost.get("match"), f"{path}.match")
        _pico(check, cost.get("usd_each"), 1, 2**63 - 1, f"{path}.usd_each")


def _capacity(check: Checker, entry: Mapping[str, Any], path: str) -> None:
    check.word(entry.get("kind"), ("hourly", "gpu"), f"{path}.kind")
    hourly = entry["kind"] == "hourly"
    check.known(entry, _HOURLY if hourly else _GPU, path)
    check.lower(entry.get("p"), f"{path}.p")
    check.lowers(check.filled(entry.get("ids"), "id", f"{path}.ids"), f"{path}.ids")
    price = "usd_per_hour" if hourly else "usd_per_gpu_hour"
    _pico(check, entry.get(price), 1, 2**63 - 1, f"{path}.{price}")
    if hourly:
        check.word(entry.get("allocate"), ("none", "capacity", "use"), f"{path}.allocate")
        _unit_numbers(check, entry.get("units_per_hour", {}), f"{path}.units_per_hour")
        return
    check.integer(entry.get("gpus"), 1, 2**31 - 1, f"{path}.gpus")
    _unit_numbers(check, entry.get("tokens_per_second"), f"{path}.tokens_per_second")
    if "utilization" in entry:
        check.ratio(entry["utilization"], f"{path}.utilization")


def _unit_numbers(check: Checker, value: Any, path: str) -> None:
    for unit, number in check.mapping(value, path).items():
        check.unit_key(unit, f"{path}.{path_key(unit)}")
        check.integer(number, 1, MAX_COUNT, f"{path}.{unit}")


def _texts(check: Checker, value: Any, path: str) -> None:
    for key, text in check.mapping(value, path).items():
        check.text(text, f"{path}.{path_key(key)}")
