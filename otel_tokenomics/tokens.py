"""Token estimates where a provider reported nothing: tiktoken where it can run offline, else characters / 4.

tiktoken downloads a missing encoding without a timeout, so it is used only where the file that it would download
stands in ``TIKTOKEN_CACHE_DIR`` already. Loading one takes a third of a second and tens of megabytes: that is done
in a thread, and the coarse rule serves until it is ready. Whoever uses an estimate flags it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Final

#: encoding -> name of its file in tiktoken's cache (the sha1 of its address)
_FILES: Final = {
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
}
_O200K: Final = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4", "chatgpt-4o")
_CL100K: Final = ("gpt-4", "gpt-3.5", "text-embedding-")
_CHARACTERS_PER_TOKEN: Final = 4

_loaded: dict[str, Any] = {}
_lock = threading.Lock()
_loader: threading.Thread | None = None


def estimate_tokens(model: str | None, text: str) -> int:
    """Return about how many tokens a text has: by the model's encoding where it is loaded, else characters / 4."""
    name = _encoding_of(model or "")
    encoding = _loaded.get(name) if name is not None else None
    if encoding is None:
        return -(-len(text) // _CHARACTERS_PER_TOKEN)
    return len(encoding.encode(text, disallowed_special=()))


def load_in_background() -> threading.Thread | None:
    """Load what can be loaded offline, once per process; return the thread that does it, None where nothing can be."""
    global _loader
    names = [name for name in _FILES if _is_on_disk(name) and name not in _loaded]
    with _lock:
        if names and (_loader is None or not _loader.is_alive()):
            _loader = threading.Thread(target=_load, args=(names,), name="otel-tokenomics-encodings", daemon=True)
            _loader.start()
        return _loader


def _load(names: list[str]) -> None:
    try:
        import tiktoken

        for name in names:
            _loaded[name] = tiktoken.get_encoding(name)
    except Exception:  # noqa: BLE001  # a damaged file, or no tiktoken: the coarse rule serves
        return


def _is_on_disk(name: str) -> bool:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    return bool(folder) and (Path(str(folder)) / _FILES[name]).is_file()


def _encoding_of(model: str) -> str | None:
    """Return the encoding of a model that is known to use it: no guesses for later families or other makers."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    if name.startswith(_O200K):
        return "o200k_base"
    return "cl100k_base" if name.startswith(_CL100K) else None
