"""The flow of a ready access token: nothing is asked for but whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microdecisions.errors import LoginError
from microdecisions.ids import is_id, to_18
from microdecisions.login.parts import LoginAnswer, LoginFlow, LoginRequest, Token
from microdecisions.settings import origin_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from microdecisions.settings import LoginSettings

__all__ = ["access_token_flow"]


class _UserInfo(msgspec.Struct):
    organization_id: str
    user_id: str = ""


def access_token_flow(settings: LoginSettings, now: Callable[[], datetime]) -> LoginFlow:
    """Use a ready access token; the user's and the org's id come from the org's userinfo.

    A token whose scope does not include userinfo still works when it is a session id, which begins with the org's id.

    Raises:
        LoginError: the token is not valid, or does not tell the org.
    """
    token, instance = settings.access_token or "", origin_of(settings.instance_url or "", "instance_url")
    answer = yield LoginRequest(
        "GET",
        f"{instance}/services/oauth2/userinfo",
        None,
        {"Accept": "application/json", "Authorization": f"Bearer {token}"},
    )
    org_id, user_id = _who(answer, token)
    return Token(access_token=token, instance_url=instance, org_id=org_id, user_id=user_id, issued_at=now())


def _who(answer: LoginAnswer, token: str) -> tuple[str, str]:
    if answer.status == 200:
        try:
            info = msgspec.json.decode(answer.body, type=_UserInfo)
            return to_18(info.organization_id), to_18(info.user_id) if info.user_id else ""
        except (msgspec.DecodeError, ValueError):
            pass
    refused = answer.status == 401 or b"OAuth_Token" in answer.body or b"INVALID_SESSION" in answer.body
    start = token.partition("!")[0]
    if answer.status in {403, 404} and not refused and "!" in token and start.startswith("00D") and is_id(start):
        return to_18(start), ""
    if refused or answer.status in {400, 403}:
        raise LoginError(
            "Salesforce refused the access token: it has expired or belongs to another org than `instance_url`; "
            "set a new `access_token`, or use `auth_flow` `jwt_bearer`."
        )
    raise LoginError(
        f"The host of `instance_url` did not answer the login like Salesforce (HTTP {answer.status}): it must be "
        "the org's own address, such as `https://acme.my.salesforce.com`."
    )
