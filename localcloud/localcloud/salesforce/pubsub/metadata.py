"""Who calls: the three headers of every RPC.

Source: Pub/Sub API guide, "Supported Authentication". `accesstoken` is the bare token, `instanceurl` the
address that the login answered, `tenantid` the id of the org.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from localcloud.salesforce.ids import to_18
from localcloud.salesforce.pubsub.errors import PubSubError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.salesforce.login.sessions import Sessions


class Caller(msgspec.Struct):
    """A caller who may call: the token, which a request can replace, and what it says it is."""

    token: str
    client: str | None = None
    trace_id: str | None = None

    def check(self, sessions: Sessions) -> None:
        """Make sure that the session lives on; counts as a use of it.

        Raises:
            PubSubError: It ended.
        """
        if sessions.holder(self.token) is None:
            raise PubSubError("service.auth.error")


def identify(metadata: Iterable[tuple[str, str | bytes]], sessions: Sessions, tenant: str) -> Caller:
    """The caller of an RPC.

    Args:
        metadata: Its headers.
        sessions: Who is logged in.
        tenant: The 18-character id of the org.

    Raises:
        PubSubError: A header is missing, blank or malformed, or the token or the org is wrong.
    """
    found = {key: value for key, value in metadata if isinstance(value, str)}
    token, url, org = (found.get(name, "").strip() for name in ("accesstoken", "instanceurl", "tenantid"))
    parts = urlsplit(url)
    if not (token and len(org) == 18 and parts.scheme in {"http", "https"} and parts.hostname):
        raise PubSubError("service.auth.headers.invalid")
    caller = Caller(token, found.get("user-agent"), found.get("x-client-trace-id"))
    caller.check(sessions)
    if to_18(org) != tenant:
        raise PubSubError("service.auth.error")
    return caller
