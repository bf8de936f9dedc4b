"""Interactions of google-genai's first major, which sends them through a client made by Stainless of its own."""

from __future__ import annotations

from typing import Any, Final

from otel_tokenomics.client_api import Args, Kwargs, Operation
from otel_tokenomics.clients import _stainless as base

INTERACTION: Final = Operation("chat", "interactions")
_PACKAGE: Final = "google.genai._interactions"
TARGETS: Final = base.targets(_PACKAGE)
_PLACE: Final = "/interactions"


def options_of(args: Args, kwargs: Kwargs) -> Any:
    """Return the options of a request through that client; None where another method of the library is called."""
    options = args[1] if len(args) > 1 else kwargs.get("options")
    return options if hasattr(options, "json_data") else None


def route(options: Any) -> Operation | None:
    """Return the operation of a request; the path begins with the API's version, or a project's on Vertex AI."""
    method, (_, found, rest) = options.method.lower(), base.path_of(options.url).partition(_PLACE)
    if not found:
        return None
    identity = rest.removeprefix("/")
    if method == "get" and identity and "/" not in identity:
        return Operation("fetch_response", "interactions", response_id=identity)
    return INTERACTION if method == "post" and not identity else None


def payload(args: Args, kwargs: Kwargs) -> object:
    """Return what one request is known by."""
    return None if options_of(args, kwargs) is None else base.payload(args, kwargs)


def http_response(result: object) -> Any | None:
    """Return the HTTP response under a stream or a raw response of that client."""
    ours = type(result).__module__.startswith(_PACKAGE) or "extensions" in getattr(result, "__dict__", ())
    return base.http_response(result) if ours else None
