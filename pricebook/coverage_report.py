"""What the book knows of each provider, for readers of a pull request: a table, and the models without a price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from otel_tokenomics.usage import UNITS

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
