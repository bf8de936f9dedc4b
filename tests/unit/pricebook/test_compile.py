"""The price book is built by rule: merge order, disputes, schema, determinism, and the decisions that were taken."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[3]
PRICEBOOK = ROOT / "pricebook"
BOOK = json.loads((ROOT / "otel_tokenomics/pricing/pricebook.json").read_text(encoding="utf-8"))
SCHEMAS = {name: json.loads((PRICEBOOK / "schema" / f"{name}.json").read_text()) for name in ("v1", "overlay-v1")}


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"pricebook_{name}", PRICEBOOK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


sys.path.insert(0, str(PRICEBOOK))
merge = module("merge")
litellm = module("normalise_litellm")


def validator(name: str) -> jsonschema.Draft202012Validator:
    registry = Registry().with_resources([(s["$id"], Resource.from_contents(s)) for s in SCHEMAS.values()])
    return jsonschema.Draft202012Validator(SCHEMAS[name], registry=registry)


def source(rates: dict[str, str], **row: Any) -> dict[str, Any]:
    return {"provider": "p", "id": "m", "rows": [{"rates": rates, **row}]}


def test_a_patch_beats_both_sources() -> None:
    patch = {"id": "m", "rows": [{"usd_per_million": {"input": "3"}}]}
    merged = merge.merge(patch, source({"input": "0.000001"}), source({"input": "0.000002"}))
    assert merged.rows == [{"rates": {"input": 3_000_000}, "src": ["p"]}]
    assert merged.disputes == {}


def test_a_patch_that_is_not_sure_marks_its_rows() -> None:
    patch = {"id": "m", "mark": "assumed", "rows": [{"usd_per_million": {"input": "3"}}]}
    assert merge.merge(patch, None, None).rows == [{"rates": {"input": 3_000_000}, "src": ["p"], "x-mark": "assumed"}]


def test_the_dated_source_wins_and_a_difference_is_a_dispute() -> None:
    merged = merge.merge(
        None, source({"input": "0.000001", "output": "0.000004"}), source({"input": "0.00000102", "output": "0.000004"})
    )
    assert merged.rows[0]["rates"] == {"input": 1_000_000, "output": 4_000_000}
    assert merged.disputes == {"input": ["1000000", "1020000"]}
    assert merged.rows[0]["x-disputed"] == {"input": [1_000_000, 1_020_000]}


def test_half_a_percent_is_no_dispute() -> None:
    merged = merge.merge(None, source({"input": "0.000200"}), source({"input": "0.000201"}))
    assert merged.disputes == {}


def test_the_second_source_fills_units_and_conditions_but_derives_nothing() -> None:
    first = source({"input": "0.000001", "output": "0.000002"}, tiers=[{"gt": 10, "rates": {"input": "0.000002"}}])
    second = {"provider": "p", "id": "m", "rows": [
        {"rates": {"input": "0.000001", "cache_write_1h": "0.000002", "cache_write": "0"}},
        {"rates": {"input": "0.0000005"}, "when": {"processing": ["batch"]}},
    ]}  # fmt: skip
    rows = merge.merge(None, first, second).rows
    assert rows[0]["rates"] == {"input": 1_000_000, "output": 2_000_000, "cache_write_1h": 2_000_000}
    # the base row has tiers, so the conditional one states its own: none
    assert rows[1] == {"rates": {"input": 500_000}, "when": {"processing": ["batch"]}, "tiers": [], "src": ["l"]}


def test_a_condition_on_which_both_agree_holds_as_long_as_the_base_row() -> None:
    """genai-prices began to carry conditions on one day; litellm has them without a date."""
    first = {"provider": "p", "id": "m", "rows": [
        {"rates": {"input": "0.000009"}, "until": "2026-01-01T00:00:00Z"},
        {"rates": {"input": "0.000002"}, "from": "2026-01-01T00:00:00Z"},
        {"rates": {"input": "0.000001"}, "from": "2026-10-14T00:00:00Z", "when": {"processing": ["batch"]}},
    ]}  # fmt: skip
    second = {"provider": "p", "id": "m", "rows": [
        {"rates": {"input": "0.000002"}},
        {"rates": {"input": "0.000001"}, "when": {"processing": ["batch"]}},
    ]}  # fmt: skip
    assert merge.merge(None, first, second).rows[2]["from"] == "2026-01-01T00:00:00Z"
    second["rows"][1]["rates"]["input"] = "0.000003"
    merged = merge.merge(None, first, second)
    assert merged.rows[2]["from"] == "2026-10-14T00:00:00Z"
    assert merged.disputes == {"input;processing=batch": ["1000000", "3000000"]}


def test_the_source_without_dates_is_compared_with_the_row_in_force() -> None:
    """An introductory price with its end: litellm states it, and knows nothing of the price after."""
    first = {"provider": "p", "id": "m", "rows": [
        {"rates": {"input": "0.000001"}, "until": "2027-01-01T00:00:00Z"},
        {"rates": {"input": "0.000002"}, "from": "2027-01-01T00:00:00Z"},
    ]}  # fmt: skip
    second = {"provider": "p", "id": "m", "rows": [
        {"rates": {"input": "0.000001", "cache_read": "0.0000001"}},
        {"rates": {"input": "0.0000005"}, "when": {"service_tier": ["flex"]}},
    ]}  # fmt: skip
    merged = merge.merge(None, first, second, "2026-11-24T06:00:00Z")
    assert merged.disputes == {}
    today, later, flex = merged.rows
    assert (today["rates"], today["src"]) == ({"input": 1_000_000, "cache_read": 100_000}, ["g", "l"])
    assert (later["rates"], later["src"]) == ({"input": 2_000_000}, ["g"])
    assert ("from" in flex, flex["until"]) == (False, "2027-01-01T00:00:00Z")
    after = merge.merge(None, first, second, "2027-01-01T00:00:00Z")
    assert after.disputes == {"input": ["2000000", "1000000"]}
    assert after.rows[2]["from"] == "2027-01-01T00:00:00Z"  # what a tier cost before the change, no source says


@pytest.mark.parametrize(("whose", "rate"), [("genai-prices", 1_000_000), ("litellm", 3_000_000)])
def test_a_patch_says_whose_rate_stands_and_leaves_the_rest_to_the_merge(whose: str, rate: int) -> None:
    tiers = [{"gt": 10, "rates": {"input": "0.000002"}}]
    first = source({"input": "0.000001", "output": "0.000004"}, tiers=tiers)
    second = source(
        {"input": "0.000003", "cache_read": "0.0000005"}, tiers=[{"gt": 10, "rates": {"input": "0.000006"}}]
    )
    merged = merge.merge({"id": "m", "prefer": whose}, first, second)
    assert merged.disputes == {}
    (row,) = merged.rows
    assert row["rates"] == {"input": rate, "output": 4_000_000, "cache_read": 500_000}
    assert row["tiers"] == [{"gt": 10, "rates": {"input": 2 * rate}}]
    assert row["src"] == ["g", "l", "p"]
    assert "x-disputed" not in row


def test_every_row_of_the_book_has_its_sources_and_the_day_of_its_verification() -> None:
    without = [(m["p"], m["id"]) for m in BOOK["models"] for row in m["rows"] if not (row["src"] and row["verified"])]
    assert without == []


def test_a_jump_that_is_accepted_is_that_of_a_model_in_the_book() -> None:
    names = {f"{model['p']}/{model['id']}" for model in BOOK["models"]}
    assert [name for name in BOOK["x-accepted-jumps"] if name not in names] == []


def test_tiers_are_filled_and_compared_tier_by_tier() -> None:
    first = source({"input": "0.000001"}, tiers=[{"gt": 10, "rates": {"input": "0.000002"}}])
    second = source(
        {"input": "0.000001"}, tiers=[{"gt": 10, "rates": {"input": "0.000003", "cache_write_12h": "0.000004"}}]
    )
    merged = merge.merge(None, first, second)
    assert merged.rows[0]["tiers"] == [{"gt": 10, "rates": {"input": 2_000_000, "cache_write_12h": 4_000_000}}]
    assert merged.disputes == {"input;tier=10": ["2000000", "3000000"]}


def test_reasoning_at_the_price_of_output_follows_a_condition_that_states_output_alone() -> None:
    rows = [
        {"rates": {"output": "0.0000025", "reasoning": "0.0000025"}},
        {"rates": {"output": "0.00000125"}, "when": {"processing": ["batch"]}},
    ]
    merged = merge.merge(None, None, {"provider": "p", "id": "m", "rows": rows})
    assert [row["rates"] for row in merged.rows] == [{"output": 2_500_000}, {"output": 1_250_000}]


def test_reasoning_with_a_price_of_its_own_in_any_row_or_tier_stays_stated() -> None:
    tiers = [{"gt": 10, "rates": {"output": "0.000004", "reasoning": "0.000006"}}]
    merged = merge.merge(None, None, source({"output": "0.000002", "reasoning": "0.000002"}, tiers=tiers))
    assert merged.rows[0]["rates"]["reasoning"] == 2_000_000
    assert merged.rows[0]["tiers"][0]["rates"]["reasoning"] == 6_000_000


def test_a_patch_takes_one_source_or_puts_a_row_before() -> None:
    first, second = source({"input": "0.000001"}), source({"input": "0.000002"})
    taken = merge.merge({"id": "m", "take": "litellm", "mark": "why"}, first, second)
    assert taken.rows == [{"rates": {"input": 2_000_000}, "src": ["l"], "x-mark": "why"}]
    assert taken.disputes == {}
    step = {"until": "2026-01-01T00:00:00Z", "usd_per_million": {"input": "5"}}
    assert merge.merge({"id": "m", "before": [step]}, first, None).rows == [
        {"until": "2026-01-01T00:00:00Z", "rates": {"input": 5_000_000}, "src": ["p"]},
        {"from": "2026-01-01T00:00:00Z", "rates": {"input": 1_000_000}, "src": ["g"]},
    ]


@pytest.mark.parametrize(
    ("usd", "per", "pico", "noise"),
    [("0.15", 10**6, 150_000, 0), ("0.0000005", 10**6, 0, 1), ("0.0000015", 10**6, 2, 1)],
)
def test_rates_are_rounded_half_even_and_noise_is_counted(usd: str, per: int, pico: int, noise: int) -> None:
    rounding = merge.Rounding()
    assert (rounding.pico(usd, per), rounding.noise) == (pico, noise)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("input_cost_per_token", ("input", 0, "")),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", ("cache_write_1h", 200_000, "")),
        ("output_cost_per_token_above_272k_tokens_flex", ("output", 272_000, "_flex")),
        ("input_dbu_cost_per_token", None),
    ],
)
def test_keys_of_the_flat_map_are_taken_apart(key: str, expected: object) -> None:
    assert litellm.split_key(key) == expected


def test_the_book_follows_its_schema() -> None:
    assert [error.message for error in validator("v1").iter_errors(BOOK)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda book: book.update(extra=1),
        lambda book: book["models"][0].update(prize=1),
        lambda book: book["models"][0]["rows"][0]["rates"].update(input=-1),
        lambda book: book["models"][0]["rows"][0]["rates"].update(input=1.5),
        lambda book: book["models"][0]["rows"][0]["rates"].update(tokens=1),
        lambda book: book["models"][0]["rows"][0].update(when={"tier": ["flex"]}),
        lambda book: book.update(currency="EUR"),
    ],
)
def test_the_schema_refuses(spoil: Any) -> None:
    book = {
        **copy.deepcopy({k: v for k, v in BOOK.items() if k != "models"}),
        "models": copy.deepcopy(BOOK["models"][:1]),
    }
    assert validator("v1").is_valid(book)
    spoil(book)
    assert not validator("v1").is_valid(book)


OVERLAY: dict[str, Any] = {
    "discounts": [
        {
            "p": "openai",
            "match": "*",
            "ratio": [85, 100],
            "from": "2026-10-01T00:00:00Z",
            "units": ["input"],
            "account": ["acct-eu"],
        }
    ],
    "aliases": {
        "azure.ai.openai": {"prod": {"model": "gpt-5", "deployment_type": "datazone-eu"}},
        "openai": {"fast": "gpt-5.4"},
    },
    "models": [
        {
            "p": "vllm",
            "id": "llama",
            "rows": [
                {
                    "usd_per_million": {"input": "0.2"},
                    "usd_each": {"web_search": "0.01"},
                    "basis": "list_equivalent",
                    "when": {"account": ["a"]},
                }
            ],
        }
    ],
    "capacity": [
        {
            "p": "azure.ai.openai",
            "ids": ["ptu"],
            "kind": "hourly",
            "usd_per_hour": "98.00",
            "units_per_hour": {"input": 30000000},
            "allocate": "capacity",
        },
        {
            "p": "vllm",
            "ids": ["m"],
            "kind": "gpu",
            "usd_per_gpu_hour": "2.10",
            "gpus": 4,
            "tokens_per_second": {"input": 20000},
            "utilization": [6, 10],
        },
    ],
    "static": [
        {
            "name": "gpu-lease",
            "usd": "1200.00",
            "from": "2026-01-01T00:00:00Z",
            "until": "2026-02-01T00:00:00Z",
            "tags": {"team": "a"},
        }
    ],
    "adjacent": [{"name": "read", "match": {"db.system.name": "pinecone"}, "unit": "request", "usd_each": "0.000016"}],
}


def test_the_whole_overlay_has_a_schema() -> None:
    assert [error.message for error in validator("overlay-v1").iter_errors(OVERLAY)] == []


@pytest.mark.parametrize("key", sorted(OVERLAY))
def test_the_overlay_schema_refuses_unknown_keys_everywhere(key: str) -> None:
    spoilt = copy.deepcopy(OVERLAY)
    if key == "aliases":
        spoilt[key]["openai"]["fast"] = {"model": "gpt-5.4", "colour": "red"}
    else:
        spoilt[key][0]["colour"] = "red"
    assert not validator("overlay-v1").is_valid(spoilt)


def test_both_languages_hold_the_same_bytes() -> None:
    assert (ROOT / "collector/pricing/pricebook.json").read_bytes() == (
        ROOT / "otel_tokenomics/pricing/pricebook.json"
    ).read_bytes()


def test_compiling_again_changes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(PRICEBOOK / "compile.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_build_tells_what_changed() -> None:
    def book(**rates: int) -> str:
        return json.dumps(
            {"models": [{"p": "lab", "id": name, "rows": [{"rates": {"input": rate}}]} for name, rate in rates.items()]}
        )

    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import compile as c\nprint(c.changes(sys.argv[2], sys.argv[3]))"
    )
    arguments = [str(PRICEBOOK), book(a=1, b=1, c=1), book(b=1, c=2, d=1)]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['1 new: lab/d', '1 removed: lab/a', '1 changed: lab/c']"


def test_an_unlisted_dispute_fails_the_build() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import compile as c\n"
        "c.check_disputes({'openai/gpt-x': {'input': ['1', '2']}})"
    )
    done = subprocess.run([sys.executable, "-c", script, str(PRICEBOOK)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "openai/gpt-x" in done.stderr


def test_no_row_is_both_conditional_and_without_its_own_tiers() -> None:
    for model in BOOK["models"]:
        if any(row.get("tiers") for row in model["rows"] if "when" not in row):
            assert all("tiers" in row for row in model["rows"] if "when" in row), model["id"]
