"""The command `book push phoenix`: what is told, what cannot be, and every way in which nobody listens.

The real Phoenix takes it in tests/backends.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main

BOOK = str(Path(__file__).parents[2] / "vectors" / "book.json")
Answer = Callable[[dict[str, Any]], tuple[int, str]]


@contextmanager
def listening(answer: Answer, headers: dict[str, str] | None = None) -> Generator[tuple[str, list[Any]]]:
    """Answer POSTs on loopback; yield the address, and what was asked: (path, token, body)."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, self.headers.get("authorization"), body))
            status, text = answer(body)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join(5)


def phoenix(*nodes: dict[str, Any]) -> Answer:
    """Answer as Phoenix does that holds these models."""

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        data: dict[str, Any] = {"createModel": {"model": {"id": "1"}}, "updateModel": {"model": {"id": "1"}}}
        if not body["query"].startswith("mutation"):
            data = {"generativeModels": {"edges": [{"node": node} for node in nodes]}}
        return 200, json.dumps({"data": data})

    return answer


def push(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> list[dict[str, Any]]:
    assert main(["book", "push", "phoenix", "--url", url, "--book", BOOK, "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["models"]


def rates(told: dict[str, Any]) -> dict[str, float]:
    return {cost["tokenType"]: cost["costPerMillionTokens"] for cost in told["costs"]}


def test_a_model_is_told_with_all_its_names_and_rates(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(phoenix()) as (url, asked):
        (said,) = push(capsys, url, "openai/gpt-5.4")
    assert [path for path, _, _ in asked] == ["/graphql", "/graphql"]
    told = asked[1][2]["variables"]["input"]
    assert told == said["told"]
    assert (said["done"], told["name"], told["provider"]) == ("new", "openai/gpt-5.4", "openai")
    # The frozen book: 2.50, 0.25 and 15 per million, a tier above 272,000, searches at $10 a thousand.
    assert rates(told) == {"input": 2.5, "cache_read": 0.25, "output": 15.0}
    assert {(cost["tokenType"], cost["kind"]) for cost in told["costs"]} == {
        ("input", "PROMPT"),
        ("cache_read", "PROMPT"),
        ("output", "COMPLETION"),
    }
    assert told["namePattern"].startswith("^(?:gpt\\-5\\.4")
    assert "tier above 272000" in said["left_out"]
    assert "web_search" in said["left_out"]


def test_own_prices_and_discounts_are_what_is_pushed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = tmp_path / "own.json"
    rows = [{"usd_per_million": {"input": "2", "output": "0.8"}}]
    own = {
        "discounts": [{"p": "openai", "match": "*", "ratio": [85, 100]}],
        "aliases": {"azure.ai.openai": {"my-prod": {"model": "gpt-5"}}},
        "models": [{"p": "vllm", "id": "our-model", "rows": rows}],
    }
    overlay.write_text(json.dumps(own), encoding="utf-8")
    with listening(phoenix()) as (url, _):
        said = push(
            capsys, url, "--overrides", str(overlay), "openai/gpt-5.4", "vllm/our-model", "azure.ai.openai/my-prod"
        )
    openai, ours, alias = (one["told"] for one in said)
    assert rates(openai) == {"input": 2.125, "cache_read": 0.2125, "output": 12.75}
    # Phoenix knows no such provider, and keeps no name of it.
    assert (rates(ours), ours["provider"]) == ({"input": 2.0, "output": 0.8}, None)
    assert (alias["name"], alias["provider"]) == ("azure.ai.openai/my-prod", "azure")
    assert "my\\-prod" in alias["namePattern"]


def test_what_it_holds_already_is_left_alone_or_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(phoenix()) as (url, _):
        (told,) = (one["told"] for one in push(capsys, url, "openai/gpt-5.4"))
    # A rate for one token, there and back: 2.4999999999999996 for 2.5.
    costs = [{**cost, "costPerMillionTokens": cost["costPerMillionTokens"] * (1 - 2e-16)} for cost in told["costs"]]
    node = {**told, "id": "R2Vu", "kind": "CUSTOM", "tokenPrices": costs[::-1]}
    with listening(phoenix(node)) as (url, asked):
        assert push(capsys, url, "openai/gpt-5.4")[0]["done"] == "same"
        assert len(asked) == 1
    dearer = {**node, "tokenPrices": [{**costs[0], "costPerMillionTokens": 2.6}, *costs[1:]]}
    with listening(phoenix(dearer)) as (url, asked):
        assert push(capsys, url, "--dry-run", "openai/gpt-5.4")[0]["done"] == "changed"
        assert len(asked) == 1
        assert push(capsys, url, "openai/gpt-5.4")[0]["done"] == "changed"
        assert asked[-1][2]["query"].startswith("mutation ($input: UpdateModelMutationInput!)")
        assert asked[-1][2]["variables"]["input"]["id"] == "R2Vu"
    # One of its own of that name is none that was pushed.
    with listening(phoenix({**dearer, "kind": "BUILT_IN"})) as (url, asked):
        assert push(capsys, url, "openai/gpt-5.4")[0]["done"] == "new"


def test_a_whole_provider_leaves_out_what_has_no_two_rates(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(phoenix()) as (url, asked):
        said = push(capsys, url, "lab/*")
        names = {one["model"] for one in said}
        assert len(asked) == 1 + len(said)
    assert "lab/only-input" not in names
    assert len(names) > 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["openai/gpt-55"], "'openai/gpt-55': unknown_model; the nearest ids: openai/gpt-5"),
        (["opnai/gpt-5.4"], "'opnai/gpt-5.4' is no PROVIDER/MODEL of vectors@"),
        (["openai"], "'openai' is no PROVIDER/MODEL of vectors@"),
        (["lab/only-input"], "Phoenix wants a rate for input and one for output"),
        (["--url", "ftp://127.0.0.1", "openai/gpt-5.4"], "'ftp://127.0.0.1' is no http:// or https:// address"),
        (["--url", "http://a:b@127.0.0.1", "openai/gpt-5.4"], "--url: no user and no password there; "),
        (["--url", "http://[", "openai/gpt-5.4"], "http://[/graphql gives no answer of Phoenix: ValueError"),
        (["--url", "http://127.0.0.1:1", "openai/gpt-5.4"], "http://127.0.0.1:1/graphql does not answer: "),
    ],
)
def test_what_cannot_be_pushed_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", "push", "phoenix", "--book", BOOK, *arguments]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert said in out.err
    assert len(out.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (
            200,
            '{"errors": [{"message": "Model \'a\' already uses name pattern \'b\'"}], "data": null}',
            "refused: Model 'a'",
        ),
        (200, "<html>", "gives no answer of Phoenix"),
        (200, "[]", "gives no answer of Phoenix"),
        (200, '{"errors": {"0": 1}}', "gives no answer of Phoenix"),
        (200, '{"data": {"another": 1}}', "gives no answer of Phoenix"),
        (401, "", "answered 401: set PHOENIX_API_KEY"),
        (503, "", "answered 503"),
        (302, "", "answered 302"),
    ],
)
def test_a_refusal_is_said_and_the_token_goes_nowhere_else(
    status: int, text: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOENIX_API_KEY", "s3cret")
    with (
        listening(phoenix()) as (elsewhere, strayed),
        listening(lambda _: (status, text), {"location": elsewhere} if status == 302 else {}) as (url, asked),
    ):
        assert main(["book", "push", "phoenix", "--url", url, "--book", BOOK, "openai/gpt-5.4"]) == 2
    out = capsys.readouterr()
    assert said in out.err
    assert "s3cret" not in out.err
    assert [token for _, token, _ in asked] == ["Bearer s3cret"]
    assert strayed == []
