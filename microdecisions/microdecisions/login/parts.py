"""What login flows are made of: requests, answers, the token."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime  # noqa: TC003  # msgspec evaluates annotations
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from microdecisions.errors import ConfigurationError, LoginError
from microdecisions.redaction import BLANK
from microdecisions.settings import is_loopback, origin_of

if TYPE_CHECKING:
    from microdecisions.settings import LoginSettings

__all__ = ["Exchange", "LoginAnswer", "LoginFlow", "LoginRequest", "Token", "answered_instance"]


class LoginRequest(msgspec.Struct, frozen=True):
    """A request that a flow wants sent.

    Attributes:
        method: HTTP method.
        url: the whole address.
        form: goes as `application/x-www-form-urlencoded`; None means no form.
        headers: its headers.
        xml: goes as the body of a SOAP request, in place of a form.
    """

    method: str
    url: str
    form: dict[str, str] | None
    headers: dict[str, str]
    xml: bytes | None = None

    def __repr__(self) -> str:
        """Method and address; everything else holds secrets."""
        return f"LoginRequest({self.method} {self.url})"


class LoginAnswer(msgspec.Struct, frozen=True):
    """What came back: HTTP status and the body's bytes."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        """Only the status; the body holds the token."""
        return f"LoginAnswer({self.status})"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A session with an org.

    Attributes:
        access_token: goes into the `Authorization` header, and nowhere else.
        instance_url: scheme and host of the org, without a trailing slash.
        org_id: 18-character id of the org.
        user_id: 18-character id of the logged-in user; empty when Salesforce did not say.
        issued_at: when the token was issued, aware UTC.
    """

    access_token: str
    instance_url: str
    org_id: str
    user_id: str
    issued_at: datetime

    def __repr__(self) -> str:
        """Everything but the token."""
        return f"Token({BLANK}, {self.instance_url}, org {self.org_id}, user {self.user_id})"


LoginFlow = Generator[LoginRequest, LoginAnswer, Token]
Exchange = Callable[[LoginRequest], LoginAnswer]


def answered_instance(url: str, settings: LoginSettings) -> str:
    """The instance address that a login answered; one over the network may not send us to plain http on this machine.

    Raises:
        LoginError: it is not https.
    """
    try:
        origin = origin_of(url, "instance_url")
    except ConfigurationError:
        origin = ""
    if origin.startswith("http://") and not is_loopback(urlsplit(settings.login_origin).hostname):
        origin = ""
    if not origin:
        raise LoginError(
            f"The login answered an instance address that is not https: check `{settings.address_setting}`."
        )
    return origin
