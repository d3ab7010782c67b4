"""The permissions that matter: asked for by the cheapest request that needs each, told in the words of Setup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import ids, soql
from tap_salesforce_temporal.explore.asking import Reply, ask
from tap_salesforce_temporal.explore.findings import Permission

if TYPE_CHECKING:
    from collections.abc import Collection

    from microdecisions.session import SalesforceSession
    from tap_salesforce_temporal.explore.findings import State

__all__ = ["API_ENABLED", "API_REFUSALS", "check_permissions", "field_history_tracking"]

_SYSTEM: Final = "Setup > Permission Sets > (the integration user's set) > System Permissions > "
_OBJECTS: Final = "Setup > Permission Sets > (the integration user's set) > Object Settings > "

API_ENABLED: Final = _SYSTEM + "API Enabled"
"""Where API access is granted."""

API_REFUSALS: Final = frozenset({"API_CURRENTLY_DISABLED", "API_DISABLED_FOR_ORG"})
"""Codes by which an org says that this user may not use the API at all."""


class _Flags(msgspec.Struct):
    """Permissions of a user as a row shows them; None where the org does not know one."""

    view_all_data: bool | None = msgspec.field(name="PermissionsViewAllData", default=None)
    view_setup: bool | None = msgspec.field(name="PermissionsViewSetup", default=None)
    manage_users: bool | None = msgspec.field(name="PermissionsManageUsers", default=None)
    view_event_log_files: bool | None = msgspec.field(name="PermissionsViewEventLogFiles", default=None)


class _ObjectRow(msgspec.Struct):
    sobject: str = msgspec.field(name="SobjectType")


class _Probe(msgspec.Struct, frozen=True):
    """A request that needs one permission.

    Attributes:
        name: The permission, as Setup writes it.
        flag: Its attribute of `_Flags`; empty for what is no system permission.
        statement: The cheapest query that needs it.
        needed_for: What cannot be read without it.
        where: Way in Setup.
    """

    name: str
    flag: str
    statement: str
    needed_for: str
    where: str


_PROBES: Final = (
    _Probe(
        "View Setup and Configuration",
        "view_setup",
        "SELECT COUNT() FROM SetupAuditTrail",
        "setup_audit_trail, and the list of tracked fields",
        _SYSTEM + "View Setup and Configuration",
    ),
    _Probe(
        "Manage Users",
        "manage_users",
        "SELECT Id FROM LoginHistory LIMIT 1",
        "login_history",
        _SYSTEM + "Manage Users",
    ),
    _Probe(
        "View Event Log Files",
        "view_event_log_files",
        "SELECT Id FROM EventLogFile LIMIT 1",
        "event_log_file",
        _SYSTEM + "View Event Log Files",
    ),
    _Probe(
        "Read access to User",
        "",
        "SELECT Id, Username, Name, UserType, Profile.Name, Profile.UserLicense.Name FROM User LIMIT 1",
        "actor_name and actor_type of every event",
        _OBJECTS + "Users > Read, with Name, Username and Profile",
    ),
)
_FLAG_FIELDS: Final = tuple(field.encode_name for field in msgspec.structs.fields(_Flags))


def check_permissions(session: SalesforceSession, user_id: str, parents: Collection[str]) -> list[Permission]:
    """Ask for each permission; two to four API calls.

    A refused request proves that a permission is missing. A request that is answered proves that it is granted unless
    the org itself says otherwise: some objects then show the user's own rows only.

    Args:
        session: Logged-in session; that it is one shows that the API is enabled.
        user_id: The login user's id, or empty when the login did not tell.
        parents: Objects whose histories are to be read.

    Raises:
        MicroDecisionError: No statement can be run.
    """
    probed = ask(session, [probe.statement for probe in _PROBES])
    source, mine = "UserPermissionAccess", _sets_of(user_id)
    flags = _flags(session, source)
    if flags is None and mine:
        source = "PermissionSet"
        flags = _flags(session, source, f"Id IN ({mine})")
    granted = Permission(
        name="API Enabled", state="granted", needed_for="everything", where=API_ENABLED, evidence="queries are answered"
    )
    return [
        granted,
        _view_all_data(session, flags, source, mine, parents),
        *(_judged(probe, reply, flags, source) for probe, reply in zip(_PROBES, probed, strict=True)),
    ]


def field_history_tracking(tracked: Collection[str], untracked: Collection[str]) -> Permission:
    """Whether objects record what happens to their fields.

    Args:
        tracked: Objects with at least one tracked field, or with history.
        untracked: Objects with a history object of which nothing is tracked, and custom objects without one.
    """
    state: State = "granted" if not untracked else "partly" if tracked else "missing"
    none = f"; nothing for {_listed(untracked)}" if untracked else ""
    return Permission(
        name="Field history tracking",
        state=state,
        needed_for="field history: only what is switched on is recorded, and only from then on",
        where="Setup > Object Manager > (object) > Fields & Relationships > Set History Tracking; custom objects first "
        "(object) > Details > Edit > Track Field History",
        evidence=f"fields are tracked on {len(tracked)} objects{none}",
    )


def _view_all_data(
    session: SalesforceSession, flags: _Flags | None, source: str, mine: str, parents: Collection[str]
) -> Permission:
    def told(state: State, evidence: str) -> Permission:
        return Permission(
            name="View All Data",
            state=state,
            needed_for="the history of every record; otherwise only of those shared with the user",
            where=f"{_SYSTEM}View All Data; or {_OBJECTS}(object) > View All Records",
            evidence=evidence,
        )

    if flags is None or flags.view_all_data is None:
        return told("unknown", "the org does not tell; without it rows are missing silently")
    if flags.view_all_data:
        return told("granted", f"{source} says so")
    condition = f"ParentId IN ({mine})"
    statement = soql.select(("SobjectType",), "ObjectPermissions", "PermissionsViewAllRecords = true", condition)
    (reply,) = ask(session, [statement], "query") if mine else [Reply()]
    seen = {row.sobject for row in reply.rows(_ObjectRow)} if mine else set()
    missing = sorted(set(parents) - seen)
    if not missing:
        return told("granted", "View All Records is granted on every object with a history")
    if len(missing) < len(set(parents)):
        return told("partly", f"View All Records is not granted on {_listed(missing)}")
    return told("missing", f"{source} says so, and View All Records is granted on no object with a history")


def _judged(probe: _Probe, reply: Reply, flags: _Flags | None, source: str) -> Permission:
    says = getattr(flags, probe.flag) if flags is not None and probe.flag else None
    asked = f"`{probe.statement}`" if len(probe.statement) < 40 else f"a query of {_object_of(probe.statement)}"
    state: State
    if reply.error is not None:
        state, evidence = "missing", f"{asked} was refused: {reply.code}"
    elif says is False:
        state, evidence = "missing", f"{asked} is answered, but {source} says no"
    else:
        state, evidence = "granted", f"{asked} is answered"
    return Permission(name=probe.name, state=state, needed_for=probe.needed_for, where=probe.where, evidence=evidence)


def _object_of(statement: str) -> str:
    return statement.partition(" FROM ")[2].split()[0]


def _flags(session: SalesforceSession, source: str, *conditions: str) -> _Flags | None:
    """The user's system permissions; editions without event log files do not know the permission for them."""
    for names in (_FLAG_FIELDS, _FLAG_FIELDS[:1]):
        (reply,) = ask(session, [soql.select(names, source, *conditions)], "query")
        if reply.code != "INVALID_FIELD":
            return _any_of(reply.rows(_Flags))
    return None


def _any_of(rows: list[_Flags]) -> _Flags | None:
    """The permissions of all sets together; None without a row."""
    if not rows:
        return None
    return _Flags(*(_either([getattr(row, name) for row in rows]) for name in _Flags.__struct_fields__))


def _either(values: list[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return any(known) if known else None


def _sets_of(user_id: str) -> str:
    """A sub-query for the permission sets of a user; empty when the user is not known."""
    if not ids.is_id(user_id):
        return ""
    return f"SELECT PermissionSetId FROM PermissionSetAssignment WHERE AssigneeId = {soql.quote(user_id)}"  # noqa: S608


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return ", ".join(shown[:5]) + more
