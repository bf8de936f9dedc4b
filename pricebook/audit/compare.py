"""Compare the book with its oracles call by call, and hold every difference against the decisions.

Usage: ``python pricebook/audit/compare.py calls.jsonl genai-prices=answers.jsonl litellm=answers.jsonl``. A difference
is explained by what the book itself says of the row (a patch with its evidence, a listed dispute, a rate rounded to
a pico), or by a rule of ``decisions.yaml``. One that nothing explains is listed with both figures, and the exit code is
1; so it is for a rule that explains nothing. Writes ``report.md``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import yaml

from otel_tokenomics.pricing import Cost, PriceBook, load_embedded, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.pricing.terms import choose
from otel_tokenomics.usage import PICO_PER_USD, Usage

HERE: Final = Path(__file__).resolve().parent
PATCHES: Final = HERE.parent / "patches"
#: Two figures are one where they differ by less than a pico-USD, or by what a double cannot tell apart.
RELATIVE: Final = Decimal("1e-9")
#: Within this, the sources of the book are taken to agree (pricebook/merge.py).
TOLERANCE: Final = Decimal("0.005")
#: What a kind of token is priced as where it has no price of its own.
_PLAIN: Final = {
    **dict.fromkeys(("cache_read", "cache_write", "audio_in", "audio_cache_read", "image_in", "video_in"), "input"),
    **dict.fromkeys(("reasoning", "audio_out", "image_out"), "output"),
    "cache_write_1h": "cache_write",
    "cache_write_12h": "cache_write",
}
#: So many tokens of one kind sample.py asks of every model.
_SHORT: Final = 1000
_LETTER: Final = {"genai-prices": "g", "litellm": "l"}
_ROUNDED: Final = "a rate of the book is a whole number of pico-USD"
_SHOWN: Final = 400
Call = Mapping[str, Any]


class Difference(NamedTuple):
    """One call on which an oracle and the book differ; ``ours`` is None where the book has no price."""

    oracle: str
    call: Call
    cost: Cost
    row: Mapping[str, Any]
    ours: int | None
    theirs: Decimal
    answered_as: str

    @property
    def model(self) -> str:
        """The canonical id, or the name asked for where the book has none."""
        return self.cost.model or self.call["model"]

    @property
    def units(self) -> list[str]:
        """What was used, the request itself left out unless it is all."""
        return [unit for unit in self.call["units"] if unit != "request"] or ["request"]

    @property
    def off(self) -> Decimal:
        """By how much the oracle is above the book, in pico-USD."""
        return self.theirs - (self.ours or 0)


class Audit:
    """All calls, what the oracles said, and what explains where they differ."""

    def __init__(self, book: PriceBook, calls: Sequence[Call], answers: Mapping[str, Mapping[int, Mapping[str, Any]]]):
        self.book = book
        self.calls = {call["n"]: call for call in calls}
        self.answers = answers
        self.by_key = {_key(call): call["n"] for call in calls}
        self.patches = _patches()
        self.tools = {entry["provider"]: entry["usd_each"] for entry in _yaml(PATCHES / "tools.yaml")}
        self.rules: list[dict[str, Any]] = _yaml(HERE / "decisions.yaml") or []
        self.listed = {(entry["provider"], entry["id"]) for entry in _extract("genai-prices")}
        self.used: Counter[int] = Counter()
        self.outcomes: dict[str, Counter[str]] = {oracle: Counter() for oracle in answers}
        self.models: dict[str, set[tuple[str, str]]] = {oracle: set() for oracle in answers}
        self.differences: dict[tuple[str, int], Difference] = {}
        self.costs: dict[int, Cost] = {}

    def compare(self) -> None:
        """Price every call, and collect where an oracle says otherwise."""
        for number, call in self.calls.items():
            usage, at_ms = Usage(call["units"]), instant(call["at"])
            cost = self.costs[number] = price(self.book, call["provider"], call["model"], usage, call["facts"], at_ms)
            for oracle, answers in self.answers.items():
                outcome = self._outcome(oracle, call, cost, answers[number])
                self.outcomes[oracle][outcome] += 1
                if outcome not in ("no answer", "both without a price"):
                    self.models[oracle].add((call["provider"], call["model"]))

    def _outcome(self, oracle: str, call: Call, cost: Cost, answer: Mapping[str, Any]) -> str:
        if "error" in answer:
            return "no answer"
        theirs = Decimal(answer["usd"]) * PICO_PER_USD
        if cost.total is None and not theirs:
            return "both without a price"
        if cost.total is not None and abs(theirs - cost.total) <= max(Decimal(1), RELATIVE * max(theirs, cost.total)):
            return "agree"
        row = self._row(call, cost)
        found = Difference(oracle, call, cost, row, cost.total, theirs, answer["as"])
        self.differences[oracle, call["n"]] = found
        return "differ"

    def _row(self, call: Call, cost: Cost) -> Mapping[str, Any]:
        model = self.book.model(cost.provider, cost.model) if cost.provider and cost.model else None
        row = choose(model, cost.facts, instant(call["at"])) if model else None
        return row.source if row else {}

    def explain(self) -> tuple[dict[tuple[str, str], list[Difference]], list[Difference]]:
        """Return the explained differences by (oracle, cause), and those that nothing explains."""
        explained: dict[tuple[str, str], list[Difference]] = defaultdict(list)
        causes: dict[tuple[str, int], str] = {}
        left: list[Difference] = []
        for key, found in self.differences.items():
            cause = _ROUNDED if _rounded(found) else self._as_without_facts(found, causes)
            cause = cause or self._by_rule(found) or self._by_the_book(found)
            if cause is None and "of" in found.call and self._by_parts(found, causes):
                cause = "a mix of calls that are explained one by one"
            if cause is None:
                left.append(found)
            else:
                causes[key] = cause
                explained[found.oracle, cause].append(found)
        return explained, left

    def _as_without_facts(self, found: Difference, causes: Mapping[tuple[str, int], str]) -> str | None:
        """Return the cause of the same call without its facts, where neither of the two makes anything of them."""
        number = self.by_key.get(_key({**found.call, "facts": {}}), 0)
        plain = self.differences.get((found.oracle, number))
        if not found.call["facts"] or plain is None or (plain.ours, plain.theirs) != (found.ours, found.theirs):
            return None
        return causes.get((found.oracle, number))

    def _by_parts(self, found: Difference, causes: Mapping[tuple[str, int], str]) -> bool:
        """Return whether a mix is off by exactly what its single calls are off, each of them explained."""
        parts = [(found.oracle, number) for number in found.call["of"]]
        differing = [self.differences[part] for part in parts if part in self.differences]
        if not differing or not all((one.oracle, one.call["n"]) in causes for one in differing):
            return False
        fee = (len(parts) - 1) * (self._fee(found) if "request" in found.call["units"] else 0)
        return abs(sum(one.off for one in differing) - fee - found.off) <= max(Decimal(2), RELATIVE * found.theirs)

    def _fee(self, found: Difference) -> Decimal:
        """By how much the oracle is off in a request alone: each single call has it once, the mix once in all."""
        number = self.by_key.get(_key({**found.call, "units": {"request": 1}}))
        alone = self.differences.get((found.oracle, number)) if number else None
        return alone.off if alone else Decimal(0)

    # --- what the book says of itself ---------------------------------------------------------------------------

    def _by_the_book(self, found: Difference) -> str | None:
        patch, file = self.patches.get(((found.cost.provider or "").replace(".", "_"), found.model), ({}, ""))
        letters = found.row.get("src", ())
        if patch.get("of") and patch.get("take") == "litellm":
            return f"patches/{file}: the price of another id, with the evidence"
        if found.cost.reason == "no_row_for_date" and "rows" in patch:
            return f"patches/{file}: no price at that date, by the dates of our own rows"
        if list(letters) == ["p"] and patch:
            return f"patches/{file}: a row of our own, with its evidence"
        other = next(name for name in _LETTER if name != found.oracle)
        if patch.get("prefer", patch.get("take")) == other and self._other_agrees(found):
            return f"patches/{file}: the other source is right, with the evidence"
        if self._disputed(found):
            return "disputes.yaml: undecided and listed; the merge's order holds"
        if self._a_tool(found):
            return "patches/tools.yaml: one price for all models of the provider"
        if (
            found.oracle == "litellm"
            and found.ours
            and "g" in letters
            and abs(found.off) <= TOLERANCE * max(found.theirs, found.ours)
        ):
            return "within half a percent, where genai-prices' figure holds by the order of the merge"
        return None

    def _other_agrees(self, found: Difference) -> bool:
        """Return whether the other oracle has our figure; where it has no answer, its extract is what we took."""
        return all(
            (oracle, found.call["n"]) not in self.differences for oracle in self.answers if oracle != found.oracle
        )

    def _disputed(self, found: Difference) -> bool:
        listed = found.row.get("x-disputed", {})
        return bool(listed) and all(
            found.oracle == "litellm" and any(key.partition(";")[0] == unit for key in listed) for unit in found.units
        )

    def _a_tool(self, found: Difference) -> bool:
        stated = self.tools.get(found.call["provider"], {})
        return "p" in found.row.get("src", ()) and not found.theirs and all(unit in stated for unit in found.units)

    # --- what decisions.yaml says ---------------------------------------------------------------------------------

    def _by_rule(self, found: Difference) -> str | None:
        for index, rule in enumerate(self.rules):
            if self._holds(rule, found):
                self.used[index] += 1
                return rule["cause"]
        return None

    def _holds(self, rule: Mapping[str, Any], found: Difference) -> bool:
        call, facts, names = found.call, rule.get("facts", {}), (found.model, found.call["model"])
        patterns = rule.get("models")
        return (
            rule["oracle"] == found.oracle
            and call["provider"] in rule.get("providers", [call["provider"]])
            and (patterns is None or any(fnmatchcase(name, one) for one in patterns for name in names))
            and set(found.units) <= set(rule.get("units", found.units))
            and all(call["facts"].get(key) in words for key, words in facts.items())
            and found.cost.reason in rule.get("reasons", [found.cost.reason])
            and ("answer" not in rule or self._answer_is(rule["answer"], rule, found))
            and ("answered_as" not in rule or any(fnmatchcase(found.answered_as, one) for one in rule["answered_as"]))
            and ("sources" not in rule or list(found.row.get("src", ())) in rule["sources"])
            and ("other_oracle" not in rule or self._agreed(found) == (rule["other_oracle"] == "agrees"))
        )

    def _answer_is(self, what: str, rule: Mapping[str, Any], found: Difference) -> bool:
        if what == "zero":
            return not found.theirs
        if what == "ratio":
            above, below = rule["ratio"]
            return found.ours is not None and abs(found.theirs * below - above * found.ours) <= RELATIVE * 10 * abs(
                found.theirs * below
            )
        if what == "as without the facts":
            return bool(found.call["facts"]) and self._says(found, facts={})
        if what == "half of that without the facts":
            return bool(found.call["facts"]) and self._says(found, Decimal(2), facts={})
        if what == "without a tier":
            return self._without_a_tier(found)
        if what == "amount":
            return found.theirs == Decimal(rule["usd"]) * PICO_PER_USD
        if what == "within":
            return abs(found.off) <= Decimal(rule["within"]) * max(found.theirs, Decimal(found.ours or 0))
        if what == "as the plain unit":
            (unit,) = found.units if len(found.units) == 1 else ("",)
            return unit in _PLAIN and any(
                self._says(found, units={**found.call["units"], plain: found.call["units"][unit], unit: None})
                for plain in (_PLAIN[unit], "input" if _PLAIN[unit] == "cache_write" else _PLAIN[unit])
            )
        if what == "of another model":
            entry = self.book.entry(found.cost.provider or "", found.model) or {}
            answered = found.answered_as.partition("/")[2]
            known = (found.call["provider"], answered) in self.listed
            return not known or answered not in {found.model, *entry.get("ids", ())}
        raise SystemExit(f"decisions.yaml: {rule['cause']}: unknown answer {what!r}")

    def _says(self, found: Difference, times: Decimal = Decimal(1), **otherwise: Any) -> bool:
        """Return whether the oracle answers another call with this figure, or so many times it."""
        asked = {**found.call, **otherwise}
        asked["units"] = {unit: count for unit, count in asked["units"].items() if count}
        answer = self.answers[found.oracle].get(self.by_key.get(_key(asked), 0), {})
        if "usd" not in answer:
            return False
        said = Decimal(answer["usd"]) * PICO_PER_USD
        return abs(said - times * found.theirs) <= RELATIVE * said

    def _without_a_tier(self, found: Difference) -> bool:
        """Return whether the oracle asks as much for each token as it does of a short request."""
        if ";tier=" not in (found.cost.sku or ""):
            return False
        total = Decimal(0)
        for unit, count in found.call["units"].items():
            short = self.by_key.get(_key({**found.call, "units": {unit: _SHORT}}), 0)
            answer = self.answers[found.oracle].get(short, {})
            if "usd" not in answer:
                return False
            total += Decimal(answer["usd"]) * PICO_PER_USD * count / _SHORT
        return abs(total - found.theirs) <= RELATIVE * found.theirs

    def _agreed(self, found: Difference) -> bool:
        """Return whether the other oracle answered, and with our figure."""
        other = next(oracle for oracle in self.answers if oracle != found.oracle)
        answer = self.answers[other][found.call["n"]]
        return "usd" in answer and (other, found.call["n"]) not in self.differences

    def stale(self) -> list[str]:
        """Return the rules that explain nothing."""
        return [rule["cause"] for index, rule in enumerate(self.rules) if not self.used[index]]


def _rounded(found: Difference) -> bool:
    return found.ours is not None and abs(found.off) <= Decimal(sum(found.call["units"].values())) / 2


def _key(call: Call) -> str:
    return json.dumps([call[key] for key in ("provider", "model", "at", "units", "facts")], sort_keys=True)


def _extract(name: str) -> list[dict[str, Any]]:
    return json.loads((HERE.parent / "sources" / f"{name}.json").read_text(encoding="utf-8"))


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _patches() -> dict[tuple[str, str], tuple[dict[str, Any], str]]:
    found: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
    for path in sorted(PATCHES.glob("*.yaml")):
        entries = _yaml(path)
        for entry in cast("list[dict[str, Any]]", entries) if isinstance(entries, list) else ():
            if "id" in entry:
                found[path.stem, entry["id"]] = (entry, path.name)
    return found


# --- what is written --------------------------------------------------------------------------------------------


def report(audit: Audit, explained: Mapping[tuple[str, str], list[Difference]], left: Sequence[Difference]) -> str:
    """Return the report: how far each oracle agrees, and why it does not where it does not."""
    lines = [
        "# The book against its oracles",
        "",
        "<!-- Written by `make audit-prices` -->",
        "",
        f"{len(audit.calls)} calls on every model of {audit.book.id}, priced by our engine and by the two price",
        "libraries that the book is compiled from, each as its users call it. A difference is more than a pico-USD and",
        "more than what a double cannot tell apart.",
        "",
        "| Oracle | Models it prices | Calls answered | Agree | Share | Differ: explained | Not explained |",
        "|---|---|---|---|---|---|---|",
    ]
    for oracle, outcomes in audit.outcomes.items():
        answered = outcomes["agree"] + outcomes["differ"] + outcomes["both without a price"]
        agree = outcomes["agree"] + outcomes["both without a price"]
        unexplained = sum(found.oracle == oracle for found in left)
        lines.append(
            f"| {oracle} | {len(audit.models[oracle])} | {answered} | {agree} | {agree / answered:.2%} "
            f"| {outcomes['differ'] - unexplained} | {unexplained} |"
        )
    evidence = {rule["cause"]: rule for rule in audit.rules}
    for oracle in audit.outcomes:
        lines += [
            "",
            f"## Where {oracle} differs",
            "",
            "| Calls | Models | Cause | Evidence | An example: call, ours, theirs (USD) |",
            "|---|---|---|---|---|",
        ]
        causes = [(cause, found) for (one, cause), found in explained.items() if one == oracle]
        for cause, found in sorted(causes, key=lambda pair: (-len(pair[1]), pair[0])):
            models = len({(one.call["provider"], one.model) for one in found})
            proof = " ".join(str(evidence.get(cause, {}).get("evidence", "")).split())
            lines.append(f"| {len(found)} | {models} | {cause} | {proof} | {_example(found[0])} |")
    if left:
        lines += ["", "## Not explained", ""]
        lines += [f"- {found.oracle}: {_example(found)}" for found in left[:_SHOWN]]
        lines += [f"- and {len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
    return "\n".join(lines) + "\n"


def _example(found: Difference) -> str:
    units = ", ".join(f"{count} {unit}" for unit, count in found.call["units"].items())
    facts = "".join(f" {key}={word}" for key, word in found.call["facts"].items())
    day = f" at {found.call['at']}" if found.call.get("dated") else ""
    ours = "none" if found.ours is None else _usd(Decimal(found.ours))
    return f"`{found.call['provider']}/{found.call['model']}`{facts}{day}: {units}; {ours}, {_usd(found.theirs)}"


def _usd(pico: Decimal) -> str:
    return format((pico / PICO_PER_USD).quantize(Decimal("1e-12")).normalize(), "f")


def read_lines(path: str) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main(arguments: Sequence[str]) -> int:
    """Compare, write the report and say what is not explained; return the exit code."""
    calls, *given = arguments
    answers = {
        oracle: {answer["n"]: answer for answer in read_lines(path)}
        for oracle, _, path in (one.partition("=") for one in given)
    }
    audit = Audit(load_embedded(), read_lines(calls), answers)
    audit.compare()
    explained, left = audit.explain()
    stale = audit.stale()
    (HERE / "report.md").write_text(report(audit, explained, left), encoding="utf-8")
    for found in left[:_SHOWN]:
        print(f"not explained: {found.oracle}: {_example(found)}")
    for cause in stale:
        print(f"explains nothing any more: {cause}")
    differ = sum(outcomes["differ"] for outcomes in audit.outcomes.values())
    print(f"{len(audit.calls)} calls, {differ} differences, {len(left)} not explained, {len(stale)} stale rules")
    return 1 if left or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
