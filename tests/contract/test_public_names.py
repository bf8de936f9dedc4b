"""The public surface is what it says it is."""

from __future__ import annotations

import subprocess
import sys

import otel_tokenomics as tk


def test_names_are_sorted_and_exist() -> None:
    assert tk.__all__ == sorted(tk.__all__)
    assert all(hasattr(tk, name) for name in tk.__all__)


def test_errors_are_one_tree() -> None:
    assert all(issubclass(getattr(tk, name), tk.TokenomicsError) for name in tk.__all__ if name.endswith("Error"))


def test_importing_loads_no_client_no_tokenizer_and_no_exporter() -> None:
    heavy = (
        "openai",
        "anthropic",
        "tiktoken",
        "rich",
        "requests",
        "grpc",
        "opentelemetry.exporter.otlp",
        "http.server",
    )
    script = (
        "import sys, otel_tokenomics as tk; tk.instrument()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
