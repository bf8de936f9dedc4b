"""A service that streams: the tags of a request stand on the call that its late generator makes."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest
from example_run import (
    EXAMPLES,
    START_S,
    Asked,
    Place,
    answer_of,
    ask,
    bill,
    billed,
    commands,
    cost,
    counted,
    free_port,
    needs,
    outside,
    program,
    running,
    tags,
    tokens,
)

from otel_tokenomics.demo.provider import Scenario

REQUESTS: Final = [
    Asked(f"/{feature}", "x" * 40 * number, team, customer)
    for number, (feature, team, customer) in enumerate(
        (feature, team, customer)
        for feature in ("summarise", "translate")
        for team in ("search", "support")
        for customer in ("acme", "globex", "initech")
    )
    if number
]


def served() -> tuple[int, list[str]]:
    port = free_port()
    return port, [*program("fastapi"), "--port", str(port)]


@needs("fastapi", "uvicorn", "openai")
def test_tags_of_each_request_stand_on_the_call_that_its_late_stream_makes(place: Place) -> None:
    port, command = served()
    # Slow streams, all at once: each step of each generator runs between those of the others.
    place.provider.expect(*[Scenario(delay_s=0.03, chunks=5)] * len(REQUESTS))
    with running(command, place.environment, port), ThreadPoolExecutor(len(REQUESTS)) as threads:
        assert set(threads.map(lambda asked: ask(port, asked), REQUESTS)) == {"word " * 5}
    # SIGTERM ended it: nothing is lost.
    calls = sorted(place.calls, key=lambda span: span.attributes["gen_ai.usage.input_tokens"])
    assert tokens(calls) == billed(place.provider)
    # The longer a text, the more tokens it has: which call belongs to which request needs no tag.
    assert [tags(span) for span in calls] == [
        {"team": asked.team, "customer": asked.customer, "feature": asked.path[1:]} for asked in REQUESTS
    ]
    assert {span.attributes["tokenomics.call.end"] for span in calls} == {"completed"}
    assert cost(calls) == counted(place.cost_points) == bill(place.provider)


LATE: Final = """
import openai
import otel_tokenomics as tk
from fastapi import Depends
from fastapi.responses import StreamingResponse
from service import app, words

@app.get("/block")
async def block():
    with tk.tags(team="search"):
        return StreamingResponse(words("text"))

async def tagged():
    with tk.tags(team="search"):
        yield

@app.get("/dependency", dependencies=[Depends(tagged)])
async def dependency():
    return StreamingResponse(words("text"))

def plain_words():
    for event in openai.OpenAI().responses.create(model="gpt-5.4-mini", input="text", stream=True):
        if event.type == "response.output_text.delta":
            yield event.delta

@app.get("/threads")
def threads():
    return StreamingResponse(tk.tags(team="search")(plain_words)())

class Tagged:
    def __init__(self, app, **tags):
        self.app, self.tags = app, tags

    async def __call__(self, scope, receive, send):
        with tk.tags(**self.tags):
            await self.app(scope, receive, send)

app.add_middleware(Tagged, customer="acme")
outside = Tagged(app, project="shop")
"""


@needs("fastapi", "uvicorn", "openai")
def test_a_block_that_has_ended_tags_nothing_and_one_around_the_whole_request_holds(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "late.py").write_text(LATE)
    port = free_port()
    command = ["uvicorn", "--app-dir", str(EXAMPLES / "fastapi"), "--port", str(port), "late:outside"]
    with running(command, {**place.environment, "PYTHONPATH": str(tmp_path)}, port):
        for route in ("block", "dependency", "threads"):
            connection = HTTPConnection("127.0.0.1", port, timeout=START_S)
            connection.request("GET", f"/{route}")
            assert connection.getresponse().read() == b"word " * 3
            connection.close()
    whole = {"customer": "acme", "project": "shop"}
    calls = sorted(place.calls, key=lambda span: span.start_ns)
    # FastAPI's own spans begin a context of their own, and end one around the dependencies.
    assert "fastapi.dependencies" in {span.name for span in place.spans}
    assert [tags(span) for span in calls] == [whole, whole | {"team": "search"}, whole | {"team": "search"}]


@needs("fastapi", "uvicorn", "openai")
def test_a_reader_who_leaves_is_one_span_with_its_tags(place: Place) -> None:
    port, command = served()
    place.provider.expect(Scenario(delay_s=0.02, chunks=500))
    asked = Asked("/summarise", "x" * 400, "search", "acme")
    with running(command, place.environment, port):
        with answer_of(port, asked) as response:
            assert response.read(5) == b"word "
        # The next request finds a service that works.
        ask(port, Asked("/translate", "x", "support", "globex"))
    left, served_whole = sorted(place.calls, key=lambda span: span.start_ns)
    assert tags(left) == {"team": "search", "customer": "acme", "feature": "summarise"}
    assert left.attributes["tokenomics.call.end"] in ("abandoned", "cancelled")
    # Nobody was told what it used: never 0.
    assert left.attributes["tokenomics.cost.status"] == "unpriced"
    assert "tokenomics.cost.total" not in left.attributes
    assert served_whole.attributes["tokenomics.cost.status"] == "priced"
    assert counted(place.cost_points) == cost([served_whole])


@needs("fastapi", "uvicorn", "openai")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_two_commands_of_the_fastapi_page_run_as_printed(tmp_path: Path) -> None:
    (demo, curl), port = commands("fastapi"), free_port()
    out = tmp_path / "out"
    command = [*demo[:2], "--out", str(out), *demo[2:], "--port", str(port)]
    with running(command, outside(tmp_path), port, ctrl_c=True) as log:
        question = [word.replace(":8000/", f":{port}/") for word in curl]
        done = subprocess.run(question, capture_output=True, text=True, check=False, timeout=START_S)
        assert done.stdout == "word word word "
    said = log.read_text()
    assert "team=search customer=acme feature=summarise" in said
    assert "0 of 1 calls are unpriced; the local provider billed 1 responses" in said
    totals = re.findall(r"(?:sum of own costs|metric tokenomics.client.cost) +([0-9.]+) USD", said)
    assert len(totals) == 2
    assert totals[0] == totals[1]
