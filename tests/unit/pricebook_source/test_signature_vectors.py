"""Signatures of price books: the cases that the collector runs too."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from book_server import VECTORS

from otel_tokenomics.errors import PriceBookError
from otel_tokenomics.pricebook_source.signature import verify

CASES: list[dict[str, Any]] = json.loads((VECTORS / "signatures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_which_signatures_verify(case: dict[str, Any]) -> None:
    content = base64.b64decode(case["content"])
    if case["expect"]:
        verify(content, case["signature"], case["public_key"], "book.json")
        return
    with pytest.raises(PriceBookError):
        verify(content, case["signature"], case["public_key"], "book.json")
