"""A WSGI application for ``gunicorn --preload``: instrumented once, before gunicorn forks its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import openai

import otel_tokenomics as tk

tk.instrument()
client = openai.OpenAI()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one question."""
    question = environ["wsgi.input"].read().decode()
    with tk.tags(team=environ.get("HTTP_X_TEAM"), customer=environ.get("HTTP_X_CUSTOMER"), feature="answer"):
        reply = client.responses.create(model="gpt-5.4-mini", input=question)
    start_response("200 OK", [("content-type", "text/plain")])
    return [reply.output_text.encode()]
