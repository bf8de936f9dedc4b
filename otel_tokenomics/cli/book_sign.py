"""Sign a price book with your own key: the signature goes beside it, into FILE.sig, and is published with it.

A book that breaks a rule is not signed. Signed are the bytes of the file: sign it last.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from otel_tokenomics.cli.terminal import plain_line
from otel_tokenomics.pricebook_source.files import content_of, text_of
from otel_tokenomics.pricebook_source.signature import SUFFIX, sign
from otel_tokenomics.pricing import PriceBook


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="the book")
    parser.add_argument("--key", metavar="KEYFILE", required=True, help="private key, as `book keys` writes it")


def run(arguments: argparse.Namespace) -> int:
    """Check and sign."""
    name: str = arguments.file
    content = content_of(name)
    book = PriceBook.parse(text_of(content, name), name)
    signature, public = sign(content, content_of(arguments.key))
    Path(name + SUFFIX).write_text(f"{signature}\n", encoding="ascii")
    digest = hashlib.sha256(content).hexdigest()
    if arguments.json:
        told = {"price_book": book.id, "file": name + SUFFIX, "public_key": public, "sha256": digest}
        print(json.dumps(told))
    else:
        print(plain_line(f"{book.id} signed: {name}{SUFFIX}"))
        print(f"sha256      {digest}")
        print(f"public key  {public}")
    return 0
