"""Detached Ed25519 signatures of price books, by the package ``cryptography``, which is imported when it is needed.

A public key is 32 bytes, a signature 64, both written as base64; what is signed are the bytes of the book's file.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from otel_tokenomics.errors import PriceBookError

SUFFIX: Final = ".sig"
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise PriceBookError(
            "signatures need the package cryptography: pip install 'otel-tokenomics[signing]', "
            "or pin the book by pricebook_sha256"
        ) from None
    return ed25519


def verify(content: bytes, signature: str, public_key: str, origin: str) -> None:
    """Refuse content that the holder of a key did not sign.

    Args:
        content: the book's file.
        signature: base64 text.
        public_key: base64 text, of the setting ``pricebook_public_key``.
        origin: the book's name in errors.

    Raises:
        PriceBookError: the signature is none of this key over these bytes, or ``cryptography`` is missing.
    """
    key_bytes = _bytes(public_key, _KEY_BYTES, "pricebook_public_key: is no Ed25519 key, 32 bytes as base64")
    signed = _bytes(signature, _SIGNATURE_BYTES, f"{origin}{SUFFIX}: is no Ed25519 signature, 64 bytes as base64")
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key_bytes).verify(signed, content)
    except (InvalidSignature, ValueError):
        raise PriceBookError(f"{origin}: the signature is none of pricebook_public_key over this file") from None


def new_key() -> tuple[bytes, str]:
    """Return a new private key (PEM, PKCS 8, not encrypted) and its public key (base64)."""
    from cryptography.hazmat.primitives import serialization

    key = _ed25519().Ed25519PrivateKey.generate()
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, _public(key)


def sign(content: bytes, private_key: bytes) -> tuple[str, str]:
    """Return the signature of content, and the public key that verifies it, both base64.

    Raises:
        PriceBookError: the private key is no Ed25519 key in PEM without a password.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key: Any = serialization.load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise PriceBookError("the private key is no Ed25519 key in PEM without a password")
    return base64.b64encode(key.sign(content)).decode(), _public(key)


def _public(key: Any) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _bytes(text: str, length: int, error: str) -> bytes:
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != length:
        raise PriceBookError(error)
    return found
