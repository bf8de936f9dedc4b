"""Where clients that are made of methods send, and what their keyword arguments ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from otel_tokenomics.client_api import Kwargs, Request

_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}


class Address(NamedTuple):
    """Host, port and path of a base URL."""

    host: str | None
    port: int | None
    path: str


def address_of(url: object) -> Address:
    """Return where a base URL points; nothing for what is none."""
    try:
        parts = urlsplit(str(url or ""))
        return Address(parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/"))
    except ValueError:
        return Address(None, None, "")


def parameters_of(kwargs: Kwargs, words: Mapping[str, str]) -> dict[str, object]:
    """Return the plain request parameters under neutral words; sentinels and structures stay out."""
    found: dict[str, object] = {}
    for name, word in words.items():
        value = kwargs.get(name)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            found[word] = (value,) if word == "stop_sequences" else value
        elif word == "stop_sequences" and isinstance(value, (list, tuple)):
            found[word] = tuple(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if found.get("choice_count") == 1:
        del found["choice_count"]
    return found


def limit_of(parameters: Mapping[str, object]) -> int | None:
    """Return the limit of output tokens that a request sets."""
    limit = parameters.get("max_tokens")
    return limit if isinstance(limit, int) else None


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return a value that is a mapping; an empty one where it is anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def model_of(kwargs: Kwargs) -> str | None:
    """Return the model that a request names."""
    model = kwargs.get("model")
    return model if isinstance(model, str) and model else None


def request_to(
    url: object, provider: str, model: str | None, asked: Mapping[str, Any], words: Mapping[str, str], *, stream: bool
) -> Request:
    """Return a request to a base URL; ``asked`` holds its plain parameters, ``words`` the neutral words for them."""
    address, parameters = address_of(url), parameters_of(asked, words)
    return Request(
        model=model,
        provider=provider,
        host=address.host,
        port=address.port,
        path=address.path,
        stream=stream,
        max_output=limit_of(parameters),
        parameters=parameters,
    )
