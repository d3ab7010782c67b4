"""The login service: every documented way to get an access token, and who holds one."""

from __future__ import annotations

from localcloud.salesforce.login.credentials import Credentials, load_credentials
from localcloud.salesforce.login.errors import OAuthError
from localcloud.salesforce.login.service import LoginService
from localcloud.salesforce.login.sessions import Session, Sessions

__all__ = ["Credentials", "LoginService", "OAuthError", "Session", "Sessions", "load_credentials"]
