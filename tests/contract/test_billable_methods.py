"""Whatever an installed client can send is a charge of ours, or stands in the table with its reason.

A release with a new endpoint fails here by its name. The table tells what we decided from what we do not see yet.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from requests_of_clients import READERS, Sent

from otel_tokenomics import clients
from otel_tokenomics.client_api import Adapter

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "uncharged_requests.toml").read_text(encoding="utf-8"))
DECISIONS: dict[str, dict[str, str]] = TABLE["decisions"]
GAPS: dict[str, dict[str, str]] = TABLE["gaps"]
REASONS = ("free", "administration", "no charge by call")
ELSEWHERE = "billed elsewhere: "
#: What may never leave unseen, whatever the table says: read from each library, so the reading itself is checked.
KNOWN = {
    "openai": "/chat/completions",
    "anthropic": "/v1/messages",
    "groq": "/openai/v1/chat/completions",
    "together": "/v1/embeddings",
    "mistral": "Conversations.append_stream",
    "cohere": "RawV2Client.chat",
    "ollama": "/api/chat",
    "huggingface": "conversational",
    "google_genai": "Models._generate_content",
    "bedrock": "bedrock-runtime ConverseStream",
}


def adapter_of(name: str) -> Adapter:
    adapter: Adapter = importlib.import_module(f"{clients.__name__}.{name}").ADAPTER
    if importlib.util.find_spec(adapter.library) is None:
        pytest.skip(f"{adapter.library} is not installed")
    return adapter


@functools.cache
def sent_by(name: str) -> set[Sent]:
    return set(READERS[name](adapter_of(name)))


def standing_for(request: str, rows: dict[str, str]) -> list[str]:
    return [row for row in rows if fnmatchcase(request, row)]


@pytest.mark.parametrize("name", READERS)
def test_each_request_is_charged_or_has_its_reason(name: str) -> None:
    rows = DECISIONS.get(name, {}) | GAPS.get(name, {})
    unknown = sorted({one.name for one in sent_by(name) if not one.charged and not standing_for(one.name, rows)})
    assert not unknown, f"{name}: neither charged nor in uncharged_requests.toml: {', '.join(unknown)}"


@pytest.mark.parametrize("name", READERS)
def test_what_is_charged_has_no_excuse(name: str) -> None:
    rows = DECISIONS.get(name, {}) | GAPS.get(name, {})
    charged = sorted({one.name for one in sent_by(name) if one.charged and standing_for(one.name, rows)})
    assert not charged, f"{name}: charged, and in uncharged_requests.toml: {', '.join(charged)}"


@pytest.mark.parametrize("name", READERS)
def test_nothing_is_a_decision_and_a_gap(name: str) -> None:
    decided, missed = DECISIONS.get(name, {}), GAPS.get(name, {})
    assert not {one.name for one in sent_by(name) if standing_for(one.name, decided) and standing_for(one.name, missed)}


@pytest.mark.parametrize("name", READERS)
def test_the_requests_are_read_from_the_library(name: str) -> None:
    known = KNOWN[name]
    if name == "together" and importlib.import_module("together").__version__.startswith("2."):
        known = known.removeprefix("/v1")
    assert Sent(known, charged=True) in sent_by(name)
    assert Sent(known, charged=False) not in sent_by(name)


def test_a_decision_has_one_of_the_reasons() -> None:
    said = [reason for rows in DECISIONS.values() for reason in rows.values()]
    assert not [reason for reason in said if reason not in REASONS and not reason.startswith(ELSEWHERE)]
    assert set(DECISIONS) | set(GAPS) <= set(READERS)


def test_the_page_names_every_gap() -> None:
    page = (HERE.parents[1] / "docs" / "guides" / "charges.md").read_text(encoding="utf-8")
    told = page.partition("## Not charged yet\n")[2].partition("\n## ")[0]
    missing = [row for rows in GAPS.values() for row in rows if f"`{row}`" not in told]
    assert not missing
    assert told.count("\n- ") == sum(map(len, GAPS.values())), "the page names what is no gap any more"


def test_only_a_client_that_reports_has_no_reader() -> None:
    names = {file.stem for file in Path(clients.__path__[0]).glob("[!_]*.py")}
    assert names - set(READERS) == {"litellm", "claude_agent_sdk"}
