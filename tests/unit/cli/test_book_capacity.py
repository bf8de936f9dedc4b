"""The command `book capacity`: what paid hours and fixed costs came to, and how much of them was idle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.cli.main import main
from otel_tokenomics.pricing.rates import instant

VECTORS = Path(__file__).parents[2] / "vectors"
PTU = {
    "p": "azure.ai.openai", "ids": ["ptu-gpt5"], "kind": "hourly", "usd_per_hour": "98.00",
    "units_per_hour": {"input": 30000000, "output": 6000000}, "allocate": "capacity",
}  # fmt: skip
SPREAD = {**PTU, "ids": ["ptu-use"], "allocate": "use"}
NONE = {**PTU, "ids": ["ptu-none"], "allocate": "none"}
SMALL = {**PTU, "ids": ["ptu-small"], "usd_per_hour": "0.01", "units_per_hour": {"input": 1}}
LEASE = {"name": "lease", "usd": "300.00", "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def frozen_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_URL", (VECTORS / "book.json").as_uri())


def spans(folder: Path, *calls: tuple[str, str, int]) -> str:
    """Write calls of Azure deployments as OTLP/JSON: start, deployment, input tokens (and a tenth of output)."""
    made: list[dict[str, Any]] = []
    for number, (start, deployment, tokens) in enumerate(calls, 1):
        texts = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "azure.ai.openai",
                 "gen_ai.request.model": deployment, "gen_ai.response.model": "gpt-5"}  # fmt: skip
        counts = {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": tokens // 10}
        made.append({
            "traceId": "0a" * 16, "spanId": f"{number:016x}", "name": "chat", "kind": 3,
            "startTimeUnixNano": str(instant(start) * 10**6), "endTimeUnixNano": str(instant(start) * 10**6 + 10**9),
            "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in texts.items()]
            + [{"key": key, "value": {"intValue": str(count)}} for key, count in counts.items()],
        })  # fmt: skip
    path = folder / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}), encoding="utf-8")
    return str(path)


def overlay(folder: Path, **content: Any) -> str:
    path = folder / "own.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["book", "capacity", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_was_paid_taken_and_idle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = spans(
        tmp_path,
        ("2026-11-22T10:00:00Z", "ptu-gpt5", 1000), ("2026-11-22T12:00:00Z", "PTU-GPT5", 1000),
        ("2026-11-22T12:00:00Z", "ptu-use", 100), ("2026-11-22T12:30:00Z", "ptu-use", 300),
        ("2026-11-22T12:00:00Z", "ptu-none", 10), ("2026-11-22T12:00:00Z", "ptu-small", 30),
        ("2026-11-22T12:00:00Z", "gpt-5", 1000),
    )  # fmt: skip
    own = overlay(tmp_path, capacity=[PTU, SPREAD, NONE, SMALL], static=[LEASE])
    found = told(capsys, file, "--overrides", own)
    assert (found["from"], found["until"], found["calls"]) == ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", 7)
    ptu, spread, none, small = found["capacity"]
    # 2 x (1000 x 3266667 + 100 x 16333333) of 24 x $98
    assert (ptu["calls"], ptu["hours"], ptu["cost_pico"]) == (2, 24.0, "2352000000000000")
    assert (ptu["allocated_pico"], ptu["idle_pico"]) == ("9800000600", "2351990199999400")
    assert ptu["idle_share"] == 0.999996
    # One hour was used: a quarter and three quarters of it, as their tokens are.
    assert [share["pico"] for share in spread["shares"]] == ["24500000000000", "73500000000000"]
    assert {share["hour"] for share in spread["shares"]} == {"2026-11-22T12:00:00Z"}
    assert (spread["allocated_pico"], spread["idle_pico"]) == ("98000000000000", "2254000000000000")
    assert (none["calls"], none["allocated_pico"], none["idle_pico"], none["idle_share"]) == (1, None, None, None)
    # 30 x $0.01, where 24 hours cost $0.24; its output has no rate.
    assert (small["allocated_pico"], small["idle_pico"], small["idle_share"]) == ("300000000000", "-60000000000", -0.25)
    # $300 over 30 days.
    assert found["static"] == [{"name": "lease", "day": "2026-11-22", "pico": "10000000000000", "tags": {}}]
    assert main(["book", "capacity", file, "--overrides", own]) == 0
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("2026-11-22T00:00:00Z until 2026-11-23T00:00:00Z, by vectors@2026.11.22+")
    assert columns.split() == ["capacity", "kind", "hours", "calls", "cost", "allocated", "idle"]
    assert " ".join(rows[0].split()) == ("azure.ai.openai/ptu-gpt5 hourly 24 2 $2,352.00 $0.0098 $2,351.99 (100.0 %)")
    assert rows[1].split()[1:3] == ["hourly,", "use"]
    assert rows[2].split()[-2:] == ["-", "-"]
    assert rows[3].endswith("-$0.06 (-25.0 %), oversubscribed")
    # 3 x $2,352 and $0.24; idle $2,351.9902 + $2,254 - $0.06
    assert rows[4] == "paid for capacity $7,056.24, idle $4,605.93"
    assert rows[5] == "static    lease: $10.00, 1 day"


def test_a_period_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = spans(tmp_path, ("2026-11-22T10:00:00Z", "ptu-gpt5", 1000), ("2026-11-25T10:00:00Z", "ptu-gpt5", 1000))
    dated = {**PTU, "from": "2026-11-02T12:00:00Z", "until": "2026-11-24T00:00:00Z"}
    own = overlay(tmp_path, capacity=[dated], static=[LEASE])
    found = told(capsys, file, "--overrides", own, "--from", "2026-11-01", "--until", "2026-11-23T12:00:00Z")
    (ptu,) = found["capacity"]
    assert (ptu["hours"], ptu["calls"], found["calls"]) == (21 * 24.0, 1, 1)
    assert ptu["cost_pico"] == str(21 * 24 * 98 * 10**12)
    assert [day["pico"] for day in found["static"]] == ["10000000000000"] * 22 + ["5000000000000"]


def test_nothing_used_in_the_period(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TOKENOMICS_PRICEBOOK_OVERRIDES", overlay(tmp_path, capacity=[PTU]))
    found = told(capsys, spans(tmp_path), "--from", "2026-11-22", "--until", "2026-11-23")
    (ptu,) = found["capacity"]
    assert (ptu["calls"], ptu["allocated_pico"], ptu["idle_share"]) == (0, "0", 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no model call: say --from and --until"),
        (("--from", "2026-11-22"), "no model call: say --from and --until"),
        (("--from", "2026-11-22", "--until", "2026-11-22"), "must be after --from 2026-11-22T00:00:00Z"),
        (("--from", "2026-11-31", "--until", "2026-12-01"), "--from: '2026-11-31' is no day (YYYY-MM-DD)"),
        (("--from", "2026-11-22T10:00:00", "--until", "2026-12-01"), "is no day (YYYY-MM-DD) and no instant with its"),
        (("--from", "yesterday", "--until", "2026-12-01"), "--from: 'yesterday' is no day"),
    ],
)
def test_what_is_no_period(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert (
        main(["book", "capacity", spans(tmp_path), "--overrides", overlay(tmp_path, capacity=[PTU]), *arguments]) == 2
    )
    assert said in capsys.readouterr().err


def test_an_overlay_without_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = overlay(tmp_path, discounts=[])
    assert main(["book", "capacity", spans(tmp_path), "--overrides", own]) == 2
    assert f"{own}: names no capacity and no static cost" in capsys.readouterr().err
    assert main(["book", "capacity", spans(tmp_path), "--overrides", overlay(tmp_path, capacity=[{}])]) == 2
    assert 'capacity[0].kind: must be one of "hourly" or "gpu", is missing' in capsys.readouterr().err


def test_check_shows_what_capacity_comes_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu = {"p": "vllm", "ids": ["llama", "llama-8b"], "kind": "gpu", "usd_per_gpu_hour": "2.10", "gpus": 4,
           "tokens_per_second": {"input": 20000, "output": 1800}, "utilization": [6, 10]}  # fmt: skip
    bought = {**PTU, "from": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z", "account": ["b", "a"]}
    own = overlay(
        tmp_path,
        capacity=[bought, gpu, SPREAD, NONE],
        static=[LEASE, {"name": "tuning", "usd": "80", "from": "2026-11-22T10:00:00Z"}],
        aliases={"azure.ai.openai": {"ptu-none": "gpt-5"}},
    )
    assert main(["book", "check", own, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    dates = "from 2026-11-01T00:00:00Z until 2026-12-01T00:00:00Z"
    # Per million: 98 / 30 and 98 / 6; 8.40 / 3600 / 12000 and / 1080, in whole pico-USD per token.
    assert shown["capacity"] == [
        f"azure.ai.openai/ptu-gpt5 (hourly, 98 an hour) {dates} [account=b|a]: input 3.266667, output 16.333333",
        "vllm/llama, llama-8b (gpu, 8.4 an hour): input 0.194444, output 2.160494",
        "azure.ai.openai/ptu-use (hourly, 98 an hour): calls cost 0, `book capacity` spreads each hour over its calls",
        "azure.ai.openai/ptu-none (hourly, 98 an hour): calls cost 0, the hour is a row of its own in `book capacity`",
    ]
    assert shown["static"] == [
        "lease: 300 from 2026-11-01T00:00:00Z until 2026-12-01T00:00:00Z, 10 a day",
        "tuning: 80 on 2026-11-22",
    ]
    assert shown["nothing"] == ["capacity[3]: an alias of the same name wins over azure.ai.openai/ptu-none"]
    assert main(["book", "check", own]) == 0
    assert "capacity vllm/llama, llama-8b (gpu, 8.4 an hour): input 0.194444" in capsys.readouterr().out


def test_a_discount_on_a_deployment_hits_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = {"p": "azure.ai.openai", "match": "ptu-*", "ratio": [1, 2]}
    assert main(["book", "check", overlay(tmp_path, capacity=[PTU], discounts=[cut]), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["discounts"] == ["azure.ai.openai/ptu-* x 1/2: no model"]
    assert shown["nothing"] == ["discounts[0] (azure.ai.openai/ptu-* x 1/2): no model of the book"]


def test_a_damaged_file_is_told_after_what_could_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(spans(tmp_path, ("2026-11-22T10:00:00Z", "ptu-gpt5", 1000)))
    file.write_text(file.read_text(encoding="utf-8") + '\n{"resourceSpans": [', encoding="utf-8")
    assert main(["book", "capacity", str(file), "--overrides", overlay(tmp_path, capacity=[PTU]), "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["capacity"][0]["calls"] == 1
    assert "line 2: is no JSON" in said.err


def test_names_steer_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;x\x07\n\u202e"
    own = overlay(tmp_path, capacity=[{**PTU, "ids": [hostile]}], static=[{**LEASE, "name": hostile}])
    for command in (["check", own], ["capacity", spans(tmp_path), "--overrides", own, "--from", "2026-11-22",
                                     "--until", "2026-11-23"]):  # fmt: skip
        assert main(["book", *command]) == 0
        said = capsys.readouterr().out
        assert said.count("?]0;x???") == 2
        assert not set("\x1b\x07\u202e") & set(said)
