"""The report of a build, for readers of a pull request: what the book knows of each provider, what it cannot say."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_tokenomics.usage import UNITS

if TYPE_CHECKING:
    from compile import Book

_PATCH: Final = "p"
_COLUMNS: Final = (
    "Provider",
    "Models",
    "of one source",
    "of two",
    "with a patch",
    "with a class",
    "without a price",
    "Differing rates: patch",
    "order",
    "nobody",
    "Units",
)


def unaccounted(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the models of which a row lacks its sources or the day on which one of them was last verified."""
    return sorted(
        {
            f"{model['p']}/{model['id']}"
            for model in models
            for row in model["rows"]
            if not row.get("src") or not row.get("verified")
        }
    )


def table(
    models: Sequence[Mapping[str, Any]],
    without_price: Iterable[str],
    differences: Mapping[str, Mapping[str, int]],
    patched: Collection[str],
) -> str:
    """Return one line per provider.

    ``differences`` counts, by ``provider/model``, the rates on which the sources differ by who decided them: ``patch``,
    ``order`` (of the merge, within the tolerance) or ``nobody``; ``patched`` are the models with a decision of ours.
    """
    of_provider: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for model in models:
        of_provider[model["p"]].append(model)
    without = [name.partition("/")[0] for name in without_price]
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    for provider in sorted({*of_provider, *without}):
        listed = of_provider[provider]
        sources = [{source for row in model["rows"] for source in row["src"]} for model in listed]
        decided = [found for name, found in differences.items() if name.startswith(f"{provider}/")]
        cells: list[object] = [
            provider,
            len(listed),
            sum(len(each - {_PATCH}) == 1 for each in sources),
            sum(len(each - {_PATCH}) > 1 for each in sources),
            sum(f"{provider}/{model['id']}" in patched for model in listed),
            sum("class" in model for model in listed),
            without.count(provider),
            *(sum(found.get(by, 0) for found in decided) for by in ("patch", "order", "nobody")),
            ", ".join(unit for unit in UNITS if any(_states(model, unit) for model in listed)),
        ]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def _states(model: Mapping[str, Any], unit: str) -> bool:
    return any(unit in entry["rates"] for row in model["rows"] for entry in (row, *row.get("tiers", ())))


def names(without_price: Iterable[str]) -> str:
    """Return the models without a price, one line per provider."""
    of_provider: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(without_price):
        provider, _, model = name.partition("/")
        of_provider[provider].append(f"`{model}`")
    return "\n".join(f"- {provider}: {', '.join(models)}" for provider, models in of_provider.items())


def written(book: Book) -> str:
    """Return the report for readers of a pull request."""
    sources: Counter[str] = Counter(
        "+".join(sorted({s for row in model["rows"] for s in row["src"]})) for model in book.models
    )
    rows = sum(len(model["rows"]) for model in book.models)
    providers = len({model["p"] for model in book.models})
    by_source = "\n".join(f"| {name} | {count} |" for name, count in sorted(sources.items()))
    disputes = "\n".join(
        f"| {model} | {unit} | {ours} | {theirs} |"
        for model, units in sorted(book.disputes.items())
        for unit, (ours, theirs) in units.items()
    )
    left_out = "\n".join(f"| `{what}` | {count} |" for what, count in sorted(book.left_out.items()))
    classes = Counter(model.get("class", "none") for model in book.models)
    by_class = ", ".join(f"{count} {name}" for name, count in sorted(classes.items()))
    whose = Counter[str]()
    for found in book.differences.values():
        whose.update(found)
    whole: dict[str, dict[str, int]] = json.loads(
        Path(__file__).with_name("sources").joinpath("litellm-left-out.json").read_text(encoding="utf-8")
    )
    left_out_whole = "\n".join(
        f"| {reason} | {sum(tags.values())} | {', '.join(f'{tag} {tags[tag]}' for tag in sorted(tags))} |"
        for reason, tags in sorted(whole.items())
    )
    return f"""# Price book report

<!-- Written by pricebook/compile.py -->

{len(book.models)} models of {providers} providers, {rows} rows; {book.noise} rates rounded to pico-USD.
Classes: {by_class}.

Sources: g genai-prices, l litellm, o an older litellm for what the newer dropped, p our patch.

| Sources | Models |
|---|---|
{by_source}

## What is known of each provider

The sources differ on {whose.total()} rates of {len(book.differences)} models: a patch decides {whose["patch"]}, the
merge's order {whose["order"]} (within half a percent), {whose["nobody"]} are undecided. Rows without a source or a day
of verification: {len(unaccounted(book.models))}.

{table(book.models, book.skipped, book.differences, {"/".join(key) for key in book.patches})}

## {len(book.disputes)} models on which the sources differ and nobody decided

The first value is in force; both are pico-USD per unit.

| Model | Unit | genai-prices | litellm |
|---|---|---|---|
{disputes}

## What format v1 cannot express

| In the sources | Times |
|---|---|
{left_out}

{len(book.skipped)} models have no rate that the format can express:

{names(book.skipped)}

## What of litellm's price map is left out whole

A provider that stands here and has no model in the book is left out for the reason given.

| Reason | Entries | Providers, by litellm's tag |
|---|---|---|
{left_out_whole}
"""
