"""Every count of every raw sample replaced in turn: no exception, no more than is believed, nothing in silence."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from usage_samples import CASES, found_in

from otel_tokenomics.usage import MAX_COUNT, Reading
from otel_tokenomics.usage.dialects import read

Path = tuple[str | int, ...]
#: No counts: the rest of what they stand beside is worth nothing.
UNBELIEVABLE = (-1, -0.5, math.nan, math.inf, -math.inf, True, False, "many", "NaN", "-3", "1_000", "١٢", [], {}, [5])
#: What shows the format, or is compared with the counts, and is none itself.
OF_THE_WHOLE = ("created", "custom_id", "total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
#: What another model did: where that cannot be believed, the rest still can.
PARTS = ("iterations", "svg_usage", "image_gen", "usage_breakdown", "modelUsage", "models")
HUGE = (MAX_COUNT + 1, 10**30, float(MAX_COUNT) * 10, str(MAX_COUNT + 1))


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the place of each number, and of each text that is one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif (isinstance(value, (int, float)) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isdigit()
    ):
        yield path


def at(raw: Any, path: Path) -> Any:
    for step in path:
        raw = raw[step]
    return raw


def replaced(raw: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(raw)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def removed(raw: Any, path: Path) -> Any:
    changed = copy.deepcopy(raw)
    del at(changed, path[:-1])[path[-1]]
    return changed


def everything(reading: Reading) -> list[dict[str, int]]:
    """Return all counts that would be charged: the usage's (which holds its shares) and the other charges'."""
    main = dict(reading.usage.counts) if reading.usage is not None else {}
    return [main, *(dict(other.usage.counts) for other in reading.others)]


def size(reading: Reading) -> int:
    return sum(sum(counts.values()) for counts in everything(reading))


def counted(case: dict[str, Any], path: Path, base: Reading) -> bool:
    """Return whether a number is one that is charged for: the units depend on it."""
    if path[-1] in OF_THE_WHOLE:
        return False
    raw, number = case["usage"], at(case["usage"], path)
    others = (removed(raw, path), replaced(raw, path, int(float(number)) + 7))
    return any(everything(read_again(case, other)) != everything(base) for other in others)


def read_again(case: dict[str, Any], raw: Any) -> Reading:
    return read(case["api"], raw, provider=case["provider"])


def places(case: dict[str, Any]) -> list[tuple[Path, bool]]:
    base = read_again(case, case["usage"])
    return [(path, counted(case, path, base)) for path in leaves(case["usage"])]


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_count_leaves_a_lower_bound(case: dict[str, Any]) -> None:
    base = read_again(case, case["usage"])
    for path, charged in places(case):
        for value in UNBELIEVABLE:
            reading = read_again(case, replaced(case["usage"], path, value))
            assert size(reading) <= size(base) or base.reason == "invalid_usage", (path, value)
            if charged:
                assert reading.reason in ("incomplete_usage", "invalid_usage"), (path, value, reading)
                assert (reading.reason == "invalid_usage") == (reading.usage is None), (path, value, reading)


@pytest.mark.parametrize("case", CASES)
def test_a_count_that_cannot_be_makes_the_whole_invalid(case: dict[str, Any]) -> None:
    for path, charged in places(case):
        for value in HUGE:
            reading = read_again(case, replaced(case["usage"], path, value))
            if charged and any(step in PARTS for step in path):
                expected = "invalid_usage" if reading.usage is None else "incomplete_usage"
                assert reading.reason == expected, (path, value, reading)
                assert size(reading) <= size(read_again(case, case["usage"])), (path, value)
            elif charged:
                assert (reading.usage, reading.reason) == (None, "invalid_usage"), (path, value, reading)


@pytest.mark.parametrize("case", CASES)
def test_a_count_may_come_as_text_or_as_a_double(case: dict[str, Any]) -> None:
    for path, charged in places(case):
        number = at(case["usage"], path)
        if not charged or int(float(number)) != float(number):
            continue
        for value in (str(number), float(number), f" {number} ", f"{int(float(number))}.0"):
            reading = read_again(case, replaced(case["usage"], path, value))
            assert found_in(reading) == case["expect"], (path, value)


def test_nearly_every_sample_has_a_count_that_is_charged() -> None:
    # Else the tests above would say nothing.
    cases = [case.values[0] for case in CASES]
    silent = [case["name"] for case in cases if "units" in case["expect"] and not any(told for _, told in places(case))]
    assert len(silent) < 25, json.dumps(silent)
