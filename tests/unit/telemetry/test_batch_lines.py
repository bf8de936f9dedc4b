"""What is taken for a batch's result file, and what is refused before anything is charged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_tokenomics.telemetry.batches import lines_of


@pytest.mark.parametrize("results", [7, None, object()])
def test_what_holds_no_lines_is_refused(results: object) -> None:
    with pytest.raises(TypeError, match="batch results are a path"):
        lines_of(results)


def test_an_asynchronous_iterator_is_refused_with_what_to_do() -> None:
    async def items() -> Any:
        yield {}

    with pytest.raises(TypeError, match="async for"):
        lines_of(items())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read: .*none\.jsonl"):
        lines_of(tmp_path / "none.jsonl")
