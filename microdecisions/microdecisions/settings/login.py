"""The login settings: how to log in to Salesforce and how much of its API to use."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping  # noqa: TC003  # msgspec evaluates annotations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from microdecisions.declaration import SECRET, Settings
from microdecisions.errors import ConfigurationError
from microdecisions.keys import parse_private_key, read_key_file
from microdecisions.settings import addresses, flows
from microdecisions.token_file import TokenFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["LoginSettings"]

Percent = Annotated[int, Meta(ge=1, le=100)]
# Whole numbers: Meltano cannot pass a decimal setting that comes from the environment.
Seconds = Annotated[int, Meta(ge=1, le=3600)]

_API_VERSION = re.compile(r"[1-9][0-9]{1,2}\.0")


class LoginSettings(Settings, frozen=True, kw_only=True):
    """How to log in to Salesforce and how much of its API to use.

    A plugin adds its own in a subclass (`class TapSettings(LoginSettings, frozen=True, kw_only=True)`). An object of
    this class is consistent: making one checks the settings against each other, without reading any file.

    Raises:
        ConfigurationError: a setting, or a pair of them, cannot be used, or one is missing.
    """

    reserved: ClassVar[Mapping[str, str]] = {
        "allow_org_change": "is not known to this version: remove it",
    }

    paths: ClassVar[frozenset[str]] = frozenset({"ca_bundle"})

    auth_flow: Annotated[
        Literal["jwt_bearer", "client_credentials", "refresh_token", "username_password", "access_token"],
        Meta(
            title="Login flow",
            description="How to log in: `jwt_bearer` signs with a private key; `client_credentials` sends the app's "
            "secret (My Domain only); `refresh_token` uses what a person authorised; `username_password` is on its way "
            "out; `access_token` uses a ready token.",
        ),
    ] = "jwt_bearer"
    domain: Annotated[
        str,
        Meta(
            title="Salesforce domain",
            description="`login` (production), `test` (sandboxes), or a My Domain name such as `acme`, "
            "`acme--uat.sandbox` or `acme.my.salesforce.com`.",
        ),
    ] = "login"
    login_url: Annotated[
        str | None,
        Meta(
            title="Login URL",
            description="Overrides `domain`: the https address that logins go to (http only on this machine).",
        ),
    ] = None
    jwt_audience: Annotated[
        str | None,
        Meta(
            title="JWT audience",
            description="Overrides the audience that follows from `domain`, for example with an Experience site's URL.",
        ),
    ] = None
    client_id: Annotated[
        str | None,
        Meta(
            title="Client id",
            description="Consumer key of the External Client App or Connected App.",
            extra_json_schema=SECRET,
        ),
    ] = None
    client_secret: Annotated[
        str | None,
        Meta(
            title="Client secret",
            description="Consumer secret of the app, for `client_credentials`, and for `refresh_token` and "
            "`username_password` unless the app does not require it.",
            extra_json_schema=SECRET,
        ),
    ] = None
    username: Annotated[
        str | None,
        Meta(
            title="Username",
            description="Salesforce username of the integration user, for `jwt_bearer` and `username_password`.",
        ),
    ] = None
    password: Annotated[
        str | None,
        Meta(title="Password", description="The user's password, for `username_password`.", extra_json_schema=SECRET),
    ] = None
    security_token: Annotated[
        str | None,
        Meta(
            title="Security token",
            description="The user's security token, for `username_password` from outside the org's trusted networks.",
            extra_json_schema=SECRET,
        ),
    ] = None
    login_api: Annotated[
        Literal["oauth", "soap"],
        Meta(
            title="Login API",
            description="What takes the password of `username_password`: `oauth`, or `soap` for login() of the SOAP "
            "API 64.0, which Salesforce retires in Summer '27.",
        ),
    ] = "oauth"
    private_key: Annotated[
        str | None,
        Meta(
            title="Private key",
            description="RSA private key in PEM form whose certificate the app holds; `\\n` may stand for line ends.",
            extra_json_schema=SECRET,
        ),
    ] = None
    private_key_path: Annotated[
        str | None, Meta(title="Private key file", description="Path of the PEM file, instead of `private_key`.")
    ] = None
    refresh_token: Annotated[
        str | None,
        Meta(
            title="Refresh token",
            description="The refresh token that the app got when a user authorised it, for `refresh_token`.",
            extra_json_schema=SECRET,
        ),
    ] = None
    refresh_token_path: Annotated[
        str | None,
        Meta(
            title="Refresh token file",
            description="A file of your own that keeps the newest refresh token where the app rotates them; it is "
            "made and rewritten by each run, readable for its owner only.",
        ),
    ] = None
    access_token: Annotated[
        str | None,
        Meta(
            title="Access token",
            description="A ready access token, for `auth_flow` `access_token`; it is not renewed when it expires.",
            extra_json_schema=SECRET,
        ),
    ] = None
    instance_url: Annotated[
        str | None,
        Meta(
            title="Instance URL",
            description="The org's own address, only with `auth_flow` `access_token`; other flows learn it at login.",
        ),
    ] = None
    api_version: Annotated[
        str, Meta(title="API version", description="Version of the Salesforce API, such as `66.0`.")
    ] = "66.0"
    ca_bundle: Annotated[
        str | None,
        Meta(
            title="CA bundle",
            description="PEM file of certificates to trust instead of the usual ones, for proxies that inspect TLS; "
            "`~` is your home.",
        ),
    ] = None
    quota_percent_total: Annotated[
        Percent | None,
        Meta(
            title="Ceiling for all API use (%)",
            description="Stop with exit code 3 once all clients have used this share of the daily API calls.",
        ),
    ] = None
    quota_percent_run: Annotated[
        Percent | None,
        Meta(
            title="Ceiling for this run (%)",
            description="Stop with exit code 3 once this run has used this share of the org's daily API calls.",
        ),
    ] = None
    connect_timeout_seconds: Annotated[
        Seconds, Meta(title="Connect timeout (s)", description="How long to wait for a connection.")
    ] = 10
    read_timeout_seconds: Annotated[
        Seconds,
        Meta(
            title="Read timeout (s)",
            description="How long to wait for the next bytes of an answer. Salesforce itself gives a query up after "
            "about 120 s.",
        ),
    ] = 180

    def __post_init__(self) -> None:
        if self.login_url is not None:
            addresses.origin_of(self.login_url, "login_url")
        if self.instance_url is not None:
            addresses.origin_of(self.instance_url, "instance_url")
        addresses.my_domain(self.domain)
        if not _API_VERSION.fullmatch(self.api_version):
            raise ConfigurationError("Setting `api_version` must look like `66.0`.")
        flows.check_flow(self)

    @property
    def login_origin(self) -> str:
        """Scheme and host that logins go to, without a trailing slash."""
        if self.login_url is not None:
            return addresses.origin_of(self.login_url, "login_url")
        return addresses.login_origin(self.domain)

    @property
    def audience(self) -> str:
        """Audience claim of a login JWT: production or sandbox, unless `jwt_audience` says otherwise.

        Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow": login.salesforce.com, test.salesforce.com or a site URL.
        """
        if self.jwt_audience is not None:
            return self.jwt_audience
        host = urlsplit(self.login_origin).hostname or ""
        name = addresses.my_domain(host if host.endswith(".salesforce.com") else self.domain)
        org, _, kind = name.partition(".")
        is_sandbox = name == "test" or "--" in org or kind in {"sandbox", "scratch"}
        return f"https://{'test' if is_sandbox else 'login'}.salesforce.com"

    @property
    def address_setting(self) -> str:
        """The setting to look at when the host does not answer."""
        if self.auth_flow == "access_token":
            return "instance_url"
        return "domain" if self.login_url is None else "login_url"

    def signing_key(self) -> RSAPrivateKey:
        """The private key of `private_key` or of the file `private_key_path`.

        Raises:
            ConfigurationError: there is none, or it cannot be read or used.
        """
        if self.private_key is not None:
            return parse_private_key(self.private_key, "private_key")
        if self.private_key_path is not None:
            return parse_private_key(read_key_file(self.private_key_path, "private_key_path"), "private_key_path")
        raise ConfigurationError("Setting `private_key` or `private_key_path` is missing.")

    def check_files(self) -> None:
        """Read the private key, the CA bundle and the file of the refresh token.

        Raises:
            ConfigurationError: one of them cannot be read or used.
        """
        if self.auth_flow == "jwt_bearer":
            self.signing_key()
        if self.ca_bundle is not None:
            _check_ca_bundle(self.ca_bundle)
        if (file := self.token_file()) is not None:
            file.check(self.refresh_token)

    def token_file(self) -> TokenFile | None:
        """The file that keeps the newest refresh token, if there is to be one."""
        if self.refresh_token_path is None:
            return None
        return TokenFile(self.refresh_token_path, self.client_id or "")


def _check_ca_bundle(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        reason = "holds no certificates in PEM form"
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or 'not a path'})"
    else:
        return
    raise ConfigurationError(f"The file that `ca_bundle` names {reason}: give a PEM file of the certificates to trust.")
