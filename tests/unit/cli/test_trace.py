"""The tree at the terminal: every width, hostile names, damaged files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_tokenomics.cli.main import main
from otel_tokenomics.report import otlp_files

CALL = {"tokenomics.cost.status": "priced", "tokenomics.call.end": "completed", "gen_ai.operation.name": "chat"}


def write(file: Path, *spans: tuple[int, int, str, dict[str, Any]]) -> Path:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number, parent, name, attributes in spans:
        made = scope.spans.add(trace_id=b"\x0a" * 16, span_id=number.to_bytes(8, "big"), name=name)
        made.start_time_unix_nano = 10**18 + number
        made.parent_span_id = parent.to_bytes(8, "big") if parent else b""
        for key, value in attributes.items():
            entry = made.attributes.add(key=key).value
            if isinstance(value, list):
                for item in value:
                    entry.array_value.values.add().string_value = str(item)
            else:
                kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
                setattr(entry, kind, value)
    otlp_files.append(file, message.SerializeToString())
    return file


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["trace", *arguments]) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def tree(tmp_path: Path) -> str:
    owner = {"tokenomics.tag.team": "search", "tokenomics.tag.customer": "acme"}
    file = write(
        tmp_path / "t.otlp",
        (1, 0, "POST /ask", {}),
        (2, 1, "invoke_agent", owner),
        (3, 2, "chat m", {**CALL, **owner, "gen_ai.request.model": "m", "tokenomics.cost.total": 0.5}),
        (4, 2, "messages.create", {**CALL, **owner, "gen_ai.response.model": "other", "tokenomics.cost.total": 0.25,
                                   "gen_ai.usage.input_tokens": 1200, "tokenomics.call.end": "abandoned"}),
        (5, 1, "chat n", {**CALL, "tokenomics.cost.status": "unpriced", "tokenomics.cost.reason": "unknown_model",
                          "tokenomics.tag.feature": "x"}),
    )  # fmt: skip
    return str(file)


def test_a_wide_terminal_has_the_notes_in_a_column(
    tree: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    # A tag is said where it begins to hold, a model where the name hides it, a state where it is not the plain one.
    assert shown(capsys, tree) == [
        "trace 0a0a0a0a  $0.75, and 1 unpriced call",
        "span                      in  out       own  inclusive  tags, model, state",
        "POST /ask                                        $0.75",
        "├─ invoke_agent                                  $0.75  team=search customer=acme",
        "│  ├─ chat m                          $0.50",
        "│  └─ messages.create  1,200          $0.25             other  abandoned",
        "└─ chat n                          unpriced             feature=x  unknown_model",
    ]


def test_a_narrow_terminal_has_the_notes_under_the_span(
    tree: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = shown(capsys, tree)
    assert max(map(len, lines)) <= 60
    assert lines[2:] == [
        "POST /ask                                        $0.75",
        "├─ invoke_agent                                  $0.75",
        "│  │  team=search",
        "│  │  customer=acme",
        "│  ├─ chat m                          $0.50",
        "│  └─ messages.create  1,200          $0.25",
        "│        other",
        "│        abandoned",
        "└─ chat n                          unpriced",
        "      feature=x",
        "      unknown_model",
    ]


def test_one_level(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, tree, "--depth", "1")
    assert [line.split()[-2:] for line in lines[2:5:2]] == [["/ask", "$0.75"], ["feature=x", "unknown_model"]]
    assert len(lines) == 5


def test_json_is_flat_and_carries_known_attributes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path / "t.otlp",
        (1, 0, "root", {"gen_ai.prompt.0.content": "secret", "gen_ai.input.messages": "secret", "http.route": "/a"}),
        (2, 1, "chat", {**CALL, "tokenomics.cost.total": float("nan"), "tokenomics.tag.team": "a"}),
        *((n, n - 1, "deep", {**CALL, "tokenomics.cost.total": 0.001}) for n in range(3, 3003)),
    )
    assert main(["trace", str(file), "--json"]) == 0
    text = capsys.readouterr().out
    assert "secret" not in text
    (trace,) = json.loads(text, parse_constant=pytest.fail)
    # Three thousand calls at a tenth of a cent, and one whose amount is none.
    assert (trace["total"], trace["unpriced_calls"], len(trace["spans"])) == ("3", 1, 3002)
    root, chat, *_, last = trace["spans"]
    assert (root["own"], root["inclusive"], root["depth"], root["attributes"]) == (None, "3", 0, {})
    assert (chat["own"], chat["attributes"]["tokenomics.tag.team"]) == (None, "a")
    assert (last["depth"], last["own"], last["parent_id"]) == (3001, "0.001", f"{3001:016x}")


def test_a_name_steers_neither_the_terminal_nor_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(
        tmp_path / "t.otlp",
        (1, 0, "a [/bold] [red]\x1b[31m\x07\r\nb :smile: \u202e [1m]", {}),
        (2, 1, "x" * 400, {**CALL, "tokenomics.cost.status": ["x"], "tokenomics.tag.team": 7}),
        (3, 99, "orphan", {}),
        (4, 4, "itself", {"tokenomics.cost.total": -5.0}),
        (5, 6, "one", {}),
        (6, 5, "other", {"tokenomics.cost.total": 0.5}),
        (7, 1, "", {"tokenomics.cost.total": True}),
    )
    lines = shown(capsys, str(file))
    assert lines[2] == "a [/bold] [red]?[31m???b :smile: ? [1m]"
    assert all(line.isprintable() and len(line) <= 126 for line in lines)
    assert sum("(broken parent link)" in line for line in lines) == 3
    # -5.00 and 0.50; the text of a span is no amount, and neither is `true`.
    assert lines[0] == "trace 0a0a0a0a  -$4.50, and 2 unpriced calls"


def test_where_nothing_is_known_no_amount_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpriced = {**CALL, "tokenomics.cost.status": "unpriced"}
    assert shown(capsys, str(write(tmp_path / "a", (1, 0, "x", unpriced))))[0] == "trace 0a0a0a0a  1 unpriced call"
    assert shown(capsys, str(write(tmp_path / "b", (1, 0, "x", {}))))[0] == "trace 0a0a0a0a  no model call"
    free = {**CALL, "tokenomics.cost.status": "free", "tokenomics.cost.total": 0.0}
    assert shown(capsys, str(write(tmp_path / "c", (1, 0, "x", free))))[0] == "trace 0a0a0a0a  $0"


def test_damage_is_named_after_what_could_be_read(tree: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path(tree).read_bytes()
    Path(tree).write_bytes(whole + b"\x02\xff\xff" + b"\x02\xff\xff" + b"\x40")
    assert main(["trace", tree]) == 2
    out = capsys.readouterr()
    assert "$0.75" in out.out
    assert out.err.count("\n") == 1
    assert f"t.otlp: byte {len(whole)}: the record is no OTLP trace request (and 2 more)" in out.err


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "holds no span"), (b"{}", "line 1: is no OTLP/JSON: there is no resourceSpans"), (b"hello", "cut off")],
)
def test_a_file_without_spans_says_so(
    content: bytes, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t"
    file.write_bytes(content)
    assert main(["trace", str(file)]) == 2
    assert part in capsys.readouterr().err


def test_ten_thousand_spans_and_three_thousand_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost = {**CALL, "tokenomics.cost.total": 0.001}
    wide = write(tmp_path / "w", (1, 0, "root", {}), *((n, n // 3 or 1, "x", cost) for n in range(2, 10_002)))
    lines = shown(capsys, str(wide))
    assert (len(lines), lines[0]) == (10_003, "trace 0a0a0a0a  $10.00")
    deep = write(tmp_path / "d", *((n, n - 1, "name", cost) for n in range(1, 3_001)))
    lines = shown(capsys, str(deep))
    assert lines[0] == "trace 0a0a0a0a  $3.00"
    assert "(2999 deep) name" in lines[-1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_of_the_terminal(encoding: str, tmp_path: Path) -> None:
    file = write(tmp_path / "t", (1, 0, "\u65e5\u672c", {}), (2, 1, "chat", {**CALL, "tokenomics.cost.total": 0.5}))
    done = subprocess.run(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "trace", str(file)],
        env={"PYTHONIOENCODING": encoding, "PATH": "/bin"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert ("└─ chat" if encoding == "utf-8" else "`- chat") in text


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    file = write(tmp_path / "t", *((n, 1 if n > 1 else 0, "x" * 60, {}) for n in range(1, 5_000)))
    with subprocess.Popen(
        [sys.executable, "-m", "otel_tokenomics.cli.main", "trace", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)


def test_doubts_about_a_cost_are_shown_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bill = {**CALL, "tokenomics.cost.source": "provider", "tokenomics.cost.total": 0.5}
    file = write(
        tmp_path / "t.otlp",
        (1, 0, "chat a", {**bill, "tokenomics.cost.flags": ["price_conflict"], "tokenomics.cost.computed": 0.25}),
        (2, 1, "chat b", {**bill, "tokenomics.cost.flags": ["assumed_provider"]}),
        (
            3,
            1,
            "chat c",
            {**bill, "tokenomics.cost.flags": ["price_conflict"], "tokenomics.cost.computed": float("nan")},
        ),
        (4, 1, "chat d", {**bill, "tokenomics.cost.flags": 5, "tokenomics.cost.computed": 1e300}),
    )
    text = " ".join(" ".join(shown(capsys, str(file))).split())
    assert "price_conflict (ours $0.25)" in text
    assert "assumed_provider" in text
    assert text.count("price_conflict") == 2
