"""The key pair of the org's app: `jwt.key` signs assertions, `jwt.pub` is what the org has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = "jwt.key"
PUBLIC = "jwt.pub"
REPLACED = "jwt.old.key"


def write_keys(folder: Path) -> None:
    """Make a key pair (RSA, 2048 bits, PEM) and register its public half; an earlier pair is replaced."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _write(folder / PRIVATE, private)
    _write(folder / PUBLIC, public)


def rotate_keys(folder: Path) -> None:
    """Register a new key pair; the old private key is kept as `jwt.old.key`, and refused from now on."""
    _write(folder / REPLACED, (folder / PRIVATE).read_bytes())
    write_keys(folder)


def _write(file: Path, content: bytes) -> None:
    """Replace a file at once, so that no reader finds it half written."""
    part = file.with_name(f"{file.name}.part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(file)
