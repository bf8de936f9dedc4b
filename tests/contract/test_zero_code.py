"""Without a line of code: the real ``opentelemetry-instrument`` and our entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_tokenomics.demo.provider import LocalProvider
from otel_tokenomics.demo.receiver import LocalReceiver
from otel_tokenomics.report.otlp_files import TRACES, read_spans

PROGRAM = """
import os, openai, anthropic
message = [{"role": "user", "content": "hello"}]
openai.OpenAI(base_url=os.environ["OPENAI"], api_key="x").chat.completions.create(model="gpt-5.4", messages=message)
client = anthropic.Anthropic(base_url=os.environ["ANTHROPIC"], api_key="x")
client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=message)
print("done")
"""


def priced(folder: Path, **environment: str) -> list[str]:
    """Run the program under the instrumentation; return the models of the spans that bear a cost."""
    (folder / "app.py").write_text(PROGRAM)
    with LocalProvider() as provider, LocalReceiver(folder) as receiver:
        settings = {
            "OPENAI": provider.base_url_openai,
            "ANTHROPIC": provider.base_url_anthropic,
            "OTEL_TOKENOMICS_ENDPOINTS": ",".join(provider.endpoints),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "shop",
            **environment,
        }
        command = str(Path(sys.executable).with_name("opentelemetry-instrument"))
        done = subprocess.run(
            [command, sys.executable, str(folder / "app.py")],
            env=os.environ | settings, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip() == "done", done.stderr
    if not (folder / TRACES).exists():
        return []
    spans = [span for span in read_spans(folder) if "tokenomics.cost.total" in span.attributes]
    assert {span.resource["service.name"] for span in spans} <= {"shop"}
    return sorted(span.attributes["gen_ai.request.model"] for span in spans)


@pytest.mark.parametrize(
    ("disabled", "models"),
    [
        ("", ["claude-sonnet-5-5", "gpt-5.4"]),
        ("tokenomics_openai", ["claude-sonnet-5-5"]),
        ("openai,anthropic", ["claude-sonnet-5-5", "gpt-5.4"]),
        ("tokenomics", []),
        ("*", []),
    ],
)
def test_entry_points_can_be_disabled_by_name(disabled: str, models: list[str], tmp_path: Path) -> None:
    assert priced(tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled) == models


def test_libraries_can_be_chosen_by_setting(tmp_path: Path) -> None:
    assert priced(tmp_path, OTEL_TOKENOMICS_LIBRARIES="*,-anthropic") == ["gpt-5.4"]
