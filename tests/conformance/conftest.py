"""Fixtures of this folder: real clients against the local provider, and what was settled."""

from __future__ import annotations

from client_watch import (
    no_spans_of_the_clients_own,
    provider,
    watch,
    watching,
)

__all__ = ["no_spans_of_the_clients_own", "provider", "watch", "watching"]
