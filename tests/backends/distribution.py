"""The real distribution, run by the configuration that a backend's page in docs/backends tells to paste."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from recorded import Sent, attributes_of, spans_of
from servers import ROOT, free_port, request, server, wait_for

PAGES: Final = ROOT / "docs" / "backends"
BINARY: Final = Path(
    os.environ.get("OTELCOL_TOKENOMICS", ROOT / "collector" / "distribution" / "build" / "otelcol-tokenomics")
)

Json = dict[str, Any]
#: What spans bear, by their ids.
Found = Mapping[str, Mapping[str, Any]]


class Collector(NamedTuple):
    """A running collector: its addresses, and the file that it writes beside its backend."""

    otlp: str
    own_metrics: str
    prometheus: str
    file: Path

    def send(self, sent: Sent) -> None:
        """Send a trace over OTLP/HTTP, and wait until the file beside holds all of it."""
        assert request(f"{self.otlp}/v1/traces", sent.body) == {"partialSuccess": {}}
        found = wait_for(lambda: self._whole(sent), "the roll-up to let go of the trace")
        check(sent, found)

    def spans(self, trace: str) -> dict[str, Json]:
        """Return what the spans of a trace bear that have passed, by their ids."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        spans = [span for line in lines for span in spans_of(json.loads(line))]
        ids = [span["spanId"] for span in spans]
        assert len(ids) == len(set(ids)), "a span came twice"
        return {span["spanId"]: attributes_of(span) for span in spans if span["traceId"] == trace}

    def _whole(self, sent: Sent) -> dict[str, Json]:
        found = self.spans(sent.trace)
        return found if len(found) == sent.spans else {}


def check(sent: Sent, found: Found) -> None:
    """Assert what a backend tells of a trace: each call's cost bit for bit, tags, and the totals."""
    assert len(found) == sent.spans
    own = {span: bears["tokenomics.cost.total"] for span, bears in found.items() if "tokenomics.cost.total" in bears}
    assert own == {call.span: float(call.cost) for call in sent.calls if call.cost is not None}
    for call in sent.calls:
        bears = found[call.span]
        status = ("unpriced", "unknown_model") if call.cost is None else ("priced", None)
        assert (bears["tokenomics.cost.status"], bears.get("tokenomics.cost.reason")) == status
        assert {tag: bears[f"tokenomics.tag.{tag}"] for tag in call.tags} == call.tags
    assert abs(sum(own.values()) - float(sent.total)) < 1e-9
    root = found[sent.root]
    assert root["tokenomics.trace.cost.total"] == float(sent.total)
    assert int(root["tokenomics.trace.llm_calls"]) == len(sent.calls)
    assert int(root["tokenomics.trace.unpriced_calls"]) == len(sent.unpriced)
    for span, bears in found.items():
        if "tokenomics.subtree.cost.total" in bears:
            assert bears["tokenomics.subtree.cost.total"] == float(sent.subtree(span))


def pasted(page: str) -> Json:
    """Return the configuration of a page: its first YAML block."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block, f"{page}.md shows no configuration"
    return yaml.safe_load(block[1])


@contextmanager
def collector(page: str, folder: Path, overlay: Json | None = None) -> Generator[Collector]:
    """Run the distribution by the page's configuration, on free ports, a file exporter beside the backend's.

    ``overlay`` is laid over it: at least the address of the backend's exporter.
    """
    assert BINARY.is_file(), f"{BINARY.name} is not built: run `make collector`"
    http, own, scraped, file = free_port(), free_port(), free_port(), folder / "spans.jsonl"
    config = merged(pasted(page), overlay or {})
    config["receivers"] = {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{http}"}}}}
    config["exporters"] |= {"file": {"path": str(file), "flush_interval": "100ms"}}
    if "prometheus" in config["exporters"]:
        config["exporters"]["prometheus"]["endpoint"] = f"127.0.0.1:{scraped}"
    for name, pipeline in config["service"]["pipelines"].items():
        if name.startswith("traces"):
            pipeline["exporters"] = [*pipeline["exporters"], "file"]
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": own}}}}
    config["service"]["telemetry"] = {"metrics": {"readers": [reader]}}
    path = folder / "collector.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    log = folder / "collector.log"
    with server([BINARY, "--config", path], http, log, start_s=20):
        yield Collector(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{own}", f"127.0.0.1:{scraped}", file)
    said = log.read_text(errors="replace")
    wrong = [line for line in said.splitlines() if "\terror\t" in line or "is deprecated" in line]
    assert wrong == [], said


def merged(under: Any, over: Any) -> Any:
    """Return one configuration laid over another, as the collector merges several files."""
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: merged(under.get(key), value) for key, value in over.items()}}
    return over
