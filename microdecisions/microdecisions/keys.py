"""Private keys: reads an RSA key from text or a file, and says in one sentence what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from microdecisions.errors import ConfigurationError

__all__ = ["parse_private_key", "read_key_file"]

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LARGEST_FILE = 64 * 1024  # bytes; an RSA key of 16,384 bits is a fifth of this


def read_key_file(path: str, setting: str) -> str:
    """The text of a key file.

    Raises:
        ConfigurationError: the file cannot be read, or is no text file of a sane size.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) <= _LARGEST_FILE:
            return content.decode("ascii")
        reason = "is too large for a PEM file"
    except UnicodeDecodeError:
        reason = "is not a PEM text file"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = f"cannot be read ({getattr(error, 'strerror', None) or 'not a path'})"
    raise ConfigurationError(f"The file that `{setting}` names {reason}: give the path of the PEM private key.")


def parse_private_key(text: str, setting: str) -> RSAPrivateKey:
    r"""Read an unencrypted RSA private key in PEM form, PKCS#1 or PKCS#8.

    Environment files squeeze a key into one line: literal `\n` and blanks in place of line ends are accepted.

    Args:
        text: the PEM text.
        setting: the name of the setting it came from, for messages.

    Raises:
        ConfigurationError: no such key; the message holds nothing of the text.
    """
    block = _BLOCK.search(text.replace("\\r", "").replace("\\n", "\n"))
    label, body = block.groups() if block is not None else ("", "")
    if "CERTIFICATE" in label or "PUBLIC KEY" in label:
        raise ConfigurationError(
            f"Setting `{setting}` holds a certificate or public key, which Salesforce gets: the private key goes here."
        )
    if "PRIVATE KEY" not in label:
        raise ConfigurationError(
            f"Setting `{setting}` is not a PEM private key: it needs all lines from BEGIN PRIVATE KEY to END PRIVATE "
            "KEY, these two included."
        )
    if "ENCRYPTED" in label or "ENCRYPTED" in body:
        raise ConfigurationError(
            f"The private key of `{setting}` is encrypted: decrypt it with `openssl pkey -in FILE -out NEW_FILE` "
            "and protect the new file."
        )
    lines = "\n".join(body.split())
    pem = f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode("ascii", "replace")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, RSAPrivateKey):
        return key
    if key is None:
        raise ConfigurationError(f"The private key of `{setting}` is damaged or not in PEM form: export it again.")
    raise ConfigurationError(f"The private key of `{setting}` is not an RSA key: Salesforce accepts RS256 only.")
