"""The settings of a tap's run beside the login: how long, whose state, what a gap does, and who is a program."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from microdecisions.settings.login import LoginSettings

__all__ = ["RunSettings"]


class RunSettings(LoginSettings, frozen=True, kw_only=True):
    """How a tap logs in and how its run ends; a tap adds its own in a subclass.

    Raises:
        ConfigurationError: a setting, or a pair of them, cannot be used, or one is missing.
    """

    max_run_seconds: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            title="Longest run (s)",
            description="Stop cleanly after so long, with exit code 3 unless everything is read; the next run goes on "
            "from there. A run moves one bookmark at least.",
        ),
    ] = None
    on_gap: Annotated[
        Literal["fail", "warn"],
        Meta(
            title="On gap",
            description="What a run does after it wrote a `gap` event, because Salesforce no longer keeps what was not "
            "read in time: `fail` ends it once with exit code 4, or with another error's and a sentence that names the "
            "gap too; `warn` with 0.",
        ),
    ] = "fail"
    allow_org_change: Annotated[
        bool,
        Meta(
            title="Allow another org",
            description="Take a stored state of another org over for this one, as after a migration: what was recorded "
            "before its bookmarks is not read.",
        ),
    ] = False
    integration_users: Annotated[
        tuple[str, ...],
        Meta(
            title="Integration users",
            description="User names or ids whose decisions are of actor type `integration`, whatever their profile.",
        ),
    ] = ()
