"""Make an Ed25519 key pair: the private key goes into KEYFILE (PEM, for you alone), the public key is printed.

Whoever reads your books sets OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY to the public key.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from otel_tokenomics.errors import BadInputError
from otel_tokenomics.pricebook_source.signature import new_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("keyfile", metavar="KEYFILE", help="file to write; one that exists is left alone")


def run(arguments: argparse.Namespace) -> int:
    """Make the pair."""
    private, public = new_key()
    path = Path(arguments.keyfile)
    try:
        # Never readable by others, not even for a moment, and never another key's end.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInputError(f"{path}: is there already; a key that signed books is not overwritten") from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(private)
    if arguments.json:
        print(json.dumps({"keyfile": str(path), "public_key": public}))
    else:
        print(f"private key in {path}: keep it where your releases are signed")
        print(f"OTEL_TOKENOMICS_PRICEBOOK_PUBLIC_KEY={public}")
    return 0
