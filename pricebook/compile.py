"""Compile the price book: patches and extracts in, one ``pricebook.json`` for both languages out.

Offline and deterministic. ``--check`` writes nothing and fails where a file differs. The build fails on a
difference between the sources that neither a patch decides nor ``disputes.yaml`` lists, on a past price that is
another than in the committed book (``--close`` keeps it in ``history.json`` until the release's date;
a ``note`` in the patch or ``corrections.yaml`` says what was a mistake), and on whatever the engines would refuse.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import coverage_report
import history
import yaml
from classes import Classes
from merge import Rounding, merge

from otel_tokenomics.pricing import PriceBook, resolve
from otel_tokenomics.pricing.facts import Provider
from otel_tokenomics.pricing.match import probes
from otel_tokenomics.usage import UNITS

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
HISTORY: Final = HERE / "history.json"
SCHEMA: Final = "otel-tokenomics/pricebook/1"
COPIES: Final = ("otel_tokenomics/pricing/pricebook.json", "collector/pricing/pricebook.json")
_NOT_MODELS: Final = frozenset({"providers", "calendars", "tools", "dropped"})
_MAKER: Final = re.compile(r"^[^/]+/(?=[^/]+$)")
#: What stands before a model's own name in an id; Bedrock's geographic profiles have a price of their own.
_VENDOR: Final = {
    "aws.bedrock": re.compile(r"^[a-z0-9]+\.(?=[a-z0-9][^/]*$)"),
    "fireworks": re.compile(r"^accounts/fireworks/models/"),
    "gcp.vertex_ai": _MAKER,
    "openrouter": re.compile(r"^[^/]+/(?=[^/:]+$)"),
}
#: Hugging Face's router passes the sellers' answers on, which name a model with its maker or without.
_ROUTED: Final = "huggingface_"
#: Claude's version, whose dash everyone but Anthropic writes as a dot; the date that may follow is no part of it.
_CLAUDE: Final = re.compile(r"^(claude-(?:[a-z]+-)?[0-9])-([0-9])(?=-[a-z]|$)")
_LATEST: Final = "-latest"
#: What Amazon adds to Claude's own name, by which InvokeModel's bodies answer.
_AMAZONS_VERSION: Final = re.compile(r"-v[0-9]+(?::[0-9]+)?$")
_GEOGRAPHIC: Final = ("us.", "eu.", "apac.", "au.", "ca.", "in.", "jp.", "us-gov.", "global.", "regional.")
#: patches/<file>.yaml of providers whose key has a dot
_DOTTED: Final = (
    "aws.bedrock",
    "azure.ai.inference",
    "azure.ai.openai",
    "gcp.gemini",
    "gcp.vertex_ai",
    "ibm.watsonx.ai",
)
_FILES: Final = {key.replace(".", "_"): key for key in _DOTTED}
_SHOWN: Final = 20
_TOKEN_UNITS: Final = list(UNITS[:14])

Key = tuple[str, str]


def read_yaml(name: str) -> Any:
    """Return the content of a YAML file below ``pricebook/``."""
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def read_extract(name: str) -> dict[Key, dict[str, Any]]:
    """Return a source's extract by (provider, id)."""
    entries: list[dict[str, Any]] = json.loads((HERE / "sources" / f"{name}.json").read_text(encoding="utf-8"))
    return {(entry["provider"], entry["id"]): entry for entry in entries}


def read_patches() -> dict[Key, dict[str, Any]]:
    """Return our decisions by (provider, id)."""
    patches: dict[Key, dict[str, Any]] = {}
    for path in sorted((HERE / "patches").glob("*.yaml")):
        if path.stem not in _NOT_MODELS:
            for entry in read_yaml(f"patches/{path.name}"):
                patches[_FILES.get(path.stem, path.stem), entry["id"]] = entry
    return patches


def _otherwise(provider: str, name: str) -> list[str]:
    """Return the other spellings under which people know an id of a provider."""
    if provider in _VENDOR or provider.startswith(_ROUTED):
        cut = _VENDOR.get(provider, _MAKER).sub("", name)
        makers = _AMAZONS_VERSION.sub("", cut) if provider == "aws.bedrock" and cut.startswith("claude-") else cut
        # A family's name is no model's.
        return [cut, makers] if any(sign.isdigit() for sign in makers) else [cut]
    if provider != "anthropic":
        return []
    bare = name.removesuffix(_LATEST)
    return [bare, _CLAUDE.sub(r"\1.\2", bare)]


class Book:
    """The book while it is compiled, with what the report tells of it."""

    def __init__(self) -> None:
        self.genai = read_extract("genai-prices")
        self.litellm = read_extract("litellm")
        self.patches = read_patches()
        self.dropped: dict[Key, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = json.loads(HISTORY.read_text(encoding="utf-8"))
        self.release: dict[str, Any] = read_yaml("release.yaml")
        self.sources: list[dict[str, Any]] = read_yaml("sources.lock")
        self.providers: dict[str, dict[str, Any]] = read_yaml("patches/providers.yaml")
        self.default: dict[str, Any] = self.providers.pop("_default")
        self.classes = Classes(read_yaml("classes.yaml"))
        self.tools: dict[str, dict[str, int]] = {
            entry["provider"]: {unit: Rounding().pico(usd) for unit, usd in entry["usd_each"].items()}
            for entry in read_yaml("patches/tools.yaml")
        }
        self.models: list[dict[str, Any]] = []
        self.disputes: dict[str, dict[str, list[str]]] = {}
        self.differences: dict[str, dict[str, int]] = {}
        self.left_out: Counter[str] = Counter()
        self.noise = 0
        self.skipped: list[str] = []
        self.further_ids: dict[Key, list[str]] = {}

    def compile(self) -> None:
        """Merge every model of every known provider; a further id of one model is no model of its own."""
        taken: set[Key] = set()
        for source in (self.patches, self.genai):
            for (provider, model), entry in sorted(source.items()):
                for name in entry.get("ids", ()):
                    key = (provider, name)
                    if key in taken or (source is self.genai and key in self.genai):
                        continue
                    if source is self.genai and (self._priced_apart(entry, key) or key in self.patches):
                        continue
                    taken.add(key)
                    self.further_ids.setdefault((provider, model), []).append(name)
        taken |= self._snapshots(taken)
        for key in sorted({*self.genai, *self.litellm, *self.patches} - taken):
            if key[0] not in self.providers:
                raise SystemExit(f"pricebook/patches/providers.yaml: provider {key[0]!r} is missing")
            self._model(key)
        self._name()
        self._restore(read_extract("litellm-dropped"))
        self._name()
        history.keep(self.models, self.history)

    def _snapshots(self, taken: set[Key]) -> set[Key]:
        """Return the dated ids that litellm prices as it does their model, and make them further ids of that model.

        genai-prices knows more of a model than litellm does (long contexts, batches, history), but names few of its
        snapshots, which is what answers bear.
        """
        owner = {(p, name): (p, model) for (p, model), names in self.further_ids.items() for name in names}
        found: set[Key] = set()
        for key in sorted(self.litellm.keys() - self.genai.keys() - self.patches.keys() - taken):
            name = key[1].removesuffix("@default")
            steps = probes(Provider(key[0], "first_party"), name)
            model = (key[0], next((probe.name for probe in steps if probe.step == "tail"), name))
            whole = owner.get(model, model)
            if model != key and whole in self.genai and self._is_snapshot(key, model, whole):
                found.add(key)
                self.further_ids.setdefault(whole, []).append(key[1])
        return found

    def _is_snapshot(self, key: Key, model: Key, whole: Key) -> bool:
        theirs = self.litellm.get(model)
        if theirs is not None:
            return theirs["rows"] == self.litellm[key]["rows"]
        return not merge(None, self.genai[whole], self.litellm[key], self.release["generated_at"]).disputes

    def _restore(self, dropped: dict[Key, dict[str, Any]]) -> None:
        """Add the models of an older release that the newer sources dropped and that no name in the book leads to."""
        book = PriceBook.parse(self.text(), "pricebook.json")
        refused = [(rule["provider"], pattern) for rule in read_yaml("patches/dropped.yaml") for pattern in rule["ids"]]
        self.dropped = {
            key: entry
            for key, entry in dropped.items()
            if key[0] in self.providers
            and not any(key[0] == provider and fnmatchcase(key[1], pattern) for provider, pattern in refused)
            and resolve(book, *key, None, None).reason == "unknown_model"
        }
        for key in sorted(self.dropped):
            self._model(key)
        restored = {"/".join(key) for key in self.dropped}
        self.skipped = [name for name in self.skipped if name not in restored]

    def _priced_apart(self, entry: dict[str, Any], key: Key) -> bool:
        """Return whether litellm has another price for an id that genai-prices takes for one more name of a model."""
        apart, owner = self.litellm.get(key), self.litellm.get((key[0], entry["id"]))
        if apart is None:
            return False
        multiplied = owner is not None and owner.get("multipliers") != apart.get("multipliers")
        if not multiplied and not merge(None, entry, apart, self.release["generated_at"]).disputes:
            return False
        # The id keeps genai-prices' rows, by the order of the merge, and bears the dispute itself.
        self.genai[key] = {"provider": key[0], "id": key[1], "rows": entry["rows"]}
        return True

    def _model(self, key: Key) -> None:
        patch, genai = self.patches.get(key), self.genai.get(key)
        litellm = self.litellm.get((key[0], patch["of"]) if patch and "of" in patch else key)
        if litellm is None and genai is not None:
            names = [(key[0], name) for name in self.further_ids.get(key, ())]
            litellm = next((self.litellm[name] for name in names if name in self.litellm), None)
        merged = merge(patch, genai, litellm or self.dropped.get(key), self.release["generated_at"])
        if key in self.dropped:
            for row in merged.rows:
                row["src"] = ["o"]
        for source in (genai, litellm):
            self.left_out.update((source or {}).get("left_out", ()))
        if not any(row["rates"] for row in merged.rows):
            self.skipped.append("/".join(key))
            return
        self.noise += merged.noise
        if merged.disputes:
            self.disputes["/".join(key)] = merged.disputes
        self._count_differences("/".join(key), patch, genai, litellm)
        seen = {source["id"]: str(source["released"]) for source in self.sources}
        seen |= {"p": str(patch["checked"])} if patch else {}
        for row in merged.rows:
            row["verified"] = max(seen[source] for source in row["src"])
        model: dict[str, Any] = {"id": key[1], "p": key[0], "rows": merged.rows}
        if any("output" in row["rates"] for row in merged.rows) and (found := self.classes.of(key[1])):
            model["class"] = found
            _fill_tools(merged.rows, self.tools.get(key[0], {}))
        for entry in (patch, self.litellm.get(key), self.dropped.get(key)):
            if entry and "retired_at" in entry:
                model.setdefault("retired_at", entry["retired_at"])
        self.models.append(model)

    def _count_differences(self, name: str, patch: Any, genai: Any, litellm: Any) -> None:
        """Count on how many rates the sources differ, by who decides: a patch, the merge's order, or nobody yet."""
        if not genai or not litellm:
            return
        at = self.release["generated_at"]
        wide = len(merge(None, genai, litellm, at).disputes)
        small = len(merge(None, genai, litellm, at, Decimal(0)).disputes) - wide
        by_patch = wide + small if patch else 0
        undecided = len(self.disputes.get(name, ()))
        found = {"patch": by_patch, "order": 0 if patch else small, "nobody": undecided}
        if any(found.values()):
            self.differences[name] = found

    def _name(self) -> None:
        """Give every model its further ids, and the spellings under which people know them."""
        twins = self._twins()
        for model in self.models:
            key = (model["p"], model["id"])
            if names := [*dict.fromkeys([*self.further_ids.get(key, ()), *model.get("ids", ()), *twins.get(key, ())])]:
                model["ids"] = names

    def _twins(self) -> dict[Key, list[str]]:
        """Return how else an id is written, where one model alone is: without its vendor, Claude with a dot."""
        known = {(model["p"], name) for model in self.models for name in (model["id"], *model.get("ids", ()))}
        known |= {(p, name) for (p, _), names in self.further_ids.items() for name in names}
        short: dict[Key, set[Key]] = {}
        for provider, name in known:
            for other in _otherwise(provider, name):
                if other != name and not name.startswith(_GEOGRAPHIC):
                    short.setdefault((provider, other), set()).add((provider, name))
        owner = {(p, name): model for (p, model), names in self.further_ids.items() for name in names}
        twins: dict[Key, list[str]] = {}
        for (provider, cut), names in sorted(short.items()):
            models = {(provider, owner.get(name, name[1])) for name in names}
            if (provider, cut) not in known and len(models) == 1:
                twins.setdefault(models.pop(), []).append(cut)
        return twins

    def multipliers(self) -> list[dict[str, Any]]:
        """Return the factors on token prices that litellm names: by place of inference, by kind of endpoint."""
        canonical = {(p, name): model for (p, model), names in self.further_ids.items() for name in names}
        models = {(model["p"], model["id"]) for model in self.models}
        found: dict[tuple[str, str, str, str], set[str]] = {}
        for (provider, name), entry in self.litellm.items():
            owner = canonical.get((provider, name), name)
            for one in entry.get("multipliers", ()) if (provider, owner) in models else ():
                ((fact, words),) = one["when"].items()
                found.setdefault((provider, fact, words[0], one["ratio"]), set()).add(owner)
        return [
            {"p": provider, "ids": sorted(ids), "when": {fact: [word]}, "ratio": _ratio(ratio), "units": _TOKEN_UNITS}
            for (provider, fact, word, ratio), ids in sorted(found.items())
        ]

    def text(self) -> str:
        """Return the book: minified, keys sorted, the header on the first line, then one model per line."""
        providers: dict[str, dict[str, Any]] = {
            name: {"hosts": [], "names": [], "tier_aliases": {}, **self.default, **entry}
            for name, entry in self.providers.items()
        }
        for name, entry in providers.items():
            entry["names"] = [name, *entry["names"]]
        header: dict[str, Any] = {
            "schema": SCHEMA,
            **self.release,
            "currency": "USD",
            "scale": 12,
            "sources": [
                {
                    "id": s["id"],
                    "name": s["name"],
                    "version": s["version"],
                    "sha256": s["wheel_sha256"],
                    "license": s["license"],
                }
                for s in self.sources
            ]
            + [{"id": "p", "name": "our patch", "version": self.release["version"], "license": "Apache-2.0"}],
            "calendars": read_yaml("patches/calendars.yaml"),
            "providers": providers,
            "multipliers": self.multipliers(),
        }
        lines = ",\n".join(_minified(model) for model in self.models)
        return f'{_minified(header)[:-1]},"models":[\n{lines}\n]}}\n'


def _fill_tools(rows: list[dict[str, Any]], tools: dict[str, int]) -> None:
    """Add what the provider's tools cost to the base rows, where no row of the model says it."""
    stated = {unit for row in rows for unit in row["rates"]}
    for row in rows:
        added = {unit: rate for unit, rate in tools.items() if unit not in stated}
        if "when" not in row and added:
            row["rates"] |= added
            row["src"] = [*row["src"], *({"p"} - set(row["src"]))]


def _minified(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _ratio(text: str) -> list[int]:
    return list(Decimal(text).as_integer_ratio())


def check_disputes(found: dict[str, dict[str, list[str]]]) -> None:
    """Fail where the committed list of undecided differences is not what the sources say."""
    listed: dict[str, dict[str, list[str]]] = read_yaml("disputes.yaml") or {}
    if listed != found:
        missing = sorted(set(found) - set(listed)) or sorted(name for name in found if found[name] != listed.get(name))
        gone = sorted(set(listed) - set(found))
        raise SystemExit(
            f"pricebook/disputes.yaml: undecided and not listed: {missing[:5]}; listed and gone: {gone[:5]}; "
            "decide each in patches/, or list it with `python pricebook/compile.py --accept-disputes`"
        )


def main(arguments: Sequence[str]) -> int:
    """Compile, check and write the book and its report; return the exit code."""
    book = Book()
    book.compile()
    if "--accept-disputes" in arguments:
        text = (
            "# Differences above 0.5 % between the sources that no patch decides: [genai-prices, litellm], pico-USD.\n"
        )
        text += yaml.safe_dump(book.disputes, sort_keys=True, width=120)
        (HERE / "disputes.yaml").write_text(text, encoding="utf-8")
    check_disputes(book.disputes)
    if unaccounted := coverage_report.unaccounted(book.models):
        raise SystemExit(f"pricebook: no source or day of verification: {unaccounted[:5]}")
    text = book.text()
    _refuse_what_the_engine_refuses(text)
    book, text = keep_past_prices(book, text, close="--close" in arguments)
    stale = 0
    for name, content in [*((copy, text) for copy in COPIES), ("pricebook/report.md", coverage_report.written(book))]:
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        if name == COPIES[0] and path.exists():
            print("\n".join(changes(path.read_text(encoding="utf-8"), content)))
        if "--check" in arguments:
            print(f"{name} is stale: run `make generate`", file=sys.stderr)
            stale = 1
        else:
            path.write_text(content, encoding="utf-8")
            print(f"wrote {name}")
    return stale


def keep_past_prices(book: Book, text: str, *, close: bool) -> tuple[Book, str]:
    """Return the book and its text; fail where a past price is another than in the committed one, and no note says why.

    With ``close`` the rows that the sources do not say any more are kept until the release's date, and those that they
    say now hold from it.
    """
    committed = ROOT / COPIES[0]
    if not committed.exists() or committed.read_text(encoding="utf-8") == text:
        return book, text
    before = PriceBook.parse(committed.read_text(encoding="utf-8"), "committed")
    notes = [*read_yaml("corrections.yaml"), *history.patch_notes(book.patches)]

    def changed(now: str) -> list[history.Change]:
        found = history.past_changes(before, PriceBook.parse(now, "compiled"))
        return history.unnoted(found, notes, book.release["version"])

    found = changed(text)
    if found and close:
        kept = {(one["p"], one["id"]): one for one in book.history}
        kept |= {(one["p"], one["id"]): one for one in history.closed(found, before, book.release["generated_at"])}
        lines = ",\n".join(_minified(kept[key]) for key in sorted(kept))
        HISTORY.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"wrote {HISTORY.relative_to(ROOT)}")
        book = Book()
        book.compile()
        text = book.text()
        _refuse_what_the_engine_refuses(text)
        found = changed(text)
    if found:
        listed = "\n".join(f"  {change.name}: {change.what}" for change in found)
        names = ", ".join(json.dumps(name) for name in dict.fromkeys(change.name for change in found))
        note = f'- release: "{book.release["version"]}"\n  models: [{names}]\n  why:'
        raise SystemExit(
            f"pricebook: {len(found)} names cost otherwise in the past than by the committed book:\n{listed}\n"
            "a price that changed: `python pricebook/compile.py --close` keeps the old one until this release's date; "
            'a price that was wrong: say why in its patch (`note: "2026-11-26: why"`, the day of the release), or in '
            f"pricebook/corrections.yaml:\n{note}"
        )
    return book, text


def changes(before: str, after: str) -> list[str]:
    """Return which models are new, removed or priced otherwise, for who reads the pull request."""
    books = [{f"{model['p']}/{model['id']}": model for model in json.loads(text)["models"]} for text in (before, after)]
    old, new = books
    changed = [name for name in sorted(old.keys() & new.keys()) if old[name]["rows"] != new[name]["rows"]]
    found = {"new": sorted(new.keys() - old.keys()), "removed": sorted(old.keys() - new.keys()), "changed": changed}
    return [f"{len(names)} {what}: {', '.join(names[:_SHOWN])}" for what, names in found.items() if names]


def _refuse_what_the_engine_refuses(text: str) -> None:
    PriceBook.parse(text, "pricebook.json")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
