"""The command `book`: which book is in use, whether a file is one, what changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing import load_embedded
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.report import otlp_files

VECTORS = Path(__file__).parents[2] / "vectors"
FROZEN: dict[str, Any] = json.loads((VECTORS / "book.json").read_text(encoding="utf-8"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["book", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def written(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def model(book: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in book["models"] if one["id"] == name)


@pytest.fixture
def in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The frozen book is the one in use."""
    path = written(tmp_path, "in-use.json", FROZEN)
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", Path(path).as_uri())
    return path


def test_show_says_what_spans_will_say(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = written(tmp_path, "own.json", {"discounts": [{"p": "openai", "ratio": [9, 10]}]})
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES", overlay)
    shown = told(capsys, "show")
    digest = hashlib.sha256(Path(overlay).read_bytes()).hexdigest()[:8]
    assert shown["price_book"] == f"vectors@2026.11.22+{digest}"
    assert (shown["from"], shown["overlay"]) == (in_use, overlay)
    assert shown["sha256"] == hashlib.sha256(Path(in_use).read_bytes()).hexdigest()
    assert shown["models"] == len(FROZEN["models"])


def test_show_of_the_embedded_book_and_of_a_file(in_use: str, capsys: pytest.CaptureFixture[str]) -> None:
    embedded = told(capsys, "show", "embedded")
    assert embedded["price_book"] == load_embedded().id
    assert embedded["from"].startswith("embedded in otel-tokenomics ")
    assert [one["name"] for one in embedded["sources"]][:2] == ["genai-prices", "litellm"]
    assert told(capsys, "show", in_use)["price_book"] == "vectors@2026.11.22"
    assert main(["book", "show", in_use]) == 0
    assert capsys.readouterr().out.startswith("book      vectors@2026.11.22\nfrom      ")


def test_json_before_and_after_the_command_below(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--json", "show"], ["show", "--json"]):
        assert main(["book", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["price_book"]


KEY_OF_A_PROVIDER = (
    'discounts[0].p: must be the key of a provider, in the book or under providers, is "opnai"; did you mean "openai"?'
)


def test_check_names_file_and_line_of_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, "own.json", '{"discounts": [\n{"p": "opnai", "ratio": [1, 2]},\n{"p": "openai"}\n]}')
    assert main(["book", "check", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"{name}:2: {KEY_OF_A_PROVIDER}",
        f"{name}:3: discounts[1].ratio: must be two integers from 1 to 1000000 such as [85, 100], is missing",
        f"otel-tokenomics book: {name}: refused as overlay, 2 problems",
    ]
    assert [one["line"] for one in told(capsys, "check", name, code=2)["problems"]] == [2, 3]


def test_show_of_an_overlay_in_yaml_says_what_the_collector_says(
    in_use: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = VECTORS / "own_prices.yaml"
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES", str(overlay))
    digest = hashlib.sha256(overlay.read_bytes()).hexdigest()[:8]
    assert told(capsys, "show")["price_book"] == f"vectors@2026.11.22+{digest}"
    assert told(capsys, "show", in_use, "--overrides", str(overlay))["price_book"].endswith(digest)
    assert told(capsys, "check", str(overlay))["price_book"].endswith(digest)


def test_check_of_yaml_that_is_none_names_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = written(tmp_path, "own.yaml", "discounts:\n- p: openai\n  ratio: [85, 100\n")
    assert main(["book", "check", name]) == 2
    assert f"{name}:4: line 4 column 1: is no YAML: " in capsys.readouterr().err
    name = written(tmp_path, "own.yml", "discounts:\n- p: openai\n  ratio: 0.85\n- {p: opnai, ratio: [1, 2]}\n")
    assert main(["book", "check", name]) == 2
    assert [line.split(": ")[:2] for line in capsys.readouterr().err.splitlines()[:2]] == [
        [f"{name}:3", "discounts[0].ratio"],
        [f"{name}:4", "discounts[1].p"],
    ]


def test_check_shows_what_an_overlay_changes(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = {
        "models": [
            {"p": "openai", "id": "gpt-5.4", "rows": [{"usd_per_million": {"input": "2", "output": "15"}}]},
            {"p": "openai", "id": "gpt-54", "rows": [{"usd_per_million": {"input": "2"}}]},
            {"p": "vllm", "id": "meta-llama/x", "rows": [{"rates": {"input": 20000}}]},
        ],
        "discounts": [
            {"p": "openai", "match": "gpt-5.4", "ratio": [9, 10], "units": ["input"]},
            {"p": "openai", "match": "gtp-*", "ratio": [9, 10]},
        ],
        "aliases": {"azure.ai.openai": {"prod": {"model": "gpt-5", "deployment_type": "datazone-eu"}, "old": "gpt-0"}},
        "adjacent": [{"name": "n", "match": {"db.system.name": "x"}, "unit": "request", "usd_each": "0.1"}],
        "multipliers": [
            {"p": "openai", "ids": ["gpt-5.4", "gpt-0"], "ratio": [11, 10], "units": ["output", "input"],
             "when": {"inference_geo": ["us"]}},
        ],
    }  # fmt: skip
    name = written(tmp_path, "own.json", overlay)
    shown = told(capsys, "check", name)
    first, second, third = shown["changes"]
    # The book: input 2.50, cache_read 0.25, output 15 per million, a tier above 272,000, searches at $10 a thousand.
    rates = {one["unit"]: (one["old_pico"], one["new_pico"]) for one in first["rows"][0]["rates"]}
    assert rates["input"] == ("2500000", "2000000")
    assert rates["cache_read"] == ("250000", "2000000")
    assert "output" not in rates
    assert "cache_read" in first["rows"][0]["note"]
    assert "tier above 272000" in first["rows"][0]["note"]
    assert (second["what"], third["what"]) == ("new", "new")
    assert shown["discounts"][0] == "openai/gpt-5.4 x 9/10 on input: 1 models: gpt-5.4"
    assert shown["multipliers"] == ["openai x 11/10 on input, output [inference_geo=us]: gpt-0, gpt-5.4"]
    assert shown["aliases"] == ["azure.ai.openai/prod is azure.ai.openai/gpt-5;deployment_type=datazone-eu"]
    assert [one.partition(":")[0].partition(" ")[0] for one in shown["nothing"]] == [
        "models",
        "discounts[1]",
        "aliases.azure.ai.openai.old",
        "multipliers[0]",
    ]
    assert shown["adjacent"] == ["n: 0.1 a request on spans that are no model call, where db.system.name is x"]
    assert main(["book", "check", name]) == 0
    out = capsys.readouterr().out
    assert "changed  openai/gpt-5.4: input 2.5 -> 2, cache_read 0.25 -> 2" in out


def test_check_of_a_next_version(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = json.loads(json.dumps(FROZEN)) | {"version": "2026.11.29", "generated_at": "2026-11-29T05:00:00Z"}
    (row, *_) = model(book, "gpt-5.4")["rows"]
    row["rates"]["input"] = 1_250_000
    shown = told(capsys, "check", written(tmp_path, "next.json", book))
    assert (shown["kind"], shown["refused_as_next_version"]) == ("book", None)
    (change,) = shown["changes"]
    assert (change["model"], change["rows"][0]["what"]) == ("gpt-5.4", "corrected")
    assert change["rows"][0]["rates"] == [{"unit": "input", "tier": None, "old_pico": "2500000", "new_pico": "1250000"}]
    row["rates"]["input"] = 25_000_001
    shown = told(capsys, "check", written(tmp_path, "jump.json", book), code=1)
    assert "must not move more than 10 times, moved from 2500000 to 25000001" in shown["refused_as_next_version"]


def spans_of(folder: Path, *calls: tuple[str, dict[str, Any]], name: str = "spans.otlp") -> str:
    """Write CLIENT spans, each with its start; their ids count from 1."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number, (start, attributes) in enumerate(calls, 1):
        span = scope.spans.add(trace_id=b"\x0a" * 16, span_id=number.to_bytes(8, "big"), name="chat", kind=3)
        span.start_time_unix_nano = instant(start) * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 10**9
        for key, value in attributes.items():
            if isinstance(value, list):
                for item in value:
                    span.attributes.add(key=key).value.array_value.values.add().string_value = item
                continue
            kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(span.attributes.add(key=key).value, kind, value)
    path = folder / name
    otlp_files.append(path, message.SerializeToString())
    return str(path)


def call(provider: str, model: str, given: int = 1000, made: int = 100, **more: Any) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": given,
        "gen_ai.usage.output_tokens": made,
        **more,
    }


def next_book() -> dict[str, Any]:
    """gpt-5.4 is 1.25 instead of 2.50 from December on; gpt-4o is gone; one model is new."""
    book = json.loads(json.dumps(FROZEN)) | {"version": "2026.12.01", "generated_at": "2026-12-01T05:00:00Z"}
    rows = model(book, "gpt-5.4")["rows"]
    (base,) = [row for row in rows if "when" not in row]
    later = json.loads(json.dumps(base)) | {"from": "2026-12-01T00:00:00Z"}
    later["rates"]["input"] = 1_250_000
    base["until"] = "2026-12-01T00:00:00Z"
    rows.append(later)
    book["models"] = [one for one in book["models"] if (one["p"], one["id"]) != ("openai", "gpt-4o")]
    book["models"].append({"p": "openai", "id": "gpt-new", "rows": [{"rates": {"input": 1_000_000, "output": 5}}]})
    return book


def test_diff_tells_models_rates_and_dates(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = written(tmp_path, "next.json", next_book())
    changes = {one["model"]: one for one in told(capsys, "diff", in_use, after)["changes"]}
    assert {name: one["what"] for name, one in changes.items()} == {
        "gpt-4o": "gone",
        "gpt-5.4": "changed",
        "gpt-new": "new",
    }
    (row,) = changes["gpt-5.4"]["rows"]
    assert (row["what"], row["from"]) == ("new", "2026-12-01T00:00:00Z")
    assert row["rates"] == [{"unit": "input", "tier": None, "old_pico": "2500000", "new_pico": "1250000"}]
    assert main(["book", "diff", in_use, after]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "changed  openai/gpt-5.4 from 2026-12-01T00:00:00Z: input 2.5 -> 1.25" in out
    assert "new      openai/gpt-new: input 1, output 0.000005" in out
    assert out[-1] == "models: 1 new, 1 changed, 1 gone"


def test_diff_of_a_book_with_itself_is_nothing(in_use: str, capsys: pytest.CaptureFixture[str]) -> None:
    told_now = told(capsys, "diff", "embedded", "embedded")
    assert (told_now["changes"], told_now["header"]) == ([], [])
    assert told(capsys, "diff", in_use, in_use)["changes"] == []


def test_diff_tells_names_tiers_ends_and_what_stands_outside_models(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = json.loads(json.dumps(FROZEN))
    (base, *_) = model(book, "gpt-5.4")["rows"]
    base["tiers"][0]["rates"]["output"] += 1
    model(book, "gpt-5.4")["ids"] = ["gpt-5.4-again"]
    model(book, "gpt-4o")["rows"][0]["until"] = "2027-01-01T00:00:00Z"
    book["multipliers"][0]["ratio"] = [7, 5]
    book["providers"]["extra"] = {"kind": "host"}
    told_now = told(capsys, "diff", in_use, written(tmp_path, "b.json", book))
    changes = {one["model"]: one for one in told_now["changes"]}
    assert "ids + gpt-5.4-again" in changes["gpt-5.4"]["notes"]
    (rate,) = changes["gpt-5.4"]["rows"][0]["rates"]
    assert (rate["unit"], rate["tier"]) == ("output", 272000)
    assert changes["gpt-4o"]["rows"][0]["note"].endswith("-> 2027-01-01T00:00:00Z")
    assert "new      providers.extra" in told_now["header"]
    assert [one.split()[0] for one in told_now["header"] if "multiplier" in one] == ["gone", "new"]


def test_diff_prices_spans_each_at_its_own_time(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = written(tmp_path, "next.json", next_book())
    ours = {"tokenomics.cost.total": 9.0, "tokenomics.cost.source": "sdk", "tokenomics.cost.status": "priced",
            "tokenomics.price.book": "vectors@2026.11.22"}  # fmt: skip
    stated = {"tokenomics.cost.total": 0.5, "tokenomics.cost.source": "provider", "tokenomics.cost.status": "priced",
              "tokenomics.price.book": "vectors@2026.11.22"}  # fmt: skip
    spans = spans_of(
        tmp_path,
        ("2026-11-30T23:59:59Z", call("openai", "gpt-5.4", **ours)),
        ("2026-12-01T00:00:00Z", call("openai", "gpt-5.4", **ours)),
        ("2026-12-02T00:00:00Z", call("openai", "gpt-5.4", **stated)),
        ("2026-12-02T00:00:00Z", call("openai", "gpt-new", 1000, 0)),
        ("2026-12-02T00:00:00Z", {"tokenomics.cost.status": "not_applicable", "tokenomics.cost.reason": "shadowed",
                                  **call("openai", "gpt-5.4")}),
    )  # fmt: skip
    told_now = told(capsys, "diff", in_use, after, "--spans", spans)
    by_model = {one["model"]: one for one in told_now["spans"]}
    # 2 x (1000 x $2.50 + 100 x $15 per million) + $0.50; the second call's input falls to $1.25 per million.
    assert by_model["openai/gpt-5.4"] == {
        "model": "openai/gpt-5.4", "calls": 3, "old": "0.508", "new": "0.50675", "delta": "-0.00125",
        "unpriced_calls": {"old": 0, "new": 0},
    }  # fmt: skip
    assert by_model["openai/gpt-new"]["unpriced_calls"] == {"old": 1, "new": 0}
    assert (told_now["total"]["calls"], told_now["total"]["delta"]) == (4, "-0.00025")
    assert main(["book", "diff", in_use, after, "--spans", spans]) == 0
    total = capsys.readouterr().out.splitlines()[-1].split()
    assert total == ["total", "4", "$0.508", "$0.5078", "-$0.00025", "1", "->", "0"]


@pytest.mark.parametrize(
    ("month", "calls", "delta"),
    [("2026-11", 1, "0"), ("2026-12", 2, "-0.0025"), ("2027-01", 1, "-0.00125"), (None, 4, "-0.00375")],
)
def test_diff_of_one_month_takes_the_calls_that_began_in_it(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], month: str | None, calls: int, delta: str
) -> None:
    """UTC, whatever the zone of the terminal; December has a year behind it."""
    after = written(tmp_path, "next.json", next_book())
    times = ("2026-11-30T23:59:59.999Z", "2026-12-01T00:00:00Z", "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z")
    spans = spans_of(tmp_path, *((time, call("openai", "gpt-5.4")) for time in times))
    chosen = ["--month", month] if month else []
    told_now = told(capsys, "diff", in_use, after, "--spans", spans, *chosen)
    # 1000 x ($1.25 - $2.50) per million for each call from December on.
    assert (told_now["total"]["calls"], told_now["total"]["delta"]) == (calls, delta)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "november", "2026-11-01", "0000-01", "9999-12", ""])
def test_diff_of_a_month_that_is_none(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], month: str
) -> None:
    spans = spans_of(tmp_path, ("2026-11-30T00:00:00Z", call("openai", "gpt-5.4")))
    assert main(["book", "diff", in_use, in_use, "--spans", spans, "--month", month]) == 2
    assert "--month: must be a month such as 2026-11" in capsys.readouterr().err
    assert main(["book", "diff", in_use, in_use, "--spans", spans, "--month", "2026-10"]) == 2
    assert "holds no model call of 2026-10 (UTC)" in capsys.readouterr().err
    assert main(["book", "diff", in_use, in_use, "--month", "2026-10"]) == 2
    assert "give --spans too" in capsys.readouterr().err


def test_diff_counts_what_either_book_cannot_price_apart(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that is gone, one that is new, a free one, own prices over both, and one that no book knows."""
    own = {
        "models": [{"p": "openai", "id": "gpt-5-mini", "rows": [{"usd_per_million": {"input": "1", "output": "1"}}]}]
    }
    after = written(tmp_path, "next.json", next_book())
    at = "2026-12-02T00:00:00+08:00"  # 16:00 UTC on the day before
    spans = spans_of(
        tmp_path,
        (at, call("openai", "gpt-4o")), (at, call("openai", "gpt-new", 1000, 0)), (at, call("lab", "free")),
        (at, call("openai", "gpt-5-mini")), (at, call("openai", "gpt-77")), (at, call("openai", "gpt-4o", 0, 0)),
    )  # fmt: skip
    arguments = ["diff", in_use, after, "--spans", spans, "--overrides", written(tmp_path, "own.json", own)]
    by_model = {one["model"]: one for one in told(capsys, *arguments)["spans"]}
    told_of = {name: (one["old"], one["new"], *one["unpriced_calls"].values()) for name, one in by_model.items()}
    assert told_of == {
        "openai/gpt-4o": ("0.0035", "0", 0, 2),
        "openai/gpt-new": ("0", "0.001", 1, 0),
        "lab/free": ("0", "0", 0, 0),
        "openai/gpt-5-mini": ("0.0011", "0.0011", 0, 0),
        "openai/gpt-77": ("0", "0", 1, 1),
    }


def test_diff_of_what_is_no_book_or_holds_no_call(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["book", "diff", in_use, str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    spans = spans_of(tmp_path, ("2026-11-30T00:00:00Z", {"http.request.method": "GET"}))
    assert main(["book", "diff", in_use, in_use, "--spans", spans]) == 2
    assert "holds no model call" in capsys.readouterr().err


def test_unpriced_lists_reasons_and_fixes(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = {"tokenomics.cost.status": "unpriced", "tokenomics.cost.reason": "unknown_model"}
    at = "2026-11-22T10:00:00Z"
    spans = spans_of(
        tmp_path,
        (at, call("openai", "gpt-5.4")),
        (at, call("azure.ai.openai", "my-prod")),
        (at, call("azure.ai.openai", "my-prod", **ours)),
        (at, call("openai", "gpt-4o", **ours)),
        (at, call("openai", "gpt-5.4", **{"tokenomics.usage.page": 3})),
        (at, {key: value for key, value in call("openai", "gpt-5.4").items() if "usage" not in key}),
    )
    again = spans_of(tmp_path, (at, call("openai", "gpt-5.4")), name="again.otlp")
    report = told(capsys, "unpriced", spans, again)
    assert report["calls"] == 6  # the span that both files hold counts once
    gaps = {(one["status"], one["reason"], one["model"]): one for one in report["gaps"]}
    assert {key: one["calls"] for key, one in gaps.items()} == {
        ("unpriced", "unknown_model", "my-prod"): 2,
        ("unpriced", "unknown_model", "gpt-4o"): 1,
        ("unpriced", "no_usage", "gpt-5.4"): 1,
        ("partial", "missing_rate", "gpt-5.4"): 1,
    }
    assert gaps["unpriced", "unknown_model", "my-prod"]["tokens"] == 2200
    assert "vectors@2026.11.22 prices it" in gaps["unpriced", "unknown_model", "gpt-4o"]["fix"]
    assert "OTEL_TOKENOMICS_STREAM_USAGE" in gaps["unpriced", "no_usage", "gpt-5.4"]["fix"]
    assert report["overlay"]["aliases"] == {"azure.ai.openai": {"my-prod": {"model": "ID-IN-THE-BOOK"}}}
    assert report["overlay"]["models"][0]["rows"][0]["usd_each"] == {"page": "USD"}
    assert main(["book", "unpriced", spans]) == 0
    out = capsys.readouterr().out
    assert "unpriced: 66.7 % (4) of calls" in out
    assert (
        "  2 x azure.ai.openai/my-prod: unknown_model, 2,200 tokens\n    fix: a deployment is called as you like; "
        in out
    )


def test_unpriced_lists_prices_in_doubt(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    priced = {"tokenomics.cost.status": "priced", "tokenomics.cost.total": 0.5, "tokenomics.cost.flags": ["stale_book"]}
    at = "2026-11-22T10:00:00Z"
    spans = spans_of(
        tmp_path,
        (at, call("openai", "gpt-5.4", **priced)),
        (at, call("acme", "gpt-5.4")),
        (at, call("openai", "gpt-5.4")),
    )
    report = told(capsys, "unpriced", spans)
    assert report["gaps"] == []
    doubts = {one["flag"]: one for one in report["doubts"]}
    assert {flag: (one["calls"], one["tokens"]) for flag, one in doubts.items()} == {
        "stale_book": (1, 1100), "assumed_provider": (1, 1100),
    }  # fmt: skip
    assert "book update" in doubts["stale_book"]["fix"]
    assert main(["book", "unpriced", spans]) == 0
    out = capsys.readouterr().out
    assert "flag stale_book: 33.3 % (1) of calls, 33.3 % (1,100) of tokens\n  1 x openai/gpt-5.4\n    fix: " in out


def test_the_alias_to_paste_is_one_that_works(
    in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = spans_of(tmp_path, ("2026-11-22T10:00:00Z", call("azure.ai.openai", "my-prod")))
    overlay = json.dumps(told(capsys, "unpriced", spans)["overlay"]).replace("ID-IN-THE-BOOK", "gpt-5")
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES", written(tmp_path, "own.json", overlay))
    assert told(capsys, "unpriced", spans)["gaps"] == []


def test_unpriced_of_a_file_without_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "unpriced", spans_of(tmp_path, ("2026-11-30T00:00:00Z", {"a": 1}))]) == 2
    assert "no model call" in capsys.readouterr().err


def test_check_takes_the_book_in_use_by_all_that_says_whose_it_is(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", "https://127.0.0.1:9/book.json")
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY", "A" * 43 + "=")
    told(capsys, "check", written(tmp_path, "own.json", {"discounts": []}))
    assert not [record for record in caplog.records if "refused" in record.getMessage()]


def test_a_book_steers_no_terminal(in_use: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;x\x07\n\u202e"
    book = json.loads(json.dumps(FROZEN)) | {"id": hostile}
    book["models"].append({"p": "openai", "id": hostile.lower(), "rows": [{"rates": {"input": 1}}]})
    file = written(tmp_path, "hostile.json", book)
    spans = spans_of(tmp_path, ("2026-11-22T10:00:00Z", call("openai", hostile)))
    overlay = written(tmp_path, "own.json", {"aliases": {"openai": {hostile: "gpt-0"}}, hostile: 1})
    for arguments in (
        ["show", file], ["check", file], ["diff", in_use, file, "--spans", spans], ["unpriced", spans],
        ["check", overlay],
    ):  # fmt: skip
        main(["book", *arguments])
        said = capsys.readouterr()
        assert any(shown in said.out + said.err for shown in ("?]0;x???", r"\u001b]0;x\u0007\n\u202e"))
        assert not set("\x1b\x07\u202e") & set(said.out + said.err)
