"""Logging in by refresh token: which one is the newest, and where the one that replaces it goes before it is needed."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.errors import ConfigurationError, LoginError, MicroDecisionError
from microdecisions.login import refresh_token_flow
from microdecisions.redaction import known_secrets
from microdecisions.retries import TryAgainError
from microdecisions.token_file import KeptToken, TokenFile, choose, rotated
from microdecisions.tokens import run_flow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from microdecisions.login import Exchange, Token
    from microdecisions.retries import Patience
    from microdecisions.settings import LoginSettings

__all__ = ["RefreshTokens"]

logger = logging.getLogger(__name__)

_LONGEST_WAIT: Final = 300.0  # seconds; a renewal takes one, and ends for sure after its timeouts
_STEP: Final = 0.2  # seconds between two looks at the lock

_NOT_KEPT: Final = (
    "Salesforce has replaced the refresh token, and this run has nowhere to keep the new one: the next run will be "
    "refused. Authorise the app again, set the new `refresh_token`, and set `refresh_token_path` to a file that stays "
    "between runs."
)
_NOT_ENDED: Final = (
    "An earlier renewal was broken off before its answer was kept, so the token that Salesforce gave then may be lost."
)


class RefreshTokens:
    """Logs in by the newest refresh token, and keeps the one that replaces it; one login at a time.

    With a file, all runs that name the same one take turns: the lock is held from reading the token to having written
    its successor, so that no token is ever sent twice. Without one, the newest is remembered for this run.

    Args:
        settings: checked settings of the flow `refresh_token`.
        patience: its clocks and stop flag are used for waiting.
        now: the wall clock, aware UTC.
    """

    def __init__(self, settings: LoginSettings, patience: Patience, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._patience = patience
        self._now = now
        self._file = settings.token_file()
        self._newest = settings.refresh_token
        self._warned = False

    def log_in(self, exchange: Exchange) -> Token:
        """One login.

        Raises:
            ConfigurationError: the file cannot be used, or (`LoginError`) Salesforce refuses.
            MicroDecisionError: another run does not let go of the file.
            TryAgainError: the try failed in a way that may pass.
        """
        file = self._file
        if file is None:
            return self._run(self._newest or "", self._remember, exchange)
        # In a thread of its own: a signal interrupts the main thread wherever it is, and between the answer and the
        # file the only copy of a token would be lost. Leaving this block waits for the thread, also after a signal.
        with ThreadPoolExecutor(1, "refresh-token") as pool:
            return pool.submit(self._take_turn, file, exchange).result()

    def _take_turn(self, file: TokenFile, exchange: Exchange) -> Token:
        with file.locked(self._waiting()):
            before = file.read()
            found = choose(before, self._newest, self._settings.client_id or "")
            if found is None:
                raise ConfigurationError(
                    "The file that `refresh_token_path` names is gone, and `refresh_token` is not set: authorise the "
                    "app again and set the new `refresh_token`."
                )
            known_secrets.add(found.refresh_token)
            return self._renew(file, before, found, exchange)

    def _renew(self, file: TokenFile, before: KeptToken | None, found: KeptToken, exchange: Exchange) -> Token:
        """Renew with a token; the lock is held.

        It is written before it is sent: a file that cannot be written is found out while the token is still good.
        What was in the file before comes back when Salesforce says no: a mistyped setting must not cost a good token.
        """
        kept = msgspec.structs.replace(found, renewing=True)
        file.write(kept)

        def keep(new: str) -> None:
            nonlocal kept
            known_secrets.add(new)
            kept = rotated(kept, new, self._settings.refresh_token)
            self._newest = new
            self._store(file, kept)

        try:
            token = self._run(found.refresh_token, keep, exchange)
        except TryAgainError as failure:
            if not failure.unknown:
                file.put_back(before)
            raise
        except MicroDecisionError as error:
            if kept.refresh_token == found.refresh_token:
                file.put_back(before)
            if found.renewing and isinstance(error, LoginError):
                raise LoginError(f"{error} {_NOT_ENDED}") from None
            raise
        if kept.renewing:
            file.write(msgspec.structs.replace(kept, renewing=False))
        return token

    def _store(self, file: TokenFile, kept: KeptToken) -> None:
        try:
            file.write(kept)
        except ConfigurationError as error:
            problem = str(error)
        else:
            return
        raise ConfigurationError(
            f"{problem} Salesforce had already replaced the refresh token, so that the new one is lost: authorise the "
            "app again and set the new `refresh_token`."
        )

    def _remember(self, new: str) -> None:
        known_secrets.add(new)
        self._newest = new
        if not self._warned:
            logger.warning("%s", _NOT_KEPT)
        self._warned = True

    def _run(self, refresh_token: str, keep: Callable[[str], None], exchange: Exchange) -> Token:
        return run_flow(refresh_token_flow(self._settings, refresh_token, keep, self._now), exchange)

    def _waiting(self) -> Callable[[], None]:
        waited = 0.0

        def wait() -> None:
            nonlocal waited
            if waited >= _LONGEST_WAIT:
                raise MicroDecisionError(
                    f"Another run has been renewing its session from the file that `refresh_token_path` names for "
                    f"{waited:.0f} s: see what became of it and run again."
                )
            if not waited:
                logger.info("Waiting for another run that renews its session from the same file.")
            waited += self._patience.wait(_STEP)

        return wait
