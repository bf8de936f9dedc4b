"""Invoices worked out by hand from published prices, against the compiled book: what a customer would be billed.

Rates are those of the providers' price pages, in USD per million tokens, as patches and sources quote them; each line
says which. Amounts are USD, as they would stand on the invoice: never computed by the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

import pytest

from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.pricing.rates import instant
from otel_tokenomics.usage import Usage


class Invoice(NamedTuple):
    """One call and what it costs."""

    provider: str
    model: str
    units: dict[str, int]
    usd: str
    facts: Mapping[str, str] = MappingProxyType({})
    at: str = "2026-11-24T12:00:00Z"


INVOICES = [
    # gpt-5.4: 2.50 in, 0.25 cached, 15 out. 0.8 k x 2.5 + 0.2 k x 0.25 + 0.5 k x 15 = 2 + 0.05 + 7.5 thousandths
    Invoice("openai", "gpt-5.4", {"input": 800, "cache_read": 200, "output": 500}, "0.00955"),
    # above 272,000 tokens the whole request: 5 in, 0.50 cached, 22.50 out. 0.5 + 0.1 + 0.0225
    Invoice("openai", "gpt-5.4", {"input": 100_000, "cache_read": 200_000, "output": 1000}, "0.6225"),
    # 272,000 exactly is the short context: 272 x 0.0025
    Invoice("openai", "gpt-5.4", {"input": 272_000}, "0.68"),
    # flex: 1.25, 0.13, 7.50; long context 2.50, 0.25, 11.25: the worked example, without its geography
    Invoice(
        "openai", "gpt-5.4", {"input": 100_000, "cache_read": 200_000, "output": 1000}, "0.31125",
        {"service_tier": "flex"},
    ),
    # the same in the EU: x 1.1
    Invoice(
        "openai", "gpt-5.4", {"input": 100_000, "cache_read": 200_000, "output": 1000}, "0.342375",
        {"service_tier": "flex", "inference_geo": "eu"},
    ),
    # batch: 1.25 in, 7.50 out
    Invoice("openai", "gpt-5.4", {"input": 2000, "output": 1000}, "0.01", {"processing": "batch"}),
    # ten dollars per thousand searches
    Invoice("openai", "gpt-5.4", {"input": 1000, "output": 100, "web_search": 3}, "0.034"),
    # gpt-5.4-mini: 0.75 in, 4.50 out, 0.075 cached
    Invoice("openai", "gpt-5.4-mini", {"input": 1000, "cache_read": 1000, "output": 200}, "0.001725"),
    # gpt-5.6-sol before and after its cut of 2026-08-21: 5/30, 4/20
    Invoice("openai", "gpt-5.6-sol", {"input": 1000, "output": 1000}, "0.035", {}, "2026-08-20T12:00:00Z"),
    Invoice("openai", "gpt-5.6-sol", {"input": 1000, "output": 1000}, "0.024"),
    # gpt-5.6-luna 0.2/1.2, cache write 1.25 x input
    Invoice("openai", "gpt-5.6-luna", {"input": 10_000, "cache_write": 10_000, "output": 1000}, "0.0057"),
    # gpt-5.6-terra before 2026-07-30: 2.5/15
    Invoice("openai", "gpt-5.6-terra", {"input": 1000, "output": 1000}, "0.0175", {}, "2026-07-29T12:00:00Z"),
    # gpt-6-astra ultrafast: 60 in, 300 out
    Invoice("openai", "gpt-6-astra", {"input": 1000, "output": 100}, "0.09", {"service_tier": "ultrafast"}),
    # a fine-tuned gpt-4.1 is 3/12, not the base model's 2/8
    Invoice("openai", "ft:gpt-4.1-2025-04-14:acme::9xQ", {"input": 1000, "output": 1000}, "0.015"),
    Invoice("openai", "gpt-4.1-2025-04-14", {"input": 1000, "output": 1000}, "0.01"),
    # text-embedding-3-small: 0.02
    Invoice("openai", "text-embedding-3-small", {"input": 50_000}, "0.001"),
    # claude-sonnet-5-5: 2 in, 0.1 cache read, 2.5 write, 4 for an hour, 10 out
    Invoice(
        "anthropic", "claude-sonnet-5-5",
        {"input": 1000, "cache_read": 10_000, "cache_write": 2000, "cache_write_1h": 1000, "output": 500}, "0.017",
    ),
    # batch is half of input and output
    Invoice("anthropic", "claude-sonnet-5-5", {"input": 1000, "output": 1000}, "0.006", {"processing": "batch"}),
    # claude-opus-5-5 4/20; US-only inference x 1.1; fast mode 8/40
    Invoice("anthropic", "claude-opus-5-5", {"input": 1000, "output": 1000}, "0.0264", {"inference_geo": "us"}),
    Invoice("anthropic", "claude-opus-5-5", {"input": 1000, "output": 1000}, "0.048", {"speed": "fast"}),
    # Bedrock: claude-sonnet-4-5 in region 3.3/16.5, global 3/15
    Invoice("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"input": 1000, "output": 1000}, "0.0198"),
    Invoice("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", {"input": 1000, "output": 1000}, "0.0198"),
    Invoice("aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", {"input": 1000, "output": 0}, "0.003"),
    # amazon.nova-pro 0.8/3.2
    Invoice("aws.bedrock", "amazon.nova-pro-v1:0", {"input": 1000, "output": 1000}, "0.004"),
    # Azure: gpt-4o 2.5/10, in a US data zone x 1.1
    Invoice("azure.ai.openai", "gpt-4o-2024-08-06", {"input": 1000, "output": 1000}, "0.0125"),
    Invoice(
        "azure.ai.openai", "gpt-4o-2024-08-06", {"input": 1000, "output": 1000}, "0.01375",
        {"deployment_type": "datazone-us"},
    ),
    # Mistral: large-latest 0.5/1.5 now, 2/6 before 2025-12-02; medium 1.5/7.5; small 0.15/0.6
    Invoice("mistral_ai", "mistral-large-latest", {"input": 1000, "output": 1000}, "0.002"),
    Invoice("mistral_ai", "mistral-large-latest", {"input": 1000, "output": 1000}, "0.008", {}, "2025-11-30T00:00:00Z"),
    Invoice("mistral_ai", "mistral-medium-latest", {"input": 1000, "output": 1000}, "0.009"),
    Invoice("mistral_ai", "mistral-small-latest", {"input": 1000, "output": 1000}, "0.00075"),
    # DeepSeek v4-pro: 0.66/1.98 off-peak, 1.32/3.96 at the peak, cache 0.022 and 0.044
    Invoice("deepseek", "deepseek-v4-pro", {"input": 1000, "cache_read": 1000, "output": 1000}, "0.002662"),
    Invoice(
        "deepseek", "deepseek-v4-pro", {"input": 1000, "cache_read": 1000, "output": 1000}, "0.005324", {},
        "2026-11-24T03:59:59.999Z",
    ),
    # Sonnet 4.5 as answers name it, above 200,000 tokens: 6/22.50; one-hour writes in a batch of Opus 4.5: half of 10
    Invoice("anthropic", "claude-sonnet-4-5-20250929", {"input": 250_000, "output": 1000}, "1.5225"),
    Invoice("anthropic", "claude-opus-4-5-20251101", {"cache_write_1h": 2000}, "0.01", {"processing": "batch"}),
    # the same peak hour on the last day of the National Day holiday (a Wednesday), and on the Thursday after it
    Invoice("deepseek", "deepseek-v4-pro", {"input": 1000, "output": 1000}, "0.00264", {}, "2026-10-07T02:00:00Z"),
    Invoice("deepseek", "deepseek-v4-pro", {"input": 1000, "output": 1000}, "0.00528", {}, "2026-10-08T02:00:00Z"),
    # Flash at its first tariff, 0.22/0.66 and twice that in peak hours, weekends too until 2026-08-23 in Beijing
    Invoice("deepseek", "deepseek-v4-flash", {"input": 1000, "output": 1000}, "0.00088", {}, "2026-08-18T12:00:00Z"),
    Invoice("deepseek", "deepseek-v4-flash", {"input": 1000, "output": 1000}, "0.00176", {}, "2026-08-22T07:00:00Z"),
    Invoice("deepseek", "deepseek-v4-flash", {"input": 1000, "output": 1000}, "0.00088", {}, "2026-08-29T07:00:00Z"),
    Invoice("deepseek", "deepseek-v4-flash", {"input": 1000, "output": 1000}, "0.00176", {}, "2026-09-08T07:00:00Z"),
    # grok-4.20 1.25/2.5, double from 200,000 tokens on
    Invoice("x_ai", "grok-4.20", {"input": 199_999, "output": 1000}, "0.25249875"),
    Invoice("x_ai", "grok-4.20", {"input": 200_000, "output": 1000}, "0.505"),
    # Together's Llama 3.3 70B Turbo: 1.04 both ways
    Invoice("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", {"input": 1000, "output": 1000}, "0.00208"),
    # Perplexity sonar: 1/1 and 5, 8 or 12 dollars per thousand requests
    Invoice("perplexity", "sonar", {"input": 1000, "output": 500, "request": 1}, "0.0065"),
    Invoice(
        "perplexity", "sonar", {"input": 1000, "output": 500, "request": 1}, "0.0135", {"search_context_size": "high"}
    ),
    # Cohere rerank: two dollars per thousand searches
    Invoice("cohere", "rerank-v3.5", {"search_unit": 5}, "0.01"),
    # Transcription: Whisper 0.006 a minute, a minute and a half; Deepgram's Nova-3 0.0043 a minute, ten minutes (a
    # second is 0.0043 / 60, rounded to a pico-dollar: 600 x 0.000071666667)
    Invoice("openai", "whisper-1", {"audio_in_second": 90}, "0.009"),
    Invoice("deepgram", "nova-3", {"audio_in_second": 600}, "0.0430000002"),
    # gpt-4o-transcribe by tokens: audio 6, text out 10. 1000 x 6 + 200 x 10 millionths
    Invoice("openai", "gpt-4o-transcribe", {"audio_in": 1000, "output": 200}, "0.008"),
    # Speech: tts-1 15 dollars and tts-1-hd 30 per million characters; gpt-4o-mini-tts 0.60 text in, 12 audio out
    Invoice("openai", "tts-1", {"character": 1200}, "0.018"),
    Invoice("openai", "tts-1-hd", {"character": 1200}, "0.036"),
    Invoice("openai", "gpt-4o-mini-tts", {"input": 100, "audio_out": 1000}, "0.01206"),
    # Images by token: gpt-image-1 5 text, 10 image in, 40 image out; 1056 tokens are a square of medium quality
    Invoice("openai", "gpt-image-1", {"input": 1000, "image_in": 1000, "image_out": 1056}, "0.05724"),
    # gemini-2.5-flash-image: 30 per million, 1290 tokens an image; with 0.30 per million of the prompt
    Invoice("gcp.gemini", "gemini-2.5-flash-image", {"input": 1000, "image_out": 1290}, "0.039"),
    # Images by piece: Imagen 4 at 0.04, grok-imagine-image at 0.02
    Invoice("gcp.gemini", "imagen-4.0-generate-001", {"image": 3}, "0.12"),
    Invoice("x_ai", "grok-imagine-image", {"image": 4}, "0.08"),
    # Video: sora-2 0.10 a second, eight seconds; Veo 2 0.50
    Invoice("openai", "sora-2", {"video_out_second": 8}, "0.8"),
    Invoice("gcp.vertex_ai", "veo-2.0-generate-001", {"video_out_second": 8}, "4"),
    # OCR: one dollar per thousand pages with mistral-ocr-2505
    Invoice("mistral_ai", "mistral-ocr-2505", {"page": 12}, "0.012"),
    # Embeddings: embed-v4.0 0.12, Titan v2 0.02
    Invoice("cohere", "embed-v4.0", {"input": 10_000}, "0.0012"),
    Invoice("aws.bedrock", "amazon.titan-embed-text-v2:0", {"input": 10_000}, "0.0002"),
    # Audio tokens: gpt-4o-audio-preview text 2.5/10, audio 40/80; Gemini 2.5 Flash text 0.30, audio 1.00, out 2.50
    Invoice("openai", "gpt-4o-audio-preview", {"input": 1000, "audio_in": 1000, "audio_out": 500}, "0.0825"),
    Invoice("gcp.gemini", "gemini-2.5-flash", {"input": 1000, "audio_in": 1000, "reasoning": 1000}, "0.0038"),
    # Gemini 2.5 Pro: 1.25/10, above 200,000 tokens 2.50/15
    Invoice("gcp.gemini", "gemini-2.5-pro", {"input": 200_000, "output": 1000}, "0.26"),
    Invoice("gcp.gemini", "gemini-2.5-pro", {"input": 200_001, "output": 1000}, "0.5150025"),
    # priority: gpt-4.1 3.50/14
    Invoice("openai", "gpt-4.1", {"input": 1000, "output": 1000}, "0.0175", {"service_tier": "priority"}),
    # tools: file search 2.50 per thousand, a container 0.03; Anthropic's web fetch is free, a search 0.01
    Invoice("openai", "gpt-5.4", {"input": 1000, "file_search": 2, "code_session": 1}, "0.0375"),
    Invoice("openai", "ft:gpt-4.1-2025-04-14:acme::9xQ", {"input": 1000, "file_search": 2}, "0.008"),
    Invoice("anthropic", "claude-haiku-4-5-20251001", {"input": 1000, "web_search": 1, "web_fetch": 3}, "0.011"),
    # realtime by the minute: gpt-realtime-translate 0.034, two minutes (a second is 0.034 / 60 to the pico-dollar)
    Invoice("openai", "gpt-realtime-translate", {"audio_in_second": 120}, "0.06800000004"),
    # an introductory price that ends: gemini-3.8-flash 0.75/3.75 through 2026, then 1.50/7.50
    Invoice("gcp.gemini", "gemini-3.8-flash", {"input": 1000, "output": 1000}, "0.0045"),
    Invoice("gcp.gemini", "gemini-3.8-flash", {"input": 1000, "output": 1000}, "0.009", {}, "2027-01-01T00:00:00Z"),
    # renamed and retired: grok-code-fast-1 is served as grok-build-0.1 since 2026-05-15, 0.2/1.5 before, 1/2 after
    Invoice("x_ai", "grok-code-fast-1", {"input": 1000, "output": 1000}, "0.0017", {}, "2026-05-14T12:00:00Z"),
    Invoice("x_ai", "grok-code-fast-1", {"input": 1000, "output": 1000}, "0.003"),
    # retired snapshots by their full names: Claude 3 Opus 15/75 and 1.50 cached, Claude 3.7 Sonnet 3/15, Gemini 1.5 Pro
    # 1.25/5 since October 2024, grok-beta 5/15
    Invoice("anthropic", "claude-3-opus-20240229", {"input": 1000, "cache_read": 1000, "output": 1000}, "0.0915"),
    Invoice("anthropic", "claude-3-7-sonnet-20250219", {"input": 1000, "output": 1000}, "0.018"),
    Invoice("gcp.gemini", "gemini-1.5-pro-002", {"input": 1000, "output": 1000}, "0.00625"),
    Invoice("x_ai", "grok-beta", {"input": 1000, "output": 1000}, "0.02"),
    # deepseek-chat until it was withdrawn: 0.28/0.42
    Invoice("deepseek", "deepseek-chat", {"input": 1000, "output": 1000}, "0.0007", {}, "2026-07-01T12:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize("invoice", INVOICES, ids=lambda invoice: f"{invoice.model}-{invoice.usd}")
def test_the_invoice(invoice: Invoice) -> None:
    cost = price(
        load_embedded(), invoice.provider, invoice.model, Usage(invoice.units), invoice.facts, instant(invoice.at)
    )
    assert cost.total is not None
    assert Decimal(cost.total) / 10**12 == Decimal(invoice.usd)
    assert cost.status == "priced"
