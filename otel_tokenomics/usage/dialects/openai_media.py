"""OpenAI's formats of images, speech and transcription, which many hosts speak.

Source: the API reference of OpenAI (objects ``ImagesResponse``, ``Transcription``; event ``speech.audio.done``).
"""

from __future__ import annotations

from typing import Final

from otel_tokenomics.usage import OtherCharge, Reading, Usage
from otel_tokenomics.usage.dialects.counts import believed, count, field, whole_seconds, word, worst
from otel_tokenomics.usage.dialects.inclusive import disjoint, modalities_of, reading_of
from otel_tokenomics.usage.dialects.stated import stated_cost

_GROQ_AT_LEAST: Final = 10


def read_images(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a GPT image model's usage: text and image input, image output.

    Output tokens are image tokens unless ``output_tokens_details`` says otherwise. The image tool of the responses API
    says what of its input was cached, by kind: cached pictures are plain cache reads.
    """
    details, out_details = field(raw, "input_tokens_details"), field(raw, "output_tokens_details")
    output, cached = count(raw, "output_tokens"), count(details, "cached_tokens")
    modalities = modalities_of(details, out_details)
    if out_details is None and output is not None and output > 0:
        modalities["image_out"] = output
    if cached is None:
        cached = count(raw, "cached_tokens")
    pictures = count(field(raw, "cached_tokens_details"), "cached_image_tokens")
    if believed(pictures) and modalities.get("image_in", 0) > 0:
        modalities["image_in"] = max(modalities["image_in"] - believed(pictures), 0)
    elif pictures is not None and pictures < 0:
        modalities["image_in"] = pictures
    reading = disjoint(
        (count(raw, "input_tokens"), cached, None, None),
        modalities,
        (output, None, count(raw, "total_tokens")),
    )
    return reading._replace(stated_cost=stated_cost(raw, provider))


def read_svg(raw: object) -> Reading:
    """Return the reading of what writing a drawing used, which is done by a model of its own."""
    made = disjoint(
        (count(raw, "input_tokens"), None, None, None),
        {},
        (count(raw, "output_tokens"), count(raw, "reasoning_tokens"), count(raw, "total_tokens")),
    )
    return made._replace(response_model=word(raw, "model"))


def with_other(reading: Reading, other: Reading) -> Reading:
    """Return a reading with another model's charge; where that cannot be believed, the rest is a lower bound."""
    if reading.usage is None:
        return reading
    reason = reading.reason or ("incomplete_usage" if other.reason is not None else None)
    if other.usage is None or not any(other.usage.counts.values()):
        return reading._replace(reason=reason)
    charge = OtherCharge(other.response_model or "", other.usage)
    return reading._replace(others=(*reading.others, charge), reason=reason)


def read_transcription(raw: object, provider: str | None = None) -> Reading:
    """Return the reading of a transcription usage: of type ``tokens``, or of type ``duration`` in seconds.

    A fraction of a second is billed as a whole one. Mistral bills the seconds alone, and counts tokens beside them
    (API reference, ``UsageInfo``). Groq bills ten seconds at least (its page "Speech to Text").
    """
    name = "seconds" if count(raw, "prompt_audio_seconds") is None else "prompt_audio_seconds"
    if word(raw, "type") == "duration" or field(raw, name) is not None:
        seconds = whole_seconds(raw, name)
        if provider == "groq" and seconds is not None and seconds >= 0:
            seconds = max(seconds, _GROQ_AT_LEAST)
        counts = {"audio_in_second": seconds} if seconds is not None and seconds >= 0 else {}
        return reading_of(counts, worst(seconds))
    details = field(raw, "input_token_details")
    if details is None:
        details = field(raw, "input_tokens_details")
    return disjoint(
        (count(raw, "input_tokens"), None, None, None),
        modalities_of(details, None),
        (count(raw, "output_tokens"), None, count(raw, "total_tokens")),
    )


def read_speech(raw: object, _provider: str | None = None) -> Reading:
    """Return the reading of a speech usage, which a stream's last event alone reports: what it made is sound."""
    made = count(raw, "output_tokens")
    return disjoint(
        (count(raw, "input_tokens"), None, None, None),
        {"audio_out": made} if made else {},
        (made, None, count(raw, "total_tokens")),
    )


def read_video(job: object) -> Reading:
    """Return the reading of a video job: billed by the second once it is made (API reference, the video job)."""
    status, seconds = word(job, "status"), whole_seconds(job, "seconds")
    reading = Reading(response_model=word(job, "model"), response_id=word(job, "id"), response_status=status)
    if status in ("queued", "in_progress"):
        return reading._replace(reason="pending")
    if status != "completed" or seconds is None:
        return reading
    if seconds < 0:
        return reading._replace(reason="invalid_usage")
    return reading._replace(usage=Usage({"video_out_second": seconds}))
