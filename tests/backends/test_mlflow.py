"""MLflow, which takes the cost that the dialect `mlflow` states and no other."""

from __future__ import annotations

import base64
import copy
import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any, Final, NamedTuple

import pytest
from distribution import PAGES, check, collector
from own_prices import overlay, under_own_prices
from pictures import page, picture
from recorded import Sent, fresh, spans_of
from servers import free_port, installed, request, server, wait_for

PAGE: Final = PAGES / "mlflow.md"
_COLD_S: Final = 60

Json = dict[str, Any]


class MLflow(NamedTuple):
    address: str
    sent: tuple[Sent, ...]
    #: The last one's trace, as a service sends it that nobody prices.
    bare: Sent

    def ask(self, path: str, body: Json | None = None) -> Json:
        return request(f"{self.address}/api/3.0/mlflow/traces/{path}", body)

    def info(self, trace: str) -> Json:
        return self.ask(f"tr-{trace}")["trace"]["trace_info"]

    def cost(self, trace: str) -> Json:
        return json.loads(self.info(trace)["trace_metadata"]["mlflow.trace.cost"])

    def send(self, body: Json) -> Any:
        header = {"x-mlflow-experiment-id": "0"}
        return request(f"{self.address}/v1/traces", body, seconds=_COLD_S, **header)

    def search(self, condition: str) -> set[str]:
        experiment = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
        found = self.ask("search", {"locations": [experiment], "filter": condition, "max_results": 100})
        return {trace["trace_id"].removeprefix("tr-") for trace in found.get("traces", [])}


def tagged(sent: Sent, team: str) -> Sent:
    """Return a trace of one team's service: said on its root span, and on its resource."""
    body = copy.deepcopy(sent.body)
    (root,) = [span for span in spans_of(body) if span["spanId"] == sent.root]
    root["attributes"].append({"key": "mlflow.traceTag.team", "value": {"stringValue": team}})
    for resource in body["resourceSpans"]:
        resource["resource"]["attributes"].append({"key": "tokenomics.tag.team", "value": {"stringValue": team}})
    return sent._replace(body=body)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Generator[MLflow]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    program = installed("mlflow", "bin/mlflow")
    command = [
        program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
    ]  # fmt: skip
    environment = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PATH": f"{program.parent}:/usr/bin:/bin",
    }
    address = f"http://127.0.0.1:{port}"
    backend: Json = {
        "exporters": {"otlp_http/mlflow": {"endpoint": address}},
        "processors": {"tokenomics": {"book": {"overlays": [{"path": str(overlay(folder))}]}}},
    }
    with server(command, port, folder / "log", start_s=120, cwd=folder, environment=environment):
        assert request(f"{address}/health", seconds=_COLD_S) == "OK"
        sent = (under_own_prices(fresh()), under_own_prices(tagged(fresh(), team="growth")))
        with collector("mlflow", folder, backend) as through:
            for one in sent:
                through.send(one)
        made = MLflow(address, sent, fresh())
        made.send(made.bare.body)
        for one in (*sent, made.bare):
            wait_for(lambda one=one: len(_spans(made, one)) == one.spans, "the trace")
        yield made


def _spans(mlflow: MLflow, sent: Sent) -> dict[str, Json]:
    """Return what the spans of a trace bear, by their ids as OTLP writes them; nothing where it is not there yet."""
    try:
        spans = mlflow.ask(f"get?trace_id=tr-{sent.trace}")["trace"].get("spans", [])
    except AssertionError:
        return {}
    return {
        base64.b64decode(span["span_id"]).hex(): {
            pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]
        }
        for span in spans
    }


def _span(name: str, parent: str = "", **attributes: Json) -> Json:
    now = time.time_ns()
    bears = [{"key": key.replace("__", "."), "value": value} for key, value in attributes.items()]
    return {
        "spanId": secrets.token_hex(8), "parentSpanId": parent, "name": name, "kind": 1,
        "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1_000_000), "attributes": bears,
    }  # fmt: skip


def _trace(*spans: Json) -> tuple[str, Json]:
    trace = secrets.token_hex(16)
    scope = {"scope": {"name": "test"}, "spans": [{**span, "traceId": trace} for span in spans]}
    return trace, {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}


def _stated(usd: float) -> Json:
    return {"stringValue": json.dumps({"total_cost": usd})}


def test_every_span_bears_its_cost_tags_and_totals(mlflow: MLflow) -> None:
    for sent in mlflow.sent:
        check(sent, _spans(mlflow, sent))


def test_the_cost_of_a_trace_is_our_total(mlflow: MLflow) -> None:
    for sent in mlflow.sent:
        cost = mlflow.cost(sent.trace)
        assert abs(cost["total_cost"] - float(sent.total)) < 1e-12
        assert abs(cost["input_cost"] + cost["output_cost"] - cost["total_cost"]) < 1e-12
    # MLflow by itself: list prices of what it knows, and nothing of what it does not.
    alone = mlflow.cost(mlflow.bare.trace)["total_cost"]
    assert abs(alone - float(mlflow.bare.total)) < 1e-12
    assert abs(alone - float(mlflow.sent[0].total)) > 0.005
    (own,) = [call for call in mlflow.sent[0].calls if call.model == "house-summary-1"]
    assert json.dumps(_spans(mlflow, mlflow.sent[0])[own.span]["mlflow.llm.cost"]).count(str(float(own.cost or 0))) == 1


def test_traces_are_found_by_tag(mlflow: MLflow) -> None:
    plain, tagged_one = (sent.trace for sent in mlflow.sent)
    assert mlflow.search("tags.team = 'growth'") == {tagged_one}
    assert mlflow.search("tags.`tokenomics.tag.team` = 'growth'") == {tagged_one}
    assert mlflow.search("tags.team = 'nobody'") == set()
    # Resource attributes are tags of the trace.
    assert mlflow.search("tags.`service.name` = 'support-assistant'") == {plain, tagged_one, mlflow.bare.trace}
    assert mlflow.info(plain)["trace_metadata"]["mlflow.trace.session"] == "ticket-4711"


def test_the_lines_of_its_page_sum_by_team(mlflow: MLflow) -> None:
    lines = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert lines
    program = lines[1].replace("http://127.0.0.1:5000", mlflow.address)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    told = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    one, two = mlflow.sent
    teams = {team: float(usd + two.by("team")[team]) for team, usd in one.by("team").items()}
    assert told == pytest.approx(teams, abs=1e-9)


@pytest.mark.parametrize("malformed", [{"doubleValue": 0.8}, {"stringValue": "0.8"}])
def test_a_cost_that_is_no_object_loses_the_whole_batch(mlflow: MLflow, malformed: Json) -> None:
    fine, wrong = _span("fine"), _span("wrong", mlflow__llm__cost=malformed)
    trace, body = _trace(fine, wrong)
    with pytest.raises(AssertionError, match="422"):
        mlflow.send(body)
    with pytest.raises(AssertionError, match="404"):
        mlflow.info(trace)


def test_a_cost_on_an_ancestor_replaces_those_below(mlflow: MLflow) -> None:
    """Which is why the dialect is written on model calls and nowhere else."""
    above = _span("agent", mlflow__llm__cost=_stated(1.0))
    below = [_span("call", above["spanId"], mlflow__llm__cost=_stated(0.25)) for _ in range(2)]
    trace, body = _trace(above, *below)
    mlflow.send(body)
    assert mlflow.cost(trace)["total_cost"] == 1.0
    for sent in mlflow.sent:
        bearing = {span for span, bears in _spans(mlflow, sent).items() if "mlflow.llm.cost" in bears}
        assert bearing == {call.span for call in sent.calls}


def test_its_page_shows_what_the_calls_cost(mlflow: MLflow) -> None:
    sent = mlflow.sent[0]
    (claude,) = [call for call in sent.calls if call.model == "claude-haiku-4-5"]
    with page(1300, 860) as shown:
        shown.goto(f"{mlflow.address}/#/experiments/0/traces?selectedEvaluationId=tr-{sent.trace}")
        shown.get_by_label("Full screen").click()
        shown.get_by_text(f"${claude.cost:f}").first.wait_for()
        shown.get_by_text(str(sent.total), exact=True).first.wait_for()
        picture(shown, "mlflow")
