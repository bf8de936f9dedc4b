"""The last good copy of a fetched book on disk, shared by the processes of one user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.files import content_of

_STATE: Final = "state.json"


class Copy(NamedTuple):
    """A copy with what is needed to check it again and to ask for a newer one; ``path`` is its file."""

    content: bytes
    sha256: str
    etag: str | None
    signature: str | None
    path: str


def cache_folder() -> Path | None:
    """Return the folder for what can be fetched anew, by the platform's convention; None where there is none."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return Path(local) if local else Path.home() / "AppData" / "Local"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        named = os.environ.get("XDG_CACHE_HOME", "")
        # By the convention, a relative path says nothing.
        return Path(named) if named.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None


class LastGood:
    """The copy of one address under one set of pins: services with other pins must not take each other's place.

    A copy is named by its digest and the state names the copy, each written at once. Nothing here raises: without a
    folder that can be written to, there is no copy.
    """

    def __init__(self, settings: Settings) -> None:
        root = cache_folder()
        identity = (
            settings.pricebook_url, settings.pricebook_sha256, settings.pricebook_version,
            settings.pricebook_public_key,
        )  # fmt: skip
        name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        self.folder: Path | None = root / "otel-tokenomics" / "pricebook" / name if root is not None else None

    def read(self) -> Copy | None:
        """Return the copy; None where there is none, or its bytes are not those that were kept."""
        state = self._state()
        digest = state.get("sha256")
        if self.folder is None or not isinstance(digest, str) or not digest.isalnum():
            return None
        path = self.folder / f"{digest}.json"
        try:
            content = content_of(str(path))
        except PriceBookError:
            return None
        if hashlib.sha256(content).hexdigest() != digest:
            return None
        etag, signature = (state.get(key) if isinstance(state.get(key), str) else None for key in ("etag", "signature"))
        return Copy(content, digest, etag, signature, str(path))

    def checked_at(self) -> float:
        """Return when any process last asked, in seconds since 1970; 0 where none did."""
        at = self._state().get("checked_at")
        return float(at) if isinstance(at, (int, float)) else 0.0

    def keep(self, content: bytes, etag: str | None, signature: str | None, now: float) -> str | None:
        """Put content in the place of the copy; return its file, None where it cannot be written."""
        digest = hashlib.sha256(content).hexdigest()
        state = {"sha256": digest, "etag": etag, "signature": signature, "checked_at": now}
        if (
            self.folder is None
            or not self._write(f"{digest}.json", content)
            or not self._write(_STATE, _encoded(state))
        ):
            return None
        for old in self.folder.glob("*.json"):
            if old.name not in (_STATE, f"{digest}.json"):
                with contextlib.suppress(OSError):
                    old.unlink()
        return str(self.folder / f"{digest}.json")

    def note_check(self, now: float) -> None:
        """Note that the address was asked, whatever came of it."""
        self._write(_STATE, _encoded({**self._state(), "checked_at": now}))

    def _state(self) -> dict[str, Any]:
        if self.folder is None:
            return {}
        try:
            state: Any = json.loads((self.folder / _STATE).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", state) if isinstance(state, dict) else {}

    def _write(self, name: str, content: bytes) -> bool:
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return False
        return _write_at_once(self.folder / name, content)


def _write_at_once(path: Path, content: bytes) -> bool:
    """Write a file so that a reader sees the old content or the new one; return whether it was written."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError:
        return False
    return True


def _encoded(state: dict[str, Any]) -> bytes:
    return json.dumps(state).encode()
