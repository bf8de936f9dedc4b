"""The schemas of the collector's settings take what we ship and refuse what a schema can know is wrong."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

COLLECTOR = Path(__file__).resolve().parents[2] / "collector"
SCHEMAS = {path.parent.name: path for path in COLLECTOR.glob("*/*/config.schema.yaml")}
FOLDERS = {
    ("processors", "tokenomics"): "tokenomicsprocessor",
    ("processors", "tokenomics_rollup"): "tokenomicsrollupprocessor",
    ("connectors", "tokenomics"): "tokenomicsconnector",
}


def schema(component: str) -> jsonschema.Draft202012Validator:
    content = yaml.safe_load(SCHEMAS[component].read_text())
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def sections(file: Path) -> list[tuple[str, Any]]:
    """The sections of a configuration that are ours, each with the folder of its component."""
    content = yaml.safe_load(re.sub(r"\$\{env:\w+:-([^}]*)\}", r"\1", file.read_text())) or {}
    return [
        (FOLDERS[kind, name.partition("/")[0]], section)
        for kind in ("processors", "connectors")
        for name, section in (content.get(kind) or {}).items()
        if (kind, name.partition("/")[0]) in FOLDERS
    ]


SHIPPED = [
    file
    for file in [*COLLECTOR.glob("distribution/**/*.yaml"), *COLLECTOR.parent.glob("examples/**/*.yaml")]
    if "build" not in file.parts
    and "builder" not in file.name
    and re.search("^(processors|connectors):", file.read_text(), re.MULTILINE)
]


def test_every_component_has_one() -> None:
    assert set(SCHEMAS) == set(FOLDERS.values())


@pytest.mark.parametrize("component", sorted(SCHEMAS))
def test_good_settings_are_valid(component: str) -> None:
    content = yaml.safe_load((SCHEMAS[component].parent / "testdata/config.yaml").read_text())
    assert content
    for name, section in content.items():
        assert not [*schema(component).iter_errors(section)], name


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(COLLECTOR.parent)))
def test_shipped_configurations_are_valid(file: Path) -> None:
    for component, section in sections(file):
        # What the environment will say is not known here.
        assert not [one.message for one in schema(component).iter_errors(section) if "${" not in str(one.instance)]


def test_the_distribution_is_checked() -> None:
    assert {component for file in SHIPPED for component, _ in sections(file)} == set(FOLDERS.values())


def test_what_a_schema_can_know_is_refused() -> None:
    """Of the files that the collector refuses, those with an unknown key, word or number out of its bounds."""
    refused: dict[str, set[str]] = {}
    for component, path in SCHEMAS.items():
        for file in (path.parent / "testdata").glob("config_bad_*.yaml"):
            (section,) = yaml.safe_load(file.read_text()).values()
            if not schema(component).is_valid(section):
                refused.setdefault(component, set()).add(file.stem.removeprefix("config_bad_"))
    assert refused["tokenomicsprocessor"] >= {
        *("on_existing", "dialects", "reprice", "usage_convention", "unknown_host", "unknown_key", "unknown_rate"),
    }
    assert refused["tokenomicsrollupprocessor"] >= {"max_spans", "max_spans_per_trace", "unknown_key"}
    assert refused["tokenomicsconnector"] >= {
        *("temporality", "max_series", "max_series_huge", "metrics_optional", "dedupe_max_spans"),
        *("unknown_key", "unknown_dedupe_key"),
    }


@pytest.mark.parametrize("component", sorted(SCHEMAS))
def test_every_setting_is_told_and_held(component: str) -> None:
    """Each setting has a description, and a value of a wrong type under it is refused."""
    content = yaml.safe_load(SCHEMAS[component].read_text())
    assert schema(component).is_valid(None), "a section without settings"
    for name, one in content["properties"].items():
        assert one.get("description"), name
        if "type" in one:
            wrong = {} if "object" not in one["type"] else "words"
            assert not schema(component).is_valid({name: wrong}), name
        assert not schema(component).is_valid({f"{name}s_": None}), name
        if "default" in one:
            assert schema(component).is_valid({name: one["default"]}), name


def test_durations() -> None:
    """As time.ParseDuration reads them."""
    wait = schema("tokenomicsrollupprocessor")
    for good in ("10s", "1h30m", "1.5s", "0", "250ms", ".5m", 0):
        assert wait.is_valid({"idle_wait": good}), good
    for bad in ("10", "s", "10 s", "1d", "", "ten", 1.5, [1]):
        assert not wait.is_valid({"idle_wait": bad}), bad
