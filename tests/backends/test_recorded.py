"""The recording is what the application sends today, and holds what tells backends apart."""

from __future__ import annotations

import json
import socket
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from record import TRACE, record
from recorded import attributes_of, fresh, spans_of
from servers import free_port, own_network, server


def test_it_is_what_the_application_sends_today() -> None:
    def known(body: dict[str, Any]) -> list[tuple[str, str | None, str, int, dict[str, Any]]]:
        found: list[tuple[str, str | None, str, int, dict[str, Any]]] = []
        for span in spans_of(body):
            bears = {
                key: value for key, value in attributes_of(span).items() if not key.endswith("time_to_first_chunk")
            }
            found.append((span["spanId"], span.get("parentSpanId"), span["name"], span["kind"], bears))
        return sorted(found, key=lambda span: span[0])

    assert known(record()) == known(json.loads(TRACE.read_text(encoding="utf-8")))


def test_it_holds_what_tells_backends_apart() -> None:
    sent = fresh()
    names = {span["spanId"]: span["name"] for span in spans_of(sent.body)}
    parents = {span["spanId"]: span.get("parentSpanId") for span in spans_of(sent.body)}
    ways = []
    for call in sent.calls:
        way, at = [], call.parent
        while at:
            way.append(names[at].split()[0])
            at = parents[at]
        ways.append(way)
    assert ["execute_tool", "invoke_agent", "invoke_agent", "POST"] in ways
    assert len(sent.by("model")) == 4
    assert [call.model for call in sent.unpriced] == ["house-summary-1"]
    assert min(sent.by("model").values()) == Decimal("0.00000014")
    assert sent.total == Decimal("0.04397244")
    assert sum(sent.by("team").values()) == sum(sent.by("customer").values()) == sent.subtree(sent.root) == sent.total
    assert "content" not in TRACE.read_text(encoding="utf-8")
    assert fresh().trace != sent.trace


def test_a_network_of_its_own_holds_loopback_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        with own_network():
            assert [name for _, name in socket.if_nameindex()] == ["lo"]
            with socket.create_server(("127.0.0.1", port)):
                pass
        assert len(socket.if_nameindex()) >= 1
        with socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_a_server_that_listens_beyond_loopback_is_found_out(host: str, tmp_path: Path) -> None:
    port = free_port()
    family = "AF_INET6" if ":" in host else "AF_INET"
    both = "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0); " if ":" in host else ""
    made = f"s = socket.socket(socket.{family}); {both}s.bind(({host!r}, {port})); s.listen()"
    program = f"import socket, time; {made}; time.sleep(60)"

    def run() -> None:
        with server([sys.executable, "-c", program], port, tmp_path / "log"):
            pass

    if host.endswith("127.0.0.1"):
        run()
    else:
        with pytest.raises(AssertionError, match="own_network"):
            run()
        with own_network():
            run()
