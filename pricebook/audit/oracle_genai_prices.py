"""Answer the calls of ``sample.py`` with genai-prices; runs in an environment that has the package.

Usage: ``python oracle_genai_prices.py < calls.jsonl > answers.jsonl``. An answer has the call's ``n``, and either
``usd`` (decimal text) and ``as`` (the model that the package took the name for), or ``error``.
"""

# pyright: basic, reportMissingImports=false
# The objects of the other package have no types here.
from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, Final

PROVIDER_OF: Final = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
#: The package counts inclusively: our disjoint unit -> every count that it is a part of.
COUNTED_IN: Final = {
    "input": ("input_tokens",),
    "cache_read": ("input_tokens", "cache_read_tokens"),
    "cache_write": ("input_tokens", "cache_write_tokens"),
    "cache_write_1h": ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "output": ("output_tokens",),
    "reasoning": ("output_tokens", "output_reasoning_tokens"),
    "audio_in": ("input_tokens", "input_audio_tokens"),
    "audio_out": ("output_tokens", "output_audio_tokens"),
    "audio_cache_read": ("input_tokens", "cache_read_tokens", "input_audio_tokens", "cache_audio_read_tokens"),
    "image_in": ("input_tokens", "input_image_tokens"),
    "image_out": ("output_tokens", "output_image_tokens"),
    "video_in": ("input_tokens", "input_video_tokens"),
    "request": (),
    "web_search": ("web_searches",),
    "file_search": ("storage_searches",),
    "code_session": ("code_executions",),
    "search_unit": ("rerank_searches",),
    "audio_in_second": ("audio_seconds", "input_audio_seconds"),
    "page": ("input_document_pages",),
    "character": ("input_characters",),
}


def answer(call: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """Return the package's answer to one call."""
    from genai_prices import Usage, calc_price

    provider = PROVIDER_OF.get(call["provider"]) or known.get(call["provider"])
    if provider is None:
        return {"error": "unknown provider"}
    counts: dict[str, int] = {}
    for unit, count in call["units"].items():
        if unit not in COUNTED_IN:
            return {"error": f"no notion of {unit}"}
        for key in COUNTED_IN[unit]:
            counts[key] = counts.get(key, 0) + count
    if "cache_read" in call["units"]:
        for kind in ("audio", "image", "video"):
            if f"input_{kind}_tokens" in counts:
                counts.setdefault(f"cache_{kind}_read_tokens", 0)
    try:
        found = calc_price(
            Usage(**counts),
            call["model"],
            provider_id=provider,
            genai_request_timestamp=datetime.fromisoformat(call["at"]),
            price_context=call["facts"] or None,
        )
    except (LookupError, ValueError) as error:
        return {"error": f"{type(error).__name__}: {str(error)[:80]}"}
    return {"usd": str(found.total_price), "as": f"{found.provider.id}/{found.model.id.lower()}"}


def main() -> int:
    """Answer every line of standard input."""
    from genai_prices.data import providers

    known = {provider.id.replace("-", "_"): provider.id for provider in providers}
    for line in sys.stdin:
        call = json.loads(line)
        sys.stdout.write(json.dumps({"n": call["n"], **answer(call, known)}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
