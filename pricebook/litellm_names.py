"""What an id of litellm's price map names: our provider keys, our model id and the facts that the id fixes.

The map puts region, image size and commitment into its ids. A region becomes a condition of a row; what no fact of
the book can say is left out with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

#: litellm's provider tag -> our provider keys; a tag that is not listed is our key
_KEYS_OF: Final = {
    "amazon_nova": ("amazon_nova",),
    "azure": ("azure.ai.openai",),
    # One bill, two names: the official clients reach Foundry's models through hosts of both.
    "azure_ai": ("azure.ai.inference", "azure.ai.openai"),
    "azure_text": ("azure.ai.openai",),
    "bedrock": ("aws.bedrock",),
    "bedrock_converse": ("aws.bedrock",),
    "bedrock_mantle": ("aws.bedrock",),
    "bigmodel": ("zhipuai",),
    "cohere_chat": ("cohere",),
    "fireworks_ai": ("fireworks",),
    "fireworks_ai-embedding-models": ("fireworks",),
    "gemini": ("gcp.gemini",),
    "mistral": ("mistral_ai",),
    "moonshot": ("moonshot_ai",),
    "scx-ai": ("scx_ai",),
    "text-completion-inception": ("inception",),
    "text-completion-openai": ("openai",),
    "together_ai": ("together",),
    "transcribe": ("aws_transcribe",),
    "voyage": ("voyageai",),
    "watsonx": ("ibm.watsonx.ai",),
    "xai": ("x_ai",),
}
#: tags whose ids bear another prefix than the tag
_PREFIX_OF: Final = {
    "amazon_nova": "amazon-nova/",
    "azure_text": "azure/",
    "bedrock_converse": "bedrock/",
    "fireworks_ai-embedding-models": "fireworks_ai/",
}
_VERTEX: Final = "vertex_ai"
_AZURE_AREAS: Final = {
    "us": "datazone-us",
    "eu": "datazone-eu",
    "global": "global",
    "global-standard": "global",
}
#: Azure's clouds and areas for which calls bear no fact
_AZURE_UNNAMED: Final = frozenset({"us-gov", "apac"})
_AWS_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")
BY_SIZE: Final = "price by size or quality of the image"
_SIZED: Final = re.compile(r"(?:^|/)(?:[0-9]+|max)-x-(?:[0-9]+|max)(?:/|$)|/(?:50|max)-steps/")
_SIZE_CLASS: Final = re.compile(r"^(?:fireworks-ai|together-ai)-|^fireworks-ai-default$")
#: What is priced per call and is no model's answer.
_NO_MODEL: Final = frozenset({"search", "vector_store", "guardrail", "extraction"})


class Named(NamedTuple):
    """Where an entry of the map belongs; ``left_out`` says why it belongs nowhere."""

    providers: tuple[str, ...] = ()
    id: str = ""
    when: Mapping[str, list[str]] = {}
    left_out: str | None = None


def named(name: str, tag: str, mode: str | None) -> Named:
    """Return what an id of the map names."""
    if mode in _NO_MODEL:
        return Named(left_out=f"mode {mode}: no model's answer")
    model = name.lower()
    if _SIZED.search(model):
        return Named(left_out=BY_SIZE)
    if "commitment/" in model:
        return Named(left_out="committed capacity by the hour")
    if _SIZE_CLASS.search(model):
        return Named(left_out="size class, no model")
    root = _VERTEX if tag.startswith(_VERTEX) else tag
    model = model.removeprefix(_PREFIX_OF.get(tag, f"{root}/"))
    providers = _KEYS_OF.get(tag, ("gcp.vertex_ai",) if root == _VERTEX else (tag,))
    area, _, rest = model.partition("/")
    when: dict[str, list[str]] = {}
    if "azure.ai.openai" in providers and rest:
        if area in _AZURE_UNNAMED:
            return Named(left_out="region that no fact names")
        if area in _AZURE_AREAS:
            when, model = {"deployment_type": [_AZURE_AREAS[area]]}, rest
    if providers == ("aws.bedrock",) and rest:
        if _AWS_REGION.fullmatch(area):
            when, model = {"region": [area]}, rest
        model = model.removeprefix("invoke/")
    return Named(providers, model, when)
