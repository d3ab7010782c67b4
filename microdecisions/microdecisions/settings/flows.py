"""Which settings each login flow needs, which it takes, and the sentence for each mistake. Reads no file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from microdecisions.errors import ConfigurationError
from microdecisions.settings.addresses import COMMON_LOGINS, my_domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microdecisions.settings.login import LoginSettings

__all__ = ["check_flow"]


class _Flow(msgspec.Struct, frozen=True):
    """The credentials of one flow: all of `needs`, one of `one_of`, any of `may`."""

    needs: tuple[str, ...]
    one_of: tuple[str, ...] = ()
    may: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        return name in {*self.needs, *self.one_of, *self.may}


_SOAP: Final = "username_password with `login_api` `soap`"
_FLOWS: Final[Mapping[str, _Flow]] = {
    "jwt_bearer": _Flow(
        needs=("client_id", "username"), one_of=("private_key_path", "private_key"), may=("jwt_audience",)
    ),
    "client_credentials": _Flow(needs=("client_id", "client_secret")),
    "refresh_token": _Flow(
        needs=("client_id",), one_of=("refresh_token", "refresh_token_path"), may=("client_secret",)
    ),
    "username_password": _Flow(
        needs=("client_id", "username", "password"), may=("client_secret", "security_token", "login_api")
    ),
    _SOAP: _Flow(needs=("username", "password"), may=("security_token", "login_api")),
    "access_token": _Flow(needs=("access_token", "instance_url")),
}
_TELLS: Final[Mapping[str, str]] = {
    "access_token": "access_token",
    "refresh_token": "refresh_token",
    "refresh_token_path": "refresh_token",
    "password": "username_password",
    "private_key_path": "jwt_bearer",
    "private_key": "jwt_bearer",
    "client_secret": "client_credentials",
}
"""The flow that somebody has in mind who sets this: the most telling first."""

_CREDENTIALS: Final = tuple(
    dict.fromkeys(name for flow in _FLOWS.values() for name in (*flow.needs, *flow.one_of, *flow.may))
)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_flow(settings: LoginSettings) -> None:
    """Check the credentials of the chosen flow.

    A credential of another flow is refused rather than left unused: whoever set it believes that it decides who logs
    in.

    Raises:
        ConfigurationError: one is missing, does not belong to the flow, or cannot be sent.
    """
    soap = settings.auth_flow == "username_password" and settings.login_api == "soap"
    name = _SOAP if soap else settings.auth_flow
    flow = _FLOWS[name]
    given = {credential for credential in _CREDENTIALS if _is_set(settings, credential)}
    _check_complete(name, flow, given)
    if given.issuperset({"private_key", "private_key_path"}):
        raise ConfigurationError("Settings `private_key` and `private_key_path` are both set: keep one of them.")
    for credential in _CREDENTIALS:
        if credential in given and not flow.takes(credential):
            raise ConfigurationError(_stranger(credential, name))
    if settings.auth_flow == "client_credentials":
        _check_own_domain(settings)
    _check_text(settings, given)


def _is_set(settings: LoginSettings, name: str) -> bool:
    return settings.login_api == "soap" if name == "login_api" else getattr(settings, name) is not None


def _check_complete(name: str, flow: _Flow, given: set[str]) -> None:
    other = next((_TELLS[tells] for tells in _TELLS if tells in given and not flow.takes(tells)), None)
    hint = f", or set `auth_flow` to `{other}`" if other is not None else ""
    for needed in flow.needs:
        if needed not in given:
            raise ConfigurationError(f"Setting `{needed}` is missing: the login flow {_quoted(name)} needs it{hint}.")
    if given.isdisjoint(flow.one_of) and flow.one_of == ("private_key_path", "private_key"):
        raise ConfigurationError(
            f"A private key is missing: set `private_key_path` to its PEM file, or `private_key` to its text{hint}."
        )
    if flow.one_of and given.isdisjoint(flow.one_of):
        raise ConfigurationError(
            "Setting `refresh_token` is missing: the login flow `refresh_token` needs it, or a `refresh_token_path` "
            f"whose file holds one{hint}."
        )


def _stranger(name: str, flow: str) -> str:
    if name == "instance_url":
        return (
            "Setting `instance_url` only goes with `auth_flow` `access_token`: remove it, the login answers the "
            "address; to log in somewhere else set `domain` or `login_url`."
        )
    if name == "login_api":
        return (
            "Setting `login_api` only goes with `auth_flow` `username_password`: remove it, the other flows are OAuth."
        )
    if name == "username" and flow in {"client_credentials", "refresh_token"}:
        who = "the app's Run As user" if flow == "client_credentials" else "the user who authorised the app"
        return f"Setting `username` does not belong to the login flow `{flow}`, which logs in as {who}: remove it."
    other = _TELLS.get(name)
    hint = f", or set `auth_flow` to `{other}`" if other is not None and not flow.startswith(other) else ""
    return f"Setting `{name}` does not belong to the login flow {_quoted(flow)}: remove it{hint}."


def _quoted(flow: str) -> str:
    word, _, rest = flow.partition(" ")
    return f"`{word}` {rest}".rstrip()


def _check_own_domain(settings: LoginSettings) -> None:
    """Salesforce Help, "OAuth 2.0 Client Credentials Flow": the token address must be the org's My Domain."""
    name = settings.address_setting
    if settings.login_url is None:
        common = my_domain(settings.domain) in COMMON_LOGINS
    else:
        common = urlsplit(settings.login_origin).hostname in {f"{login}.salesforce.com" for login in COMMON_LOGINS}
    if common:
        example = "`acme` or `acme--uat.sandbox`" if name == "domain" else "`https://acme.my.salesforce.com`"
        raise ConfigurationError(
            f"Setting `{name}` must be the org's My Domain, such as {example}: Salesforce does not serve the login "
            "flow `client_credentials` at login.salesforce.com and test.salesforce.com."
        )


def _check_text(settings: LoginSettings, given: set[str]) -> None:
    for name in given - {"private_key", "private_key_path", "refresh_token_path", "login_api"}:
        text = getattr(settings, name)
        if _CONTROL.search(text):
            raise ConfigurationError(f"Setting `{name}` holds a line end or another control character: copy it again.")
    token = settings.access_token
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise ConfigurationError("Setting `access_token` holds a character that no token has: copy it again.")
