"""The file that keeps a rotated refresh token: read and replaced as a whole, under a lock that all runs share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.errors import ConfigurationError
from microdecisions.redaction import BLANK, known_secrets

try:
    import fcntl
except ImportError:  # a system without file locks of this kind
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["KeptToken", "TokenFile", "choose", "rotated"]

SETTING: Final = "refresh_token_path"
_LARGEST = 256 * 1024  # bytes; what we write is a tenth of it
_MOST_REPLACED = 500  # fingerprints kept: weeks of hourly runs
_PLAIN = re.compile(rb"\s*([!-z|~]{8,4096})\s*")  # a token that a person put there: no blanks, no braces


class KeptToken(msgspec.Struct, frozen=True):
    """What the file holds.

    Attributes:
        refresh_token: the newest one.
        app: fingerprint of the client id that it belongs to; empty in a file that a person wrote.
        replaced: fingerprints of the tokens that came before it, the newest last: none of them may be sent again.
        renewing: a renewal with this token began, and how it ended is not known.
    """

    refresh_token: str
    app: str = ""
    replaced: tuple[str, ...] = ()
    renewing: bool = False

    def __repr__(self) -> str:
        """Nothing of the token."""
        return f"KeptToken({BLANK}, {len(self.replaced)} replaced)"


def fingerprint(secret: str) -> str:
    """What tells one long random secret from another and gives nothing of it away."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def choose(kept: KeptToken | None, given: str | None, client_id: str) -> KeptToken | None:
    """The token to log in with: the file's, unless the setting holds one that the file has never seen.

    So a newly authorised token is taken as soon as it is set, and the old one that stays in the settings for ever is
    not sent twice: Salesforce revokes the whole family when a rotated token comes back.

    Args:
        kept: what the file holds, if anything.
        given: the setting `refresh_token`, if any.
        client_id: the app's client id.
    """
    app = fingerprint(client_id)
    if kept is not None and (given is None or given == kept.refresh_token or fingerprint(given) in kept.replaced):
        return msgspec.structs.replace(kept, app=app)
    if given is None:
        return None
    before = () if kept is None else (*kept.replaced, fingerprint(kept.refresh_token))
    return KeptToken(given, app, before[-_MOST_REPLACED:])


def rotated(kept: KeptToken, new: str, given: str | None) -> KeptToken:
    """What the file holds after a rotation; the token of the settings is never forgotten among the replaced ones."""
    setting, old = None if given is None else fingerprint(given), fingerprint(kept.refresh_token)
    marks = [mark for mark in kept.replaced if mark not in {setting, old}]
    newest = [old] if setting in {None, old} else [str(setting), old]
    return KeptToken(new, kept.app, (*marks, *newest)[-_MOST_REPLACED:])


class TokenFile:
    """One refresh token on disk.

    The file is only ever replaced whole, so that a reader sees the old content or the new one. Beside it stand
    `<name>.lock`, which is empty, and for moments `<name>.part`.

    Args:
        path: where; a symbolic link is followed.
        client_id: the app that the token belongs to.
    """

    def __init__(self, path: str, client_id: str) -> None:
        try:
            self._path = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError):
            self._path = Path("/")  # is a folder, and refused as one
        self._part = self._path.parent / f"{self._path.name}.part"
        self._lock = self._path.parent / f"{self._path.name}.lock"
        self._app = fingerprint(client_id)

    def check(self, given: str | None) -> None:
        """Look at the file without changing anything.

        Args:
            given: the setting `refresh_token`, if any.

        Raises:
            ConfigurationError: it cannot be used, or there is no token in it nor in the settings.
        """
        kept = self._read(self._path)
        folder = self._path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"The folder of the file that `{SETTING}` names is not there or cannot be written to: the file is "
                "replaced whenever Salesforce replaces the token."
            )
        if fcntl is None:
            raise ConfigurationError(f"Setting `{SETTING}` needs a system with file locks: use another `auth_flow`.")
        if kept is None and given is None and not self._part.exists():
            raise ConfigurationError(
                f"The file that `{SETTING}` names holds no refresh token yet: set `refresh_token` to the one that the "
                "app got when it was authorised."
            )

    @contextlib.contextmanager
    def locked(self, wait: Callable[[], None]) -> Iterator[None]:
        """Keep all other runs out; the lock ends with the process, whatever becomes of it.

        Args:
            wait: called while another run holds the lock; it pauses, or raises when that takes too long.

        Raises:
            ConfigurationError: the lock file cannot be made.
        """
        try:
            lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            problem = error.strerror
        else:
            try:
                while not _taken(lock):
                    wait()
                yield
            finally:
                os.close(lock)
            return
        raise ConfigurationError(f"The lock beside the file that `{SETTING}` names cannot be made ({problem}).")

    def read(self) -> KeptToken | None:
        """The newest token; hold the lock. Also one that a run which was killed had written but not put in place.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        kept = self._read(self._path)
        try:
            begun = self._read(self._part)
        except ConfigurationError:
            begun = None  # cut off in the middle; the next write replaces it
        if kept is None or begun is None:
            return kept or begun
        return begun if fingerprint(kept.refresh_token) in begun.replaced else kept

    def write(self, kept: KeptToken) -> None:
        """Replace the file; hold the lock. When this returns, the content survives a loss of power.

        Raises:
            ConfigurationError: it cannot be written.
        """
        try:
            self._part.unlink(missing_ok=True)
            part = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(part, "wb") as file:
                file.write(msgspec.json.encode(kept) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            problem = error.strerror
        else:
            return
        raise ConfigurationError(f"The file that `{SETTING}` names cannot be written ({problem}).")

    def put_back(self, before: KeptToken | None) -> None:
        """Undo a `write`; hold the lock.

        Args:
            before: what `read` gave; None removes the file.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if before is None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        else:
            self.write(before)

    def _read(self, path: Path) -> KeptToken | None:
        try:
            mode = path.stat().st_mode
            content = path.read_bytes() if stat.S_ISREG(mode) else b"no file"
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            problem = f"cannot be read ({getattr(error, 'strerror', None) or 'not a path'})"
        else:
            if not content.strip():
                return None
            kept = _decode(content)
            if not stat.S_ISREG(mode):
                problem = "is no regular file"
            elif mode & (stat.S_IRWXG | stat.S_IRWXO):
                problem = "can be read by others: `chmod 600` it"
            elif kept is None:
                problem = "is neither one that this plugin wrote nor a refresh token on one line: remove it"
            elif kept.app not in {"", self._app}:
                problem = "belongs to another app than `client_id`: give each app and org a file of its own"
            else:
                known_secrets.add(kept.refresh_token)
                return kept
        raise ConfigurationError(f"The file that `{SETTING}` names {problem}.")


def _decode(content: bytes) -> KeptToken | None:
    if len(content) > _LARGEST:
        return None
    plain = _PLAIN.fullmatch(content)
    if plain is not None:
        return KeptToken(plain.group(1).decode("ascii"))
    try:
        kept = msgspec.json.decode(content, type=KeptToken)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return kept if kept.refresh_token else None


def _taken(lock: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        problem = error.strerror
    else:
        return True
    raise ConfigurationError(f"The lock beside the file that `{SETTING}` names cannot be taken ({problem}).")
