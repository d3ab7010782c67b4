"""From settings to a way of logging in: which flow, with which secrets, and what becomes of a rotated token."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from microdecisions.login import (
    access_token_flow,
    client_credentials_flow,
    jwt_bearer_flow,
    soap_login_flow,
    username_password_flow,
)
from microdecisions.redaction import known_secrets
from microdecisions.refreshing import RefreshTokens
from microdecisions.tokens import run_flow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from microdecisions.login import Exchange, LoginFlow, Token
    from microdecisions.retries import Patience
    from microdecisions.settings import LoginSettings

__all__ = ["login_of"]

logger = logging.getLogger(__name__)

# Sources: SOAP API Developer Guide, "login()"; Salesforce release notes, "Retirement of OAuth 2.0 Username-Password
# Flow for Connected Apps"; secondary sources name 20 February 2027 after a first date in Winter '27.
_SOAP_ENDS: Final = (
    "This run logs in by SOAP login(), sent at API version 64.0: it is not available from API version 65.0 on and "
    "retires in Summer '27. Move to `auth_flow` `client_credentials` or `jwt_bearer` before that."
)
_OAUTH_ENDS: Final = (
    "This run logs in by the OAuth username-password flow, which Salesforce has announced to retire in early 2027. "
    "Move to `auth_flow` `client_credentials` or `jwt_bearer` before that."
)


def login_of(
    settings: LoginSettings, patience: Patience, *, client_name: str, now: Callable[[], datetime]
) -> Callable[[Exchange], Token]:
    """What logs in once each time it is called, sending its requests by what it is given.

    Registers every secret of the settings for redaction, and warns once of a flow that is on its way out.

    Args:
        settings: checked login settings; the private key is read here.
        patience: how long to wait for another run that renews its session from the same file.
        client_name: shown in Salesforce's logs.
        now: the wall clock, aware UTC.

    Raises:
        ConfigurationError: the private key cannot be read or used.
    """
    _register(settings)
    if settings.auth_flow == "refresh_token":
        return RefreshTokens(settings, patience, now).log_in
    start = _flow(settings, client_name, now)
    return lambda exchange: run_flow(start(), exchange)


def _register(settings: LoginSettings) -> None:
    known_secrets.add(
        settings.access_token,
        settings.private_key,
        settings.client_secret,
        settings.refresh_token,
        settings.password,
        settings.security_token,
        f"{settings.password or ''}{settings.security_token or ''}",
    )


def _flow(settings: LoginSettings, client_name: str, now: Callable[[], datetime]) -> Callable[[], LoginFlow]:
    """What starts a flow; started again for each try, so that each signs a fresh assertion."""
    if settings.auth_flow == "access_token":
        return lambda: access_token_flow(settings, now)
    if settings.auth_flow == "client_credentials":
        return lambda: client_credentials_flow(settings, now)
    if settings.auth_flow == "username_password":
        soap = settings.login_api == "soap"
        logger.warning("%s", _SOAP_ENDS if soap else _OAUTH_ENDS)
        return lambda: soap_login_flow(settings, client_name, now) if soap else username_password_flow(settings, now)
    key = settings.signing_key()
    return lambda: jwt_bearer_flow(settings, key, now)
