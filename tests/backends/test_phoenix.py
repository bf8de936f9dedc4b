"""Phoenix, which ignores every cost attribute and is given our prices; in a network of its own: it listens widely."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from distribution import PAGES, check, collector
from own_prices import overlay, under_own_prices
from pictures import page, picture
from recorded import Call, Sent, fresh
from servers import free_port, installed, own_network, request, server, wait_for

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing import load_embedded, price
from otel_tokenomics.usage import Usage, pico_to_usd

PAGE: Final = PAGES / "phoenix.md"
#: The model whose price Phoenix has from nobody else comes last: with it, all are known.
PUSHED: Final = ("azure.ai.openai/gpt-4.1", "azure.ai.openai/gpt-4.1-mini", "openai/gpt-4.1-mini",
                 "openai/gpt-4o-mini", "openai/gpt-4o", "anthropic/claude-haiku-4-5",
                 "openai/house-summary-1")  # fmt: skip
#: What two models of Azure cost for a million tokens of input, by an overlay of this test.
AZURE_USD: Final = "3.30"
_SUMMARY: Final = """query ($project: String!, $filter: String) {
  getProjectByName(name: $project) { id costSummary(filterCondition: $filter) { total { cost tokens } } } }"""
_SPANS: Final = """query ($project: String!) { getProjectByName(name: $project) { spans(first: 1000) { edges { node {
  spanId trace { traceId } attributes costSummary { total { cost } } } } } } }"""

Json = dict[str, Any]


class Phoenix(NamedTuple):
    address: str
    prices: Path
    before: Sent
    after: tuple[Sent, ...]

    def ask(self, query: str, **variables: str) -> Json:
        answer = request(f"{self.address}/graphql", {"query": query, "variables": variables})
        assert "errors" not in answer, answer
        return answer["data"]["getProjectByName"]

    def cost(self, project: str, **named: str) -> float | None:
        """Return the cost of a project's spans, of those that a filter lets through where one is named."""
        return self.ask(_SUMMARY, project=project, **named)["costSummary"]["total"]["cost"]

    def spans(self, project: str, trace: str) -> dict[str, Json]:
        """Return what the spans of a trace bear, and their cost under ``cost``."""
        found = self.ask(_SPANS, project=project)
        nodes = [edge["node"] for edge in found["spans"]["edges"]] if found else []
        return {
            node["spanId"]: dict(_flat(json.loads(node["attributes"])))
            | {"cost": node["costSummary"] and node["costSummary"]["total"]["cost"]}
            for node in nodes
            if node["trace"]["traceId"] == trace
        }


def _flat(nested: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield attributes by their dotted names, as they came."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def in_project(body: Json, project: str) -> Json:
    for resource in body["resourceSpans"]:
        resource["resource"].setdefault("attributes", []).append(
            {"key": "openinference.project.name", "value": {"stringValue": project}}
        )
    return body


def _one_call(provider: str, model: str, tokens: int) -> Json:
    now = time.time_ns()
    bears = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.provider.name": {"stringValue": provider},
        "gen_ai.request.model": {"stringValue": model},
        "gen_ai.usage.input_tokens": {"intValue": str(tokens)},
        "gen_ai.usage.output_tokens": {"intValue": "0"},
    }
    span = {
        "traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8), "name": f"chat {model}", "kind": 3,
        "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1_000_000),
        "attributes": [{"key": key, "value": value} for key, value in bears.items()],
    }  # fmt: skip
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "test"}, "spans": [span]}]}]}


def _priced_by_phoenix(sent: Sent) -> list[Call]:
    """Return the calls that it has a price for: of embeddings it reads the model under a name that it never prices."""
    return [call for call in sent.calls if "embedding" not in call.model]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Generator[Phoenix]:
    folder = tmp_path_factory.mktemp("phoenix")
    prices = overlay(folder)
    content = json.loads(prices.read_text(encoding="utf-8"))
    rows = [{"usd_per_million": {"input": AZURE_USD, "output": "9"}}]
    content["models"] += [{"p": "azure.ai.openai", "id": model, "rows": rows} for model in ("gpt-4.1", "gpt-4.1-mini")]
    prices.write_text(json.dumps(content), encoding="utf-8")
    with own_network():
        port, grpc = free_port(), free_port()
        environment = {
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(grpc),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        address = f"http://127.0.0.1:{port}"
        backend: Json = {
            "exporters": {"otlp_http/phoenix": {"endpoint": address}},
            "processors": {"tokenomics": {"book": {"overlays": [{"path": str(prices)}]}}},
        }
        command = [installed("phoenix", "bin/phoenix"), "serve"]
        with server(command, port, folder / "log", start_s=120, cwd=folder, environment=environment):
            made = Phoenix(
                address, prices, under_own_prices(fresh()), tuple(under_own_prices(fresh()) for _ in range(2))
            )
            with collector("phoenix", folder, backend) as through:
                in_project(made.before.body, "before")
                through.send(made.before)
                wait_for(lambda: len(made.spans("before", made.before.trace)) == made.before.spans, "the trace")
                push = ["book", "push", "phoenix", *PUSHED, "--url", address, "--overrides", str(prices)]
                assert main(push) == 0

                def known() -> bool:
                    body = in_project(_one_call("openai", "house-summary-1", 1_000_000), "known")
                    assert request(f"{through.otlp}/v1/traces", body) == {"partialSuccess": {}}
                    return bool(made.ask(_SUMMARY, project="known")) and made.cost("known") not in (None, 0)

                wait_for(known, "Phoenix to know the prices", 60)
                for sent in made.after:
                    in_project(sent.body, "after")
                    through.send(sent)
                for project, model in (("one", "gpt-4.1"), ("both", "gpt-4.1-mini")):
                    body = in_project(_one_call("openai", model, 1_000_000), project)
                    assert request(f"{through.otlp}/v1/traces", body) == {"partialSuccess": {}}
            for sent in made.after:
                wait_for(lambda sent=sent: len(made.spans("after", sent.trace)) == sent.spans, "the trace")
            wait_for(lambda: made.ask(_SUMMARY, project="one") and made.ask(_SUMMARY, project="both"), "the calls")
            yield made


def test_every_span_bears_its_cost_tags_and_totals(phoenix: Phoenix) -> None:
    for sent in phoenix.after:
        check(sent, phoenix.spans("after", sent.trace))


def test_by_itself_it_prices_otherwise(phoenix: Phoenix) -> None:
    known = [call for call in _priced_by_phoenix(fresh()) if call.cost is not None]
    assert phoenix.cost("before") == pytest.approx(float(sum(call.cost or 0 for call in known)), abs=1e-12)
    assert phoenix.cost("before") != pytest.approx(float(phoenix.before.total), abs=0.005)


def test_pushed_prices_make_its_cost_our_total(phoenix: Phoenix) -> None:
    calls = [call for sent in phoenix.after for call in _priced_by_phoenix(sent)]
    assert all(call.cost for call in calls)
    assert phoenix.cost("after") == pytest.approx(float(sum(call.cost or 0 for call in calls)), abs=1e-12)
    for sent in phoenix.after:
        found = {span: bears["cost"] for span, bears in phoenix.spans("after", sent.trace).items()}
        made = {call.span: float(call.cost or 0) for call in _priced_by_phoenix(sent)}
        assert {span: usd for span, usd in found.items() if usd is not None} == pytest.approx(made, abs=1e-15)
        # What an embedding costs stands on its span, and in no sum of Phoenix.
        assert float(sent.total) - sum(made.values()) == pytest.approx(1.4e-07, abs=1e-15)


@pytest.mark.parametrize("tag", ["customer", "team", "feature"])
def test_its_filter_reads_our_tags(phoenix: Phoenix, tag: str) -> None:
    calls = [call for sent in phoenix.after for call in _priced_by_phoenix(sent)]
    for value in {call.tags[tag] for call in calls}:
        usd = float(sum(call.cost or 0 for call in calls if call.tags[tag] == value))
        words = f"attributes['tokenomics']['tag']['{tag}'] == '{value}'"
        assert phoenix.cost("after", filter=words) == pytest.approx(usd, abs=1e-12)
    assert not phoenix.cost("after", filter=f"attributes['tokenomics']['tag']['{tag}'] == 'nobody'")


def test_a_price_of_one_provider_holds_for_all_where_it_is_the_only_one(phoenix: Phoenix) -> None:
    """Phoenix asks who bills only where several of the models that were pushed fit: push the others too."""
    assert phoenix.cost("one") == pytest.approx(float(AZURE_USD))
    own = price(load_embedded(), "openai", "gpt-4.1-mini", Usage({"input": 1_000_000}), {}, time.time_ns() // 1_000_000)
    assert phoenix.cost("both") == pytest.approx(pico_to_usd(own.total or 0))
    assert phoenix.cost("both") != pytest.approx(float(AZURE_USD))


def test_what_was_pushed_is_left_alone_until_it_changes(
    phoenix: Phoenix, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def push(*arguments: str, code: int = 0) -> Any:
        assert main(["book", "push", "phoenix", "--url", phoenix.address, "--json", *arguments]) == code
        said = capsys.readouterr()
        return [one["done"] for one in json.loads(said.out)["models"]] if code == 0 else said.err

    assert push(*PUSHED, "--overrides", str(phoenix.prices)) == ["same"] * len(PUSHED)
    rows = [{"usd_per_million": {"input": "0.40", "output": "1.23"}}]
    two = [{"p": provider, "id": "our-model", "rows": rows} for provider in ("vllm", "ollama")]
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps({"models": [{"p": "openai", "id": "house-summary-1", "rows": rows}, *two]}))
    assert push("openai/house-summary-1", "--overrides", str(changed), "--dry-run") == ["changed"]
    assert push("openai/house-summary-1", "--overrides", str(changed)) == ["changed"]
    assert push("openai/house-summary-1", "--overrides", str(changed)) == ["same"]
    # It keeps no name of either provider, and so cannot tell the two apart.
    assert "already uses name pattern" in push(
        "vllm/our-model", "ollama/our-model", "--overrides", str(changed), code=2
    )


def test_the_lines_of_its_page_sum_by_team(phoenix: Phoenix) -> None:
    lines = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert lines
    program = lines[1].replace("http://127.0.0.1:6006", phoenix.address).replace('"default"', '"after"')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    calls = [call for sent in phoenix.after for call in _priced_by_phoenix(sent)]
    assert told == {
        team: pytest.approx(float(sum(call.cost or 0 for call in calls if call.tags["team"] == team)), abs=1e-9)
        for team in ("support", "search", "growth")
    }


def test_its_page_shows_what_the_trace_cost(phoenix: Phoenix) -> None:
    sent = phoenix.after[0]
    project = phoenix.ask(_SUMMARY, project="after")["id"]
    with page(1500, 930) as shown:
        shown.goto(f"{phoenix.address}/projects/{project}/traces/{sent.trace}")
        shown.get_by_text("house-summary-1").first.wait_for()
        # To the cent, as everywhere in its page.
        shown.get_by_text("Total Cost", exact=True).first.wait_for()
        shown.get_by_text(f"${sent.total:.2f}").first.wait_for()
        shown.get_by_text(str(sent.total), exact=True).first.wait_for()
        picture(shown, "phoenix")
