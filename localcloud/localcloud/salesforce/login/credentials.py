"""What the integration user and the org's app log in with: `login.json` in its folder."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

FILE = "login.json"
_LETTERS = string.ascii_letters + string.digits


class Credentials(msgspec.Struct, frozen=True):
    """The secrets of an org; made up with it, like its key pair, and kept beside it.

    `refresh_token` is the one that is valid now: rotation replaces it. None: there is none, an
    administrator has to authorise the app again (the control switch `new_refresh_token`).
    """

    client_secret: str
    password: str
    security_token: str
    refresh_token: str | None

    def __repr__(self) -> str:
        return "Credentials(...)"  # so that no log or traceback shows them


def load_credentials(folder: Path) -> Credentials:
    """The secrets in an org's folder; they are made if it has none yet.

    Raises:
        ValueError: The file is damaged; the message names it.
    """
    path = folder / FILE
    if not path.exists():
        save_credentials(folder, _new())
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from error


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write the secrets, readable to their owner only."""
    part = folder / f"{FILE}.part"
    part.touch(mode=0o600)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(credentials)) + b"\n")
    part.replace(folder / FILE)


def new_refresh_token() -> str:
    """A refresh token that nobody has seen."""
    return f"5Aep861{secrets.token_urlsafe(60)}"


def _new() -> Credentials:
    return Credentials(
        client_secret=secrets.token_hex(32).upper(),
        password="".join(secrets.choice(_LETTERS) for _ in range(16)),
        security_token="".join(secrets.choice(_LETTERS) for _ in range(24)),
        refresh_token=new_refresh_token(),
    )
