"""Where the embedded Snowflake listens, and how an unmodified target-snowflake is led there."""

from __future__ import annotations

from localcloud.loopback import HOST

DEFAULT_PORT = 8181

TARGET_ENVIRONMENT = {
    "SNOWFLAKE_SQLALCHEMY_LEGACY_URL_PARAMS": "1",
    "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
}
"""Environment of a target-snowflake (or dbt) that talks to the embedded Snowflake: the first lets an account
carry an address, the second stops the connector from asking cloud metadata services where it runs."""


def target_account(port: int, database: str, schema: str) -> str:
    """The `account` setting of target-snowflake for the embedded Snowflake.

    target-snowflake has no setting for a host, but its account becomes the host of a SQLAlchemy URL, and
    with `TARGET_ENVIRONMENT` what follows in it is taken as the rest of that URL. The time-outs, in
    seconds, end a run soon after its server has died; the connector's own would let it wait for ever.

    Args:
        port: Port on 127.0.0.1.
        database: The session's database, in upper case.
        schema: The session's schema; it need not exist yet.
    """
    settings = "protocol=http&account=localcloud&login_timeout=10&network_timeout=5&socket_timeout=300"
    return f"{HOST}:{port}/{database}/{schema}?{settings}&x="  # x takes what target-snowflake appends
