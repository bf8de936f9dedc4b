"""litellm's map becomes our extract: what an id names, what a key means, and what is no price."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "pricebook"))
names: Any = importlib.import_module("litellm_names")
normaliser: Any = importlib.import_module("normalise_litellm")


def extract(price_map: dict[str, dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    entries = normaliser.normalise(json.dumps(price_map)).finish()
    return {(entry["provider"], entry["id"]): entry for entry in entries}


def chat(tag: str = "lab", **prices: Any) -> dict[str, Any]:
    return {"litellm_provider": tag, "mode": "chat", **prices}


@pytest.mark.parametrize(
    ("name", "tag", "providers", "model", "when"),
    [
        ("gpt-5.4", "openai", ("openai",), "gpt-5.4", {}),
        ("openai/sora-2", "openai", ("openai",), "sora-2", {}),
        ("azure/gpt-4o", "azure", ("azure.ai.openai",), "gpt-4o", {}),
        ("azure/eu/gpt-4o", "azure", ("azure.ai.openai",), "gpt-4o", {"deployment_type": ["datazone-eu"]}),
        ("azure/global-standard/gpt-4o", "azure", ("azure.ai.openai",), "gpt-4o", {"deployment_type": ["global"]}),
        ("azure_ai/Phi-4", "azure_ai", ("azure.ai.inference", "azure.ai.openai"), "phi-4", {}),
        ("us.amazon.nova-pro-v1:0", "bedrock_converse", ("aws.bedrock",), "us.amazon.nova-pro-v1:0", {}),
        ("bedrock/sa-east-1/meta.llama3-8b", "bedrock", ("aws.bedrock",), "meta.llama3-8b", {"region": ["sa-east-1"]}),
        ("bedrock/us-gov-west-1/x.y", "bedrock", ("aws.bedrock",), "x.y", {"region": ["us-gov-west-1"]}),
        ("vertex_ai/claude-opus-5", "vertex_ai-anthropic_models", ("gcp.vertex_ai",), "claude-opus-5", {}),
        ("watsonx/ibm/granite-3-8b", "watsonx", ("ibm.watsonx.ai",), "ibm/granite-3-8b", {}),
        ("scx-ai/GLM-5.3", "scx-ai", ("scx_ai",), "glm-5.3", {}),
    ],
)
def test_an_id_names_provider_model_and_place(
    name: str, tag: str, providers: tuple[str, ...], model: str, when: dict[str, list[str]]
) -> None:
    assert names.named(name, tag, "chat") == names.Named(providers, model, when)


@pytest.mark.parametrize(
    ("name", "tag", "mode", "reason"),
    [
        ("tavily/search", "tavily", "search", "mode search: no model's answer"),
        ("high/1024-x-1024/gpt-image-1", "openai", "image_generation", "price by size or quality of the image"),
        ("bedrock/*/1-month-commitment/cohere.command", "bedrock", "chat", "committed capacity by the hour"),
        ("fireworks-ai-up-to-4b", "fireworks_ai", "chat", "size class, no model"),
        ("azure/us-gov/o3-mini", "azure", "chat", "region that no fact names"),
    ],
)
def test_what_names_no_model_says_why(name: str, tag: str, mode: str, reason: str) -> None:
    assert names.named(name, tag, mode).left_out == reason


def test_zero_is_no_price() -> None:
    made = normaliser.normalise(
        json.dumps(
            {
                "lab/half": chat(input_cost_per_token=1e-6, output_cost_per_token=0),
                "lab/none": chat(input_cost_per_token=0.0, output_cost_per_token=0),
            }
        )
    )
    (entry,) = made.finish()
    assert entry["rows"] == [{"rates": {"input": "0.000001"}}]
    assert entry["left_out"] == ["rate 0: free and unknown look alike"]
    assert made.left_out == {"every rate is 0": {"lab": 1}}


def test_a_region_is_a_row_of_its_model_where_it_costs_something_else() -> None:
    found = extract(
        {
            "azure/us/m": chat("azure", input_cost_per_token=2e-6, input_cost_per_token_priority=4e-6),
            "azure/eu/m": chat("azure", input_cost_per_token=1e-6),
            "azure/m": chat("azure", input_cost_per_token=1e-6),
        }
    )
    assert found["azure.ai.openai", "m"]["rows"] == [
        {"rates": {"input": "0.000001"}},
        {"rates": {"input": "0.000002"}, "when": {"deployment_type": ["datazone-us"]}},
        {"rates": {"input": "0.000004"}, "when": {"deployment_type": ["datazone-us"], "service_tier": ["priority"]}},
    ]


def test_off_peak_prices_are_the_base_row() -> None:
    windows = [
        {"hours_utc": ["00:00-01:00", "04:00-06:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
        {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
    ]
    off_peak = {"input_cost_per_token": 1e-6, "windows": windows}
    found = extract({"lab/m": chat(input_cost_per_token=2e-6, off_peak_pricing=off_peak)})
    assert found["lab", "m"]["rows"] == [
        {"rates": {"input": "0.000001"}},
        {"rates": {"input": "0.000002"}, "when": {"calendar": ["deepseek-peak"]}},
    ]
    with pytest.raises(SystemExit, match="off-peak hours changed"):
        extract({"lab/m": chat(input_cost_per_token=2e-6, off_peak_pricing={**off_peak, "windows": []})})


def test_ranges_are_tiers_and_xai_begins_one_token_earlier() -> None:
    ranges = [
        {"range": [0, 256000.0], "input_cost_per_token": 1e-6},
        {"range": [256000.0, 1e6], "input_cost_per_token": 2e-6},
    ]
    found = extract(
        {
            "lab/m": chat(tiered_pricing=ranges),
            "xai/m": chat("xai", input_cost_per_token=1e-6, input_cost_per_token_above_200k_tokens=2e-6),
        }
    )
    assert found["lab", "m"]["rows"] == [
        {"rates": {"input": "0.000001"}, "tiers": [{"gt": 256_000, "rates": {"input": "0.000002"}}]}
    ]
    assert found["x_ai", "m"]["rows"][0]["tiers"][0]["gt"] == 199_999


def test_what_a_key_means_depends_on_the_mode() -> None:
    found = extract(
        {
            "lab/hear": {"litellm_provider": "lab", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
            "lab/film": {"litellm_provider": "lab", "mode": "video_generation", "output_cost_per_second": 0.1},
            "lab/talk": {"litellm_provider": "lab", "mode": "realtime", "input_cost_per_second": 0.0005},
            "lab/rank": {"litellm_provider": "lab", "mode": "rerank", "input_cost_per_query": 0.002},
            "lab/speak": {"litellm_provider": "lab", "mode": "audio_speech", "output_cost_per_second": 0.1},
        }
    )
    assert {key[1]: entry["rows"][0]["rates"] for key, entry in found.items()} == {
        "hear": {"audio_in_second": "0.0001"},
        "film": {"video_out_second": "0.1"},
        "talk": {"audio_in_second": "0.0005"},
        "rank": {"search_unit": "0.002"},
    }


def test_an_image_made_is_priced_where_its_price_stands_alone_under_the_input() -> None:
    paint: dict[str, Any] = {"litellm_provider": "lab", "mode": "image_generation", "input_cost_per_image": 0.02}
    found = extract(
        {
            "lab/paint": paint,
            "lab/both": {**paint, "output_cost_per_image": 0.05},
            "lab/sized": paint,
            "low/1024-x-1024/sized": paint,
            "other/sized": {**paint, "litellm_provider": "other"},
        }
    )
    assert {key: entry["rows"][0]["rates"] for key, entry in found.items()} == {
        ("lab", "paint"): {"image": "0.02"},
        ("lab", "both"): {"image": "0.05"},
        ("other", "sized"): {"image": "0.02"},
    }


@pytest.mark.parametrize(
    ("metadata", "rate"),
    [
        ({"original_pricing_per_minute": 0.0043}, "0.000071666666667"),
        ({"original_pricing_per_hour": 0.258}, "0.000071666666667"),
        ({"original_pricing_per_minute": 0.0053}, "0.00007167"),  # another price than the one stated
        ({"original_pricing_per_minute": "free"}, "0.00007167"),
        ("once a minute", "0.00007167"),
    ],
)
def test_a_second_costs_what_the_published_minute_says(metadata: Any, rate: str) -> None:
    hear = {"litellm_provider": "lab", "mode": "audio_transcription", "input_cost_per_second": 7.167e-05}
    assert extract({"lab/hear": {**hear, "metadata": metadata}})["lab", "hear"]["rows"][0]["rates"] == {
        "audio_in_second": rate
    }


def test_what_is_read_under_another_key_is_not_left_out() -> None:
    entry = extract({"lab/m": chat(input_cost_per_token=1e-6, input_cost_per_token_cache_hit=1e-7)})["lab", "m"]
    assert entry["rows"] == [{"rates": {"input": "0.000001", "cache_read": "0.0000001"}}]
    assert "left_out" not in entry


def test_a_price_by_resolution_is_left_out_since_no_fact_names_it() -> None:
    film = {"litellm_provider": "lab", "mode": "video_generation", "output_cost_per_second": 0.1}
    assert extract({"lab/film": {**film, "output_cost_per_second_4k": 0.4}}) == {}
    assert extract({"lab/film": {**film, "output_cost_per_second_720p": 0.1}})["lab", "film"]["rows"]


def test_factors_name_their_condition() -> None:
    fields = chat(
        input_cost_per_token=1e-6,
        provider_specific_entry={"us": 1.1, "fast": 2},
        regional_processing_uplift_multiplier_eu=1.2,
        regional_endpoint_uplift_multiplier=1.3,
    )
    assert extract({"lab/m": fields})["lab", "m"]["multipliers"] == [
        {"when": {"inference_geo": ["us"]}, "ratio": "1.1"},
        {"when": {"inference_geo": ["eu"]}, "ratio": "1.2"},
        {"when": {"deployment_type": ["regional"]}, "ratio": "1.3"},
    ]


def test_the_day_of_withdrawal_is_kept() -> None:
    found = extract(
        {
            "lab/old": chat(input_cost_per_token=1e-6, deprecation_date="2026-09-24"),
            "lab/odd": chat(input_cost_per_token=1e-6, deprecation_date="soon"),
        }
    )
    assert found["lab", "old"]["retired_at"] == "2026-09-24T00:00:00Z"
    assert "retired_at" not in found["lab", "odd"]


def test_a_second_spelling_fills_and_never_overrules() -> None:
    found = extract(
        {
            "lab/m": chat(input_cost_per_token=1e-6),
            "m": chat(input_cost_per_token=1e-6, output_cost_per_token=2e-6),
            "azure_ai/n": chat("azure_ai", input_cost_per_token=3e-6),
            "azure/n": chat("azure", input_cost_per_token=1e-6),
        }
    )
    assert found["lab", "m"]["rows"] == [{"rates": {"input": "0.000001", "output": "0.000002"}}]
    assert found["azure.ai.openai", "n"]["rows"][0]["rates"] == {"input": "0.000001"}
    assert found["azure.ai.inference", "n"]["rows"][0]["rates"] == {"input": "0.000003"}


def test_a_second_spelling_adds_its_conditions_and_factors() -> None:
    found = extract(
        {
            "m": chat(input_cost_per_token=1e-6),
            "lab/m": chat(
                input_cost_per_token=1e-6, input_cost_per_token_flex=5e-7, regional_endpoint_uplift_multiplier=1.1
            ),
        }
    )
    assert found["lab", "m"]["rows"] == [
        {"rates": {"input": "0.000001"}},
        {"rates": {"input": "0.0000005"}, "when": {"service_tier": ["flex"]}},
    ]
    assert found["lab", "m"]["multipliers"] == [{"when": {"deployment_type": ["regional"]}, "ratio": "1.1"}]


def test_what_comes_out_of_a_model_that_makes_images_alone_is_images() -> None:
    found = extract(
        {
            "lab/images": chat(input_cost_per_token=1e-6, output_cost_per_image_token=4e-6),
            "lab/both": chat(output_cost_per_token=2e-6, output_cost_per_image_token=4e-6),
        }
    )
    assert found["lab", "images"]["rows"][0]["rates"]["output"] == "0.000004"
    assert found["lab", "both"]["rows"][0]["rates"]["output"] == "0.000002"


def test_a_model_without_an_expressible_rate_is_named_all_the_same() -> None:
    price_map = {"lab/video": chat(output_cost_per_second=0.1, output_cost_per_second_4k=0.3)}
    found = normaliser.normalise(json.dumps(price_map))
    assert not found.entries
    assert found.named == {("lab", "video")}
