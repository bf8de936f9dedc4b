"""Who bills, by the address that was called: the setting ``endpoints`` and the book's host table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from otel_tokenomics.pricing.names import ascii_lower

_MAX_PORT: Final = 65535


class _Rule(NamedTuple):
    host: str
    port: int | None
    segments: tuple[str, ...]
    value: str


class EndpointTable:
    """Rules of the form ``host[:port][/path]=provider`` (or without ``=provider``).

    The longest prefix wins; ``*`` stands for one segment of the path. Immutable.
    """

    __slots__: Final = ("_rules",)

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._rules = tuple(sorted(rules, key=lambda rule: (-len(rule.segments), rule.port is None)))

    @classmethod
    def parse(cls, entries: Sequence[str]) -> EndpointTable:
        """Return the table of the entries; raise ValueError naming the entry that is no rule."""
        return cls(_parse(entry) for entry in entries)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def lookup(self, host: str | None, port: int | None = None, path: str = "") -> str | None:
        """Return the provider of the longest rule that is a prefix of the address, or None.

        A rule without a provider (setting ``billed_elsewhere``) answers with an empty text.
        """
        if host is None:
            return None
        name, segments = ascii_lower(host.strip("[]")), tuple(segment for segment in path.split("/") if segment)
        for rule in self._rules:
            if rule.host != name or (rule.port is not None and rule.port != port) or len(rule.segments) > len(segments):
                continue
            if all(ours in ("*", theirs) for ours, theirs in zip(rule.segments, segments, strict=False)):
                return rule.value
        return None


def _parse(entry: str) -> _Rule:
    address, _, value = entry.partition("=")
    address = address.strip().removeprefix("https://").removeprefix("http://")
    place, _, path = address.partition("/")
    host, _, port = place.rpartition(":") if ":" in place and not place.endswith("]") else (place, "", "")
    host = ascii_lower(host.strip("[]"))
    numeric = port.isascii() and port.isdigit() and len(port) <= len("65535") and int(port) <= _MAX_PORT
    if not host or (port and not numeric):
        raise ValueError(f"endpoint {entry[:80]!r} is not of the form host[:port][/path]=provider")
    segments = tuple(segment for segment in path.split("/") if segment)
    return _Rule(host, int(port) if port else None, segments, ascii_lower(value.strip()))


class HostTable:
    """The hosts of a book's providers: exact names, and suffixes that begin with ``*``."""

    __slots__: Final = ("_exact", "_suffixes")

    def __init__(self, hosts: Mapping[str, Sequence[str]]) -> None:
        pairs = [(host, provider) for provider, names in hosts.items() for host in names]
        self._exact = {host: provider for host, provider in pairs if not host.startswith("*")}
        suffixes = [(host[1:], provider) for host, provider in pairs if host.startswith("*")]
        self._suffixes = tuple(sorted(suffixes, key=lambda pair: -len(pair[0])))

    def provider(self, host: str) -> str | None:
        """Return the provider that lists the host, or None."""
        name = ascii_lower(host).rstrip(".")
        found = self._exact.get(name)
        if found is None:
            found = next((provider for suffix, provider in self._suffixes if name.endswith(suffix)), None)
        return found
