"""The org that a contract test asks: the stand-in, or a real one whose credentials stand in the environment."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Self

import jwt
import requests

TIMEOUT_S = 120.0
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


class Credentials:
    """How to log in, by the JWT bearer flow.

    Args:
        login_url: Where tokens are granted, such as `https://login.salesforce.com`.
        client_id: The consumer key of the app.
        username: The user.
        private_key: PEM text of the key whose certificate the app has.
        audience: What the assertion names as its audience.
        pubsub: `host:port` of the Pub/Sub API; None: it is not asked.
        pubsub_plaintext: Whether that port speaks plain text (loopback only).
    """

    def __init__(
        self,
        login_url: str,
        client_id: str,
        username: str,
        private_key: str,
        *,
        audience: str = "https://login.salesforce.com",
        pubsub: str | None = None,
        pubsub_plaintext: bool = False,
    ) -> None:
        self.login_url = login_url.rstrip("/")
        self.client_id = client_id
        self.username = username
        self.private_key = private_key
        self.audience = audience
        self.pubsub = pubsub
        self.pubsub_plaintext = pubsub_plaintext

    @classmethod
    def of_environment(cls, alias: str) -> Self:
        """The credentials of a real org, from `CONTRACT_<ALIAS>_CLIENT_ID` and its like.

        Raises:
            ValueError: One is missing; the message names it.
        """
        if not _ALIAS.fullmatch(alias):
            raise ValueError(f"ORG={alias}: an alias is letters, digits and underscores")
        prefix = f"CONTRACT_{alias.upper()}_"

        def value(name: str, default: str | None = None) -> str:
            found = os.environ.get(prefix + name, default)
            if not found:
                raise ValueError(f"the environment lacks {prefix}{name}, which the contract tests need for ORG={alias}")
            return found

        domain = value("LOGIN_URL", "https://login.salesforce.com")
        if not domain.startswith("https://"):
            raise ValueError(f"{prefix}LOGIN_URL must begin with https://")
        test = "test.salesforce.com" in domain or ".sandbox." in domain
        return cls(
            domain,
            value("CLIENT_ID"),
            value("USERNAME"),
            Path(value("PRIVATE_KEY_PATH")).read_text(encoding="utf-8"),
            audience=value("AUDIENCE", f"https://{'test' if test else 'login'}.salesforce.com"),
            pubsub=value("PUBSUB", "api.pubsub.salesforce.com:7443"),
        )

    def assertion(self, **changes: object) -> str:
        """A signed assertion, with some claims changed (None: left out)."""
        claims: dict[str, object] = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(time.time()) + 120,
        }
        kept = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(kept, self.private_key, algorithm="RS256")


class ContractOrg:
    """An org that is logged in to; all that a contract test may touch.

    Attributes:
        credentials: How it was logged in to.
        url: The instance.
        org_id: 18 characters.
        user_id: 18 characters.
        version: The API version asked, such as `62.0`.
        stand_in: Whether it is localcloud; only the story told about it may depend on that.
    """

    def __init__(self, credentials: Credentials, *, version: str = "62.0", stand_in: bool = False) -> None:
        self.credentials = credentials
        self.version = version
        self.stand_in = stand_in
        self.http = requests.Session()
        if stand_in:
            self.http.trust_env = False
        answer = self.token(grant_type=JWT_BEARER, assertion=credentials.assertion())
        answer.raise_for_status()
        document: dict[str, str] = answer.json()
        self.login_answer = document
        self.access_token = document["access_token"]
        self.url = document["instance_url"]
        self.org_id, self.user_id = document["id"].split("/")[-2:]
        self.http.headers["Authorization"] = f"Bearer {self.access_token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def token(self, **form: str) -> requests.Response:
        """The token endpoint's answer to a form."""
        url = f"{self.credentials.login_url}/services/oauth2/token"
        return self.http.post(url, data=form, timeout=TIMEOUT_S, headers={"Authorization": ""})

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request of a path under the data API of this version, or of a whole path (it begins with a slash)."""
        whole = path if path.startswith("/") else f"/services/data/v{self.version}/{path}"
        return self.http.request(method, self.url + whole, timeout=TIMEOUT_S, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """A GET; see `request`."""
        return self.request("GET", path, **options)

    def query(self, statement: str, resource: str = "query", **headers: str) -> requests.Response:
        """The first page of a statement."""
        return self.get(resource, params={"q": statement}, headers=headers)

    def records(self, statement: str, resource: str = "query") -> list[dict[str, Any]]:
        """All records of a statement, over all pages."""
        page = self.query(statement, resource).json()
        found: list[dict[str, Any]] = list(page["records"])
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"]).json()
            found += page["records"]
        return found
