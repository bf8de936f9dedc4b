"""Precedence and strictness of the settings."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from otel_tokenomics.config import Settings
from otel_tokenomics.errors import ConfigError


def test_code_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"semconv": "latest", "estimate": True, "stream_usage": "never"}))
    environment = {
        "OTEL_TOKENOMICS_CONFIG_FILE": str(file),
        "OTEL_TOKENOMICS_STREAM_USAGE": "always",
        "OTEL_TOKENOMICS_ESTIMATE": "0",
    }
    settings = Settings.resolve(environment=environment, estimate=True)
    assert (settings.semconv, settings.stream_usage, settings.estimate, settings.price) == (
        "latest",
        "always",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("price", "OFF", False),
        ("dialects", "none", ()),
        ("dialects", "scalar, mlflow", ("scalar", "mlflow")),
        ("tags", "team=search, product=shop", {"team": "search", "product": "shop"}),
        (
            "endpoints",
            "gw.example/*/openai=openai,127.0.0.1:8080=vllm",
            ("gw.example/*/openai=openai", "127.0.0.1:8080=vllm"),
        ),
        ("libraries", "*,-anthropic", ("*", "-anthropic")),
    ],
)
def test_the_environment_is_read_by_kind(name: str, value: str, expected: object) -> None:
    settings = Settings.resolve(environment={f"OTEL_TOKENOMICS_{name.upper()}": value})
    assert getattr(settings, name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("price", "perhaps"), ("semconv", "1.40"), ("dialects", "scalar,langsmith"), ("tags", "team"), ("prise", "true")],
)
def test_a_fault_is_an_error_in_code_and_one_warning_elsewhere(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=name):
        Settings.resolve(environment={}, **{name: value})
    with caplog.at_level(logging.WARNING, "otel_tokenomics"):
        assert Settings.resolve(environment={f"OTEL_TOKENOMICS_{name.upper()}": value}) == Settings()
    assert len(caplog.records) == 1
    assert name.upper() in caplog.text.upper()


@pytest.mark.parametrize("content", ["{", "[1]", '"text"'])
def test_a_broken_file_is_one_warning(content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content)
    assert Settings.resolve(environment={}, config_file=str(file)) == Settings(config_file=str(file))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "settings.json" in caplog.text


def test_the_sdk_switch_switches_us_off() -> None:
    assert not Settings.resolve(environment={"OTEL_SDK_DISABLED": "TRUE"}).enabled
    assert not Settings.resolve(environment={"OTEL_SDK_DISABLED": "true"}, enabled=True).enabled


def test_a_secret_is_never_shown() -> None:
    settings = Settings.resolve(environment={"OTEL_TOKENOMICS_CREDENTIAL_SALT": "pepper"})
    assert settings.credential_salt == "pepper"
    assert "pepper" not in repr(settings)
    with pytest.raises(ConfigError) as refused:
        Settings.resolve(environment={}, credential_salt=7)
    assert "7" not in str(refused.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().price = False  # type: ignore[misc]
