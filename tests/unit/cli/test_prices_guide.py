"""The guide to prices says what the commands say: its overlays are good, and its outputs are theirs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing.rates import instant

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "prices.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
OVERLAYS = [text for kind, text in BLOCKS if kind == "yaml"]
(CAPACITY,) = [text for text in OVERLAYS if text.startswith("capacity:")]
#: What `book check` shows of it, and what `book capacity` says of a day.
COMES_TO, OF_A_DAY = (text.splitlines() for kind, text in BLOCKS if kind == "text")
(COMMAND,) = [text.split() for kind, text in BLOCKS if kind == "sh" and "book capacity" in text]
AZURE, LLAMA = "azure.ai.openai", "meta-llama/llama-3.3-70b-instruct"
ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"
MEGA = 10**6


@pytest.fixture(autouse=True)
def in_a_folder_with_the_guides_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prices.yaml").write_text(CAPACITY, encoding="utf-8")


@pytest.mark.parametrize("text", OVERLAYS, ids=[text.partition("\n")[0] for text in OVERLAYS])
def test_every_overlay_of_the_guide_is_good(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.yaml").write_text(text, encoding="utf-8")
    assert main(["book", "check", "own.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nothing"] == []


def test_what_check_shows_of_its_capacity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "check", "prices.yaml"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(COMES_TO) == 3
    assert [line for line in shown if line in COMES_TO] == COMES_TO


def span(number: int, provider: str, request: str, response: str | None, used: tuple[int, int], **more: str) -> Any:
    texts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": request, **more}
    if response:
        texts["gen_ai.response.model"] = response
    counts = dict(zip(("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"), used, strict=True))
    start = instant("2026-11-22T10:00:00Z") * 10**6 + number
    return {
        "traceId": "0a" * 16, "spanId": f"{number:016x}", "name": "chat", "kind": 3,
        "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10**9),
        "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]
        + [{"key": key, "value": {"intValue": str(count)}} for key, count in counts.items()],
    }  # fmt: skip


def test_what_the_command_says_of_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    """Azure: 100 x (1,000,000 x $3.266667 + 100,000 x $16.333333 per million) is $490.00 of 24 x $98.

    Bedrock: one hour of 24 was used. vllm: 10 x (1,000,000 x $0.194444 + 200,000 x $2.160494) is $6.2654 of 24 x $8.40.
    """
    calls = [
        *((AZURE, "ptu-gpt5", "gpt-5-2025-08-07", (MEGA, MEGA // 10)) for _ in range(100)),
        *(("aws.bedrock", ARN, None, (100, 10)) for _ in range(2)),
        *(("vllm", LLAMA, LLAMA, (MEGA, MEGA // 5)) for _ in range(10)),
        ("gcp.vertex_ai", "gemini-2.5-flash", "gemini-2.5-flash", (100, 10)),
    ]
    spans = [span(number, *call) for number, call in enumerate(calls, 1)]
    gemini = ("gcp.vertex_ai", "gemini-2.5-flash", "gemini-2.5-flash", (100, 10))
    spans.append(span(len(spans) + 1, *gemini, **{"tokenomics.request.tier": "provisioned"}))
    Path("spans.otlp").write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}), encoding="utf-8")
    assert COMMAND[0] == "otel-tokenomics"
    assert main(COMMAND[1:]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == OF_A_DAY
