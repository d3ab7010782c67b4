"""What an administrator may set about logging in, and the switches of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class LoginControl(msgspec.Struct, forbid_unknown_fields=True):
    """The part `login` of a control request; what is left out stays as it is.

    `username_password_flow` and `soap_login`: whether the org allows them (new orgs of Salesforce do not).
    `trusted_network`: a password is taken without the security token. `run_as_user`: the app has a user for
    the client credentials flow. `rotate_refresh_tokens`: a refresh token is good for one use.
    `require_secret_for_refresh`: the refresh token flow wants the client secret. `refresh_seconds`: how long
    Salesforce works on a refresh request; a second one with the same token in that time is refused.
    `rotate_key`: the app gets a new key pair. `revoke_refresh_token`, `new_refresh_token`: ends the refresh
    token and its sessions; makes another.
    """

    username_password_flow: bool | None = None
    soap_login: bool | None = None
    trusted_network: bool | None = None
    run_as_user: bool | None = None
    rotate_refresh_tokens: bool | None = None
    require_secret_for_refresh: bool | None = None
    refresh_seconds: Seconds | None = None
    rotate_key: bool = False
    revoke_refresh_token: bool = False
    new_refresh_token: bool = False


class Policies(msgspec.Struct):
    """How those settings stand."""

    username_password_flow: bool = True
    soap_login: bool = True
    trusted_network: bool = False
    run_as_user: bool = True
    rotate_refresh_tokens: bool = False
    require_secret_for_refresh: bool = True
    refresh_seconds: float = 0.0

    def apply(self, control: LoginControl) -> None:
        """Take over what a control request sets."""
        for name in self.__struct_fields__:
            value = getattr(control, name)
            if value is not None:
                setattr(self, name, value)
