"""Settings: one frozen object, one declared table, one precedence (code > environment > file > default).

Nothing but settings may enter this room; it reads the environment and one JSON file, when it is
asked to, and imports ``errors`` and the standard library.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from otel_tokenomics.config.settings_table import OPTIONS, Option, SettingsFields
from otel_tokenomics.errors import ConfigError

__all__ = ["ENVIRONMENT_PREFIX", "Settings"]

ENVIRONMENT_PREFIX: Final = "OTEL_TOKENOMICS_"

_logger = logging.getLogger("otel_tokenomics")
_OPTION: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


class Settings(SettingsFields):
    """Every setting, resolved and checked; the fields stand in ``settings_table``."""

    __slots__ = ()

    @classmethod
    def resolve(cls, environment: Mapping[str, str] | None = None, **code: object) -> Settings:
        """Return the settings from code, environment and file.

        Args:
            environment: the environment to read; the process's own by default.
            **code: settings by name; None means "not given".

        Raises:
            ConfigError: a setting given in code is unknown or has a value it cannot take.
                The same fault in the environment or the file is one WARNING and the default stays.
        """
        environment = os.environ if environment is None else environment
        given = {name: value for name, value in code.items() if value is not None}
        values = {name: _parse(name, value, "instrument()") for name, value in given.items()}
        from_environment = _lenient(_environment_entries(environment), "environment")
        file = values.get("config_file") or from_environment.get("config_file")
        from_file = _lenient(_file_entries(str(file)), str(file)) if file else {}
        if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            values["enabled"] = False
        return cls(**{**from_file, **from_environment, **values})  # pyright: ignore[reportArgumentType]


def _environment_entries(environment: Mapping[str, str]) -> Iterable[tuple[str, object]]:
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and value.strip():
            yield name[len(ENVIRONMENT_PREFIX) :].lower(), value


def _file_entries(path: str) -> Iterable[tuple[str, object]]:
    try:
        content = cast("object", json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        _logger.warning("otel_tokenomics: config_file %s cannot be read (%s); its settings are ignored", path, error)
        return ()
    if not isinstance(content, dict):
        _logger.warning("otel_tokenomics: config_file %s holds no JSON object; it is ignored", path)
        return ()
    return cast("dict[str, object]", content).items()


def _lenient(entries: Iterable[tuple[str, object]], origin: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in entries:
        try:
            values[name] = _parse(name, value, origin)
        except ConfigError as error:
            _logger.warning("otel_tokenomics: %s; the default is kept", error)
    return values


def _parse(name: str, value: object, origin: str) -> object:
    option = _OPTION.get(name)
    if option is None:
        shown = f"{ENVIRONMENT_PREFIX}{name.upper()}" if origin == "environment" else repr(name)
        raise ConfigError(f"{origin}: unknown setting {shown}; settings are {', '.join(sorted(_OPTION))}")
    try:
        return _PARSERS[option.kind](value, option)
    except ValueError as error:
        shown = "***" if option.kind == "secret" else repr(value)
        raise ConfigError(f"{origin}: setting {name!r} has value {shown}: {error}") from None


def _bool(value: object, _option: Option) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("expected true or false")


def _text(value: object, _option: Option) -> str:
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(cast("str | os.PathLike[str]", value))
    raise ValueError("expected text")


def _choice(value: object, option: Option) -> str:
    word = str(value).strip()
    if word not in option.values:
        raise ValueError(f"expected one of {', '.join(option.values)}")
    return word


def _list(value: object, option: Option) -> tuple[str, ...]:
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",")]
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        items = [str(item).strip() for item in cast("Iterable[object]", value)]
    else:
        raise ValueError("expected a list, or text with commas")
    words = tuple(item for item in items if item)
    unknown = [word for word in words if option.values and word not in option.values]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(option.values)}")
    return () if words == ("none",) else words


def _map(value: object, _option: Option) -> Mapping[str, str]:
    if isinstance(value, str):
        pairs = [item.partition("=") for item in value.split(",") if item.strip()]
        if any(not equals for _, equals, _ in pairs):
            raise ValueError("expected key=value pairs with commas between them")
        return MappingProxyType({key.strip(): text.strip() for key, _, text in pairs})
    if isinstance(value, Mapping):
        return MappingProxyType({str(key): str(text) for key, text in cast("Mapping[object, object]", value).items()})
    raise ValueError("expected a mapping, or key=value pairs with commas between them")


_PARSERS: Final[Mapping[str, Callable[[object, Option], object]]] = {
    "bool": _bool,
    "text": _text,
    "secret": _text,
    "choice": _choice,
    "list": _list,
    "map": _map,
}
