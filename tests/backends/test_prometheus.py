"""Prometheus scrapes the collector: sums by tag, every expression of the dashboards, every rule, the alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest
import yaml
from distribution import PAGES, Collector, collector
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from pictures import page, picture
from recorded import Sent, fresh, spans_of
from servers import ROOT, free_port, request, server, wait_for

RULES: Final = PAGES / "prometheus"
DASHBOARDS: Final = sorted((PAGES / "grafana").glob("*.json"))
#: What Grafana puts in: https://grafana.com/docs/grafana/latest/dashboards/variables/add-template-variables/
FILLED: Final = {"$__range": "10m", "$__rate_interval": "10m", "$team": ".*", "$objective": "0.995"}
METRIC: Final = re.compile(r"\b(?:otelcol_|tokenomics_span_)\w+")
MONEY: Final = "tokenomics_span_cost_total"

Json = dict[str, Any]


class Scraped(NamedTuple):
    address: str
    through: Collector
    sent: tuple[Sent, ...]

    def query(self, expression: str) -> list[Json]:
        answer = request(f"{self.address}/api/v1/query?query={quote(expression)}")
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def by(self, label: str, metric: str) -> dict[str, float]:
        found = self.query(f"sum by ({label}) ({metric})")
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in found}


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}: make backends")
    return path


def _without_a_seat(sent: Sent) -> Sent:
    """Return the trace with one call that its provider refused: an error, and nothing used."""
    span = next(s for s in spans_of(sent.body) if s["spanId"] == sent.unpriced[0].span)
    known = ("gen_ai.usage.", "gen_ai.response.", "tokenomics.usage.", "tokenomics.call.")
    kept = [pair for pair in span["attributes"] if not pair["key"].startswith(known)]
    refused = {"error.type": "RateLimitError", "tokenomics.call.end": "error"}
    span["attributes"] = kept + [{"key": key, "value": {"stringValue": value}} for key, value in refused.items()]
    span["status"] = {"code": 2}
    return sent


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Generator[Scraped]:
    """Two traces, and one with a failed call, over several scrapes: a rate needs more than one value."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    with collector("prometheus", folder, {"connectors": {"tokenomics": {"flush_interval": "1s"}}}) as through:
        config = yaml.safe_load((RULES / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES / "alerts.yml")]
        for job, address in zip(
            config["scrape_configs"], (through.prometheus, through.own_metrics.removeprefix("http://")), strict=True
        ):
            job["static_configs"] = [{"targets": [address]}]
        (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
        command = [
            _program("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with server(command, port, folder / "prometheus.log"):
            made = Scraped(f"http://127.0.0.1:{port}", through, (fresh(), fresh()))
            failed = _without_a_seat(fresh())
            request(f"{through.otlp}/v1/traces", failed.body)
            for number, sent in enumerate(made.sent, 1):
                through.send(sent)
                calls = number * len(sent.calls) + len(failed.calls)
                wait_for(lambda calls=calls: made.by("", "tokenomics_span_requests_total") == {"": calls}, "a scrape")
            yield made
            said = (folder / "prometheus.log").read_text(errors="replace")
    assert "level=error" not in said


def _sums(scraped: Scraped, key: str) -> dict[str, float]:
    """Return what was sent by tag or model, USD: three traces, the failed call having cost nothing in any."""
    one, two = scraped.sent
    return {value: float(cost * 2 + one.by(key)[value]) for value, cost in two.by(key).items()}


@pytest.mark.parametrize("key", ["team", "customer", "feature", "model"])
def test_cost_by_tag_and_model_is_what_the_list_prices_give(scraped: Scraped, key: str) -> None:
    label = "tokenomics_price_model" if key == "model" else f"tokenomics_tag_{key}"
    expected = _sums(scraped, key)
    found = scraped.by(label, MONEY)
    assert found == pytest.approx(expected, abs=1e-12)
    assert sum(found.values()) == pytest.approx(float(scraped.sent[0].total * 3), abs=1e-12)
    if key == "model":
        assert found["text-embedding-3-small"] == float(Decimal("0.00000042")), "less than a micro-dollar is there"


def test_what_has_no_price_is_counted_and_costs_nothing(scraped: Scraped) -> None:
    (unknown,) = scraped.sent[0].unpriced
    tokens = {"house-summary-1": 2.0 * (unknown.input_tokens + unknown.output_tokens)}
    assert scraped.by("gen_ai_request_model", "tokenomics_span_unpriced_tokens_total") == tokens
    calls = len(scraped.sent[0].calls)
    priced = 3.0 * (calls - 1)
    statuses = {"priced": priced, "unpriced": 2.0, "not_applicable": 1.0}
    assert scraped.by("tokenomics_cost_status", "tokenomics_span_requests_total") == statuses
    assert scraped.query("tokenomics_span_cost_total == 0") == []


def test_the_collector_says_the_same_of_itself(scraped: Scraped) -> None:
    def own() -> bool:
        (cost,) = scraped.query("sum(otelcol_processor_tokenomics_cost)")
        return float(cost["value"][1]) == pytest.approx(float(scraped.sent[0].total * 3), abs=1e-12)

    wait_for(own, "the collector's own cost counter")


def _expressions() -> Iterator[tuple[str, str]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]


@pytest.mark.parametrize(("where", "expression"), [pytest.param(*pair, id=pair[0]) for pair in _expressions()])
def test_every_expression_of_the_dashboards_returns_rows(scraped: Scraped, where: str, expression: str) -> None:
    for name, value in FILLED.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    rows = wait_for(lambda: scraped.query(expression), where)
    assert all(row["value"][1] not in ("+Inf", "-Inf") for row in rows)
    if "_total" in expression and "cache_read" not in expression and "error_type" not in expression:
        assert any(float(row["value"][1]) > 0 for row in rows), rows


def test_every_rule_is_evaluated_without_an_error(scraped: Scraped) -> None:
    def evaluated() -> list[Json]:
        groups = request(f"{scraped.address}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    rules = wait_for(evaluated, "the rules")
    written = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in written)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    # About a twentieth of this service's tokens have no price; no other alert has a cause here.
    assert {rule["name"] for rule in rules if rule.get("state") not in (None, "inactive")} <= {
        "TokenomicsUnpricedShare"
    }


def test_every_metric_that_is_named_exists(scraped: Scraped) -> None:
    names = request(f"{scraped.address}/api/v1/label/__name__/values")["data"]
    documented = set(names)
    for path in (ROOT / "collector").glob("*/*/documentation.md"):
        documented |= set(re.findall(r"^### (otelcol_\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    # Of the exporter helper's; it is there once a send failed for good.
    documented.add("otelcol_exporter_send_failed_spans")
    groups = yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    expressions = [e for _, e in _expressions()] + [rule["expr"] for group in groups for rule in group["rules"]]
    named = {name for expression in expressions for name in METRIC.findall(expression)}
    assert len(named) > 15
    assert named - documented == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_dashboards_are_what_grafana_reads(path: Path) -> None:
    """Grafana's own model of a dashboard knows every field: nothing is lost by reading and writing it."""
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))

    def lost(before: Any, after: Any, at: str) -> list[str]:
        if isinstance(before, dict):
            return [
                item for key, value in before.items() for item in lost(value, (after or {}).get(key), f"{at}.{key}")
            ]
        if isinstance(before, list):
            same = isinstance(after, list) and len(after) == len(before)
            return [i for n, v in enumerate(before) for i in lost(v, after[n], f"{at}.{n}")] if same else [at]
        return [] if before == after or before is None else [at]

    assert lost(dashboard, again, "") == []
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert max(x for x, _ in cells) < 24


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_alerts_fire_when_they_should() -> None:
    promtool = _program("promtool")
    _run(promtool, "check", "config", str(RULES / "prometheus.yml"))
    assert "SUCCESS" in _run(promtool, "check", "rules", str(RULES / "alerts.yml"))
    assert "SUCCESS" in _run(promtool, "test", "rules", str(Path(__file__).parent / "alerts_test.yml"))
    tested = (Path(__file__).parent / "alerts_test.yml").read_text(encoding="utf-8")
    for group in yaml.safe_load((RULES / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule.get("alert", "Tokenomics") in tested, "an alert that no test makes fire"


def test_each_team_is_told_of_its_own_money() -> None:
    amtool, config = _program("amtool"), str(RULES / "alertmanager.yml")
    _run(amtool, "check-config", config)
    for labels, receiver in (
        (("alertname=TokenomicsBudget", "tokenomics_tag_team=search"), "search"),
        (("alertname=TokenomicsBookStale",), "platform"),
    ):
        assert _run(amtool, "config", "routes", "test", f"--config.file={config}", *labels).strip() == receiver


def test_its_page_draws_cost_by_team(scraped: Scraped) -> None:
    expression = "sum by (tokenomics_tag_team) (tokenomics_span_cost_total)"
    with page(1300, 540) as shown:
        shown.goto(f"{scraped.address}/graph?g0.expr={quote(expression)}&g0.tab=1&g0.range_input=5m")
        shown.get_by_text('{tokenomics_tag_team="growth"}').first.wait_for()
        picture(shown, "prometheus")
