"""Settings that all plugins share: Salesforce login and the use of its API, declared once."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping  # noqa: TC003  # msgspec evaluates annotations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from microdecisions.declaration import SECRET, Settings, json_schema, load, secret_names
from microdecisions.errors import ConfigurationError
from microdecisions.keys import parse_private_key, read_key_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["LoginSettings", "Settings", "is_loopback", "json_schema", "load", "origin_of", "secret_names"]

Percent = Annotated[int, Meta(ge=1, le=100)]
# Whole numbers: Meltano cannot pass a decimal setting that comes from the environment.
Seconds = Annotated[int, Meta(ge=1, le=3600)]

_NO_SUCH_FLOW = "belongs to a login flow that this version does not have: use `jwt_bearer` or `access_token`"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_MY_DOMAIN = re.compile(
    rf"({_LABEL}(?:\.(?!(?:my|com|force|lightning|salesforce)\b){_LABEL})?)(?:\.my)?(?:\.salesforce\.com)?"
)
_API_VERSION = re.compile(r"[1-9][0-9]{1,2}\.0")
_COMMON = frozenset({"login", "test"})


class LoginSettings(Settings, frozen=True, kw_only=True):
    """How to log in to Salesforce and how much of its API to use.

    A plugin adds its own in a subclass (`class TapSettings(LoginSettings, frozen=True, kw_only=True)`). An object of
    this class is consistent: making one checks the settings against each other, without reading any file.

    Raises:
        ConfigurationError: a setting, or a pair of them, cannot be used, or one is missing.
    """

    reserved: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("client_secret", "password", "security_token", "refresh_token"), _NO_SUCH_FLOW),
        "allow_org_change": "is not known to this version: remove it",
    }

    auth_flow: Annotated[
        Literal["jwt_bearer", "access_token"],
        Meta(
            title="Login flow",
            description="How to log in: `jwt_bearer` signs with a private key; `access_token` uses a ready token.",
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
    username: Annotated[
        str | None, Meta(title="Username", description="Salesforce username of the integration user.")
    ] = None
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
            description="PEM file of certificates to trust instead of the usual ones, for proxies that inspect TLS.",
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
        Seconds, Meta(title="Read timeout (s)", description="How long to wait for the next bytes of an answer.")
    ] = 120

    def __post_init__(self) -> None:
        self._check_addresses()
        if not _API_VERSION.fullmatch(self.api_version):
            raise ConfigurationError("Setting `api_version` must look like `66.0`.")
        if self.auth_flow == "jwt_bearer":
            self._check_jwt_bearer()
        else:
            self._check_access_token()

    @property
    def login_origin(self) -> str:
        """Scheme and host that logins go to, without a trailing slash."""
        if self.login_url is not None:
            return origin_of(self.login_url, "login_url")
        name = _my_domain(self.domain)
        return f"https://{name}.salesforce.com" if name in _COMMON else f"https://{name}.my.salesforce.com"

    @property
    def audience(self) -> str:
        """Audience claim of a login JWT: production or sandbox, unless `jwt_audience` says otherwise.

        Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow": login.salesforce.com, test.salesforce.com or a site URL.
        """
        if self.jwt_audience is not None:
            return self.jwt_audience
        host = urlsplit(self.login_origin).hostname or ""
        name = _my_domain(host if host.endswith(".salesforce.com") else self.domain)
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
        """Read the private key and the CA bundle.

        Raises:
            ConfigurationError: one of them cannot be read or used.
        """
        if self.auth_flow == "jwt_bearer":
            self.signing_key()
        if self.ca_bundle is not None:
            _check_ca_bundle(self.ca_bundle)

    def _check_addresses(self) -> None:
        if self.login_url is not None:
            origin_of(self.login_url, "login_url")
        if self.instance_url is not None:
            origin_of(self.instance_url, "instance_url")
        _my_domain(self.domain)

    def _check_jwt_bearer(self) -> None:
        for name in ("client_id", "username"):
            if getattr(self, name) is None:
                hint = ", or set `auth_flow` to `access_token`" if self.access_token is not None else ""
                raise ConfigurationError(f"Setting `{name}` is missing: the login flow `jwt_bearer` needs it{hint}.")
        if self.private_key is None and self.private_key_path is None:
            raise ConfigurationError(
                "A private key is missing: set `private_key_path` to its PEM file, or `private_key` to its text."
            )
        if self.private_key is not None and self.private_key_path is not None:
            raise ConfigurationError("Settings `private_key` and `private_key_path` are both set: keep one of them.")
        if self.instance_url is not None:
            raise ConfigurationError(
                "Setting `instance_url` only goes with `auth_flow` `access_token`: remove it, the login answers the "
                "address; to log in somewhere else set `domain` or `login_url`."
            )

    def _check_access_token(self) -> None:
        for name in ("access_token", "instance_url"):
            if getattr(self, name) is None:
                raise ConfigurationError(f"Setting `{name}` is missing: the login flow `access_token` needs it.")


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine: `localhost`, 127.0.0.0/8, `::1`."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def origin_of(url: str, setting: str) -> str:
    """Scheme, host and port of an address; https, or http on this machine.

    Raises:
        ConfigurationError: it is no such address; the message names the setting and does not repeat the address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in {"http", "https"} or not re.fullmatch(r"[A-Za-z0-9.:-]+", host):
        raise ConfigurationError(f"Setting `{setting}` must be an address such as `https://acme.my.salesforce.com`.")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"Setting `{setting}` must not hold credentials: remove what stands before the `@`.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigurationError(f"Setting `{setting}` must end after the host name: remove the path behind it.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"Setting `{setting}` must begin with `https://`: http is for this machine only.")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def _my_domain(domain: str) -> str:
    """The name of a domain without `.my.salesforce.com`: `login`, `test`, `acme`, `acme--uat.sandbox`."""
    match = _MY_DOMAIN.fullmatch(domain.strip().lower())
    if match is None:
        raise ConfigurationError(
            "Setting `domain` must be `login`, `test` or a My Domain name such as `acme` or `acme--uat.sandbox`; "
            "a whole address goes into `login_url`."
        )
    return match.group(1)


def _check_ca_bundle(path: str) -> None:
    try:
        ssl.create_default_context(cafile=str(Path(path).expanduser()))
    except ssl.SSLError:
        reason = "holds no certificates in PEM form"
    except (OSError, ValueError) as error:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or 'not a path'})"
    else:
        return
    raise ConfigurationError(f"The file that `ca_bundle` names {reason}: give a PEM file of the certificates to trust.")
