"""A model is small, medium, large or frontier by its maker's own naming, or by its size where the id states it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "pricebook"))
module: Any = importlib.import_module("classes")
CLASSES = module.Classes(yaml.safe_load((ROOT / "pricebook/classes.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        # makers' families, such as haiku, sonnet, opus; luna, terra, sol, astra; flash-lite, flash, pro
        ("claude-haiku-5-5", "small"),
        ("us.anthropic.claude-sonnet-5-5", "medium"),
        ("claude-opus-5-5", "large"),
        ("anthropic/claude-fable-5-2", "frontier"),
        ("gpt-6-luna", "small"),
        ("gpt-5.6-terra", "medium"),
        ("gpt-6.1-sol", "large"),
        ("gpt-6-astra", "frontier"),
        ("gpt-5.4", "large"),
        ("gpt-5.4-mini", "small"),
        ("gpt-5.4-pro", "frontier"),
        ("gpt-4o", "large"),
        ("ft:gpt-4o-mini-2024-07-18", "small"),
        ("gpt-35-turbo", "small"),
        ("gemini-3.5-flash-lite", "small"),
        ("gemini-live-2.5-flash", "medium"),
        ("gemini-2.5-pro", "large"),
        ("mistral-small-24b-instruct-2501", "small"),
        ("mistral-medium-latest", "medium"),
        ("mistral-large-4", "large"),
        ("command-r7b-12-2024", "small"),
        ("command-r-08-2024", "medium"),
        ("command-r-plus-08-2024", "large"),
        ("amazon.nova-pro-v1:0", "medium"),
        ("deepseek-v4-flash", "small"),
        ("deepseek.v3.2", "large"),
        ("grok-4-fast-reasoning", "small"),
        ("grok-4.20", "large"),
        # by all parameters, where the id states them
        ("accounts/fireworks/models/llama-v3p1-8b-instruct", "small"),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo".lower(), "medium"),
        ("openai/gpt-oss-120b", "large"),
        ("mixtral-8x7b-instruct-v0.1", "medium"),
        ("mixtral-8x22b-instruct", "large"),
        ("qwen3-30b-a3b", "medium"),
        ("mistral-large-4-1t-a52b", "large"),
        ("deepseek-r1-distill-qwen-1p5b", "small"),
        ("llama-4-maverick-17b-128e-instruct", "large"),
        # no text for tokens, or nothing to go by: `mini` within a word is no word
        ("gpt-4o-mini-transcribe", None),
        ("gemini-3.1-flash-image", None),
        ("text-embedding-3-large", None),
        ("llama-guard-3-8b", None),
        ("my-own-model", None),
        ("gemini-exp-1206", None),
    ],
)
def test_the_class_of(name: str, found: str | None) -> None:
    assert CLASSES.of(name) == found


def test_the_book_has_a_class_only_where_tokens_come_out() -> None:
    book = json.loads((ROOT / "otel_tokenomics/pricing/pricebook.json").read_text(encoding="utf-8"))
    classed = [model for model in book["models"] if "class" in model]
    assert len(classed) > len(book["models"]) * 3 // 4
    assert [m["id"] for m in classed if not any("output" in row["rates"] for row in m["rows"])] == []
