"""Addresses in settings: what a login host may be called, and which addresses may go without TLS."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from microdecisions.errors import ConfigurationError

__all__ = ["COMMON_LOGINS", "is_loopback", "login_origin", "my_domain", "origin_of"]

COMMON_LOGINS: Final = frozenset({"login", "test"})
"""The domains that all orgs share; every other one is a My Domain."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_MY_DOMAIN = re.compile(
    rf"({_LABEL}(?:\.(?!(?:my|com|force|lightning|salesforce)\b){_LABEL})?)(?:\.my)?(?:\.salesforce\.com)?"
)


def my_domain(domain: str) -> str:
    """The name of a domain without `.my.salesforce.com`: `login`, `test`, `acme`, `acme--uat.sandbox`.

    Raises:
        ConfigurationError: it is no such name.
    """
    match = _MY_DOMAIN.fullmatch(domain.strip().lower())
    if match is None:
        raise ConfigurationError(
            "Setting `domain` must be `login`, `test` or a My Domain name such as `acme` or `acme--uat.sandbox`; "
            "a whole address goes into `login_url`."
        )
    return match.group(1)


def login_origin(domain: str) -> str:
    """Scheme and host that logins of a domain go to.

    Raises:
        ConfigurationError: it is no domain.
    """
    name = my_domain(domain)
    return f"https://{name}.salesforce.com" if name in COMMON_LOGINS else f"https://{name}.my.salesforce.com"


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
