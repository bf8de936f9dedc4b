"""Answer the calls of ``sample.py`` with litellm; runs in an environment that has the package.

Usage: ``python oracle_litellm.py < calls.jsonl > answers.jsonl``. An answer has the call's ``n``, and either ``usd``
(decimal text of a float) and ``as`` (the key of its price map), or ``error``. The package is asked as its users ask
it: by its provider and the plain model name. It finds the entry itself. It has no dates: a call is answered by
today's price, at the call's time of day and weekday.
"""

# pyright: basic, reportMissingImports=false
# The objects of the other package have no types here.
from __future__ import annotations

import json
import logging
import os
import sys
from datetime import datetime
from functools import cache
from typing import Any, Final

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
logging.disable(logging.CRITICAL)

PROVIDERS_OF: Final = {
    "aws.bedrock": ("bedrock", "bedrock_mantle"),
    "aws_transcribe": ("transcribe",),
    "azure.ai.inference": ("azure_ai",),
    "azure.ai.openai": ("azure", "azure_ai", "azure_text"),
    "cohere": ("cohere", "cohere_chat"),
    "fireworks": ("fireworks_ai",),
    "gcp.gemini": ("gemini",),
    "gcp.vertex_ai": ("vertex_ai",),
    "ibm.watsonx.ai": ("watsonx",),
    "inception": ("inception", "text-completion-inception"),
    "mistral_ai": ("mistral",),
    "moonshot_ai": ("moonshot",),
    "openai": ("openai", "text-completion-openai"),
    "scx_ai": ("scx-ai",),
    "together": ("together_ai",),
    "voyageai": ("voyage",),
    "x_ai": ("xai",),
    "zhipuai": ("bigmodel",),
}
AZURE_AREAS: Final = {"datazone-us": "us", "datazone-eu": "eu", "global": "global"}
#: Any place that is not the global one.
VERTEX_REGION: Final = "us-east5"
INPUTS: Final = (
    "input", "cache_read", "cache_write", "cache_write_1h", "cache_write_12h",
    "audio_in", "audio_cache_read", "image_in", "video_in",
)  # fmt: skip
OUTPUTS: Final = ("output", "reasoning", "audio_out", "image_out", "video_out")
Call = dict[str, Any]


@cache
def found(provider: str, model: str, area: str) -> tuple[str, str, dict[str, Any]] | None:
    """Return the provider's and the model's name under which the package knows a model, and its entry."""
    import litellm

    for name in PROVIDERS_OF.get(provider, (provider,)):
        for spelled in (f"{area}/{model}", model) if area else (model,):
            try:
                info = litellm.get_model_info(spelled, custom_llm_provider=name)
            except Exception:  # noqa: BLE001, S112  # a model that is not mapped is a plain Exception
                continue
            # A rule by the beginning of the name knows what a model can do, not what it costs.
            if info["key"] in litellm.model_cost:
                return name, spelled, dict(info)
    return None


def usage_of(units: dict[str, int], facts: dict[str, str]) -> Any:
    """Return the package's usage object: inclusive counts and their details."""
    from litellm.types.utils import CacheCreationTokenDetails, PromptTokensDetailsWrapper, Usage

    count = units.get
    written = {unit: count(unit, 0) for unit in ("cache_write", "cache_write_1h", "cache_write_12h")}
    details: dict[str, Any] = {
        "cached_tokens": count("cache_read", 0) + count("audio_cache_read", 0),
        "audio_tokens": count("audio_in", 0) + count("audio_cache_read", 0),
        "image_tokens": count("image_in", 0),
        "video_tokens": count("video_in", 0),
    }
    if count("audio_cache_read"):
        details["cached_tokens_details"] = {"audio_tokens": count("audio_cache_read")}
    if any(written.values()):
        details["cache_creation_tokens"] = sum(written.values())
        details["cache_creation_token_details"] = CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=written["cache_write"],
            ephemeral_1h_input_tokens=written["cache_write_1h"],
            ephemeral_12h_input_tokens=written["cache_write_12h"],
        )
    if count("audio_in_second"):
        details["audio_length_seconds"] = count("audio_in_second")
    searches = count("web_search") or count("request")
    if searches:
        details["web_search_requests"] = searches
    prompt, completion = (sum(count(unit, 0) for unit in group) for group in (INPUTS, OUTPUTS))
    made = {
        "reasoning_tokens": count("reasoning", 0),
        "audio_tokens": count("audio_out", 0),
        "image_tokens": count("image_out", 0),
    }
    more: dict[str, Any] = {key: facts[key] for key in ("inference_geo", "speed") if key in facts}
    if count("web_search"):
        more["server_tool_use"] = {"web_search_requests": count("web_search")}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetailsWrapper(**details),
        completion_tokens_details={key: value for key, value in made.items() if value} or None,
        **more,
    )


def cost(call: Call, provider: str, model: str, info: dict[str, Any]) -> float | str:
    """Return what the package makes of a call, or why it cannot be asked."""
    import litellm
    from litellm.cost_calculator import default_video_cost_calculator
    from litellm.litellm_core_utils.llm_cost_calc.tool_call_cost_tracking import StandardBuiltInToolCostTracking

    units, facts, mode = call["units"], call["facts"], info.get("mode")
    usage = usage_of(units, facts)
    known: dict[str, Any] = {"model": model, "custom_llm_provider": provider, "usage_object": usage}
    if units.get("web_search") or (units.get("request") and provider != "perplexity"):
        size = facts.get("search_context_size", "medium")
        return StandardBuiltInToolCostTracking.get_cost_for_built_in_tools(
            model=model,
            response_object=None,
            usage=usage,
            custom_llm_provider=provider,
            standard_built_in_tools_params={"web_search_options": {"search_context_size": size}},
        )
    if "image" in units:
        response = litellm.ImageResponse(data=[{"url": "x"}] * units["image"])
        return litellm.completion_cost(
            response, model=model, custom_llm_provider=provider, call_type="image_generation"
        )
    if "video_out_second" in units:
        return default_video_cost_calculator(model, units["video_out_second"], provider)
    if "page" in units:
        from litellm.llms.base_llm.ocr.transformation import OCRResponse, OCRUsageInfo

        pages = OCRResponse(pages=[], model=model, usage_info=OCRUsageInfo(pages_processed=units["page"]))
        return sum(litellm.cost_per_token(**known, call_type="ocr", response=pages))
    if "search_unit" in units:
        return sum(
            litellm.cost_per_token(
                **known, call_type="rerank", rerank_billed_units={"search_units": units["search_unit"]}
            )
        )
    if "character" in units:
        return sum(litellm.cost_per_token(**known, call_type="speech", prompt_characters=units["character"]))
    if "audio_in_second" in units and mode != "embedding":
        return sum(
            litellm.cost_per_token(
                **known, call_type="transcription", audio_transcription_file_duration=units["audio_in_second"]
            )
        )
    if "code_session" in units or "file_search" in units:
        return "no notion of a tool outside a response"
    kind = "transcription" if mode == "audio_transcription" else "completion"
    if facts.get("processing") == "batch":
        kind = "retrieve_batch"
    place = facts.get("inference_geo") if provider == "openai" else None
    return sum(
        litellm.cost_per_token(
            **known,
            call_type=kind,
            service_tier=facts.get("service_tier"),
            data_residency=place,
            region_name=facts.get("region"),
            vertex_location=VERTEX_REGION if facts.get("deployment_type") == "regional" else None,
        )
    )


def answer(call: Call) -> dict[str, Any]:
    """Return the package's answer to one call."""
    from litellm._internal_context import pinned_billing_time

    if call.get("dated"):
        return {"error": "no history"}
    area = AZURE_AREAS.get(call["facts"].get("deployment_type", ""), "")
    known = found(call["provider"], call["model"], area)
    if known is None:
        return {"error": "unknown model"}
    provider, model, info = known
    try:
        with pinned_billing_time(datetime.fromisoformat(call["at"])):
            usd = cost(call, provider, model, info)
    except Exception as error:  # noqa: BLE001  # every refusal of the package is a plain Exception
        return {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    return {"error": usd} if isinstance(usd, str) else {"usd": repr(float(usd)), "as": info["key"]}


def main() -> int:
    """Answer every line of standard input."""
    # The package prints its advice to standard output.
    answers, sys.stdout = sys.stdout, sys.stderr
    import litellm

    litellm.suppress_debug_info = True
    for line in sys.stdin:
        call = json.loads(line)
        answers.write(json.dumps({"n": call["n"], **answer(call)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
