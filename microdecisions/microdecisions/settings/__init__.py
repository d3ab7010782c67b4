"""Settings that all plugins share: Salesforce login and the use of its API, declared once."""

from __future__ import annotations

from microdecisions.declaration import Settings, json_schema, load, secret_names
from microdecisions.settings.addresses import is_loopback, origin_of
from microdecisions.settings.login import LoginSettings
from microdecisions.settings.running import RunSettings

__all__ = [
    "LoginSettings",
    "RunSettings",
    "Settings",
    "is_loopback",
    "json_schema",
    "load",
    "origin_of",
    "secret_names",
]
