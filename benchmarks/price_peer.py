"""Another price library at the same calls: run by ``bench_pricing.py`` in an environment that has the library.

``python price_peer.py genai-prices|litellm`` writes one JSON object when it is ready (seconds of CPU until the first
price, MiB that it added), and one for each line that it reads: microseconds of CPU per call, by the call's name.
"""

# pyright: basic, reportMissingImports=false
# The objects of the other packages have no types here.
from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

CALLS = 100
RAW = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE / 2**20


def genai_prices() -> dict[str, Callable[[], object]]:
    """Return the calls, by the names of ``bench_pricing.py``."""
    from genai_prices import Usage, calc_price, extract_usage

    two = Usage(input_tokens=1000, output_tokens=500)
    mixed = Usage(input_tokens=1400, cache_read_tokens=400, output_tokens=505, output_reasoning_tokens=5)
    answer = {"model": "gpt-5.4", "usage": RAW}
    return {
        "plain": lambda: calc_price(two, "gpt-4o", provider_id="openai"),
        "cache and reasoning": lambda: calc_price(mixed, "gpt-5.4", provider_id="openai"),
        "unknown model": lambda: missing(lambda: calc_price(two, "gpt-77", provider_id="openai")),
        "raw usage to cost": lambda: extract_usage(answer, provider_id="openai", api_flavor="chat").calc_price(),
    }


def litellm() -> dict[str, Callable[[], object]]:
    """Return the calls, by the names of ``bench_pricing.py``."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm import cost_per_token
    from litellm.types.utils import Usage

    def price(model: str, **counts: object) -> object:
        return cost_per_token(model=model, custom_llm_provider="openai", **counts)

    two = {"prompt_tokens": 1000, "completion_tokens": 500}
    mixed = {"prompt_tokens": 1400, "cache_read_input_tokens": 400, "completion_tokens": 505}
    return {
        "plain": lambda: price("gpt-4o", **two),
        "cache and reasoning": lambda: price("gpt-5.4", **mixed),
        "unknown model": lambda: missing(lambda: price("gpt-77", **two)),
        "raw usage to cost": lambda: price("gpt-5.4", usage_object=Usage(**RAW)),
    }


def missing(call: Callable[[], object]) -> None:
    """Make a call that must find no model."""
    try:
        call()
    except Exception:  # noqa: BLE001  # each library has an error of its own
        return
    raise AssertionError("an unknown model had a price")


def main() -> None:
    """Answer every line until there is none."""
    name, before, start = sys.argv[1], resident(), time.process_time()
    calls = {"genai-prices": genai_prices, "litellm": litellm}[name]()
    next(iter(calls.values()))()
    ready = {"seconds": time.process_time() - start, "mib": resident() - before, "version": version(name)}
    for work in calls.values():
        work()
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        times: dict[str, float] = {}
        for call, work in calls.items():
            start = time.process_time()
            for _ in range(CALLS):
                work()
            times[call] = (time.process_time() - start) / CALLS * 1e6
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
