"""What happens beside the records: tasks and events, approvals by flow, logins, setup changes, log files."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from localcloud.salesforce.actions.truth import TruthChange
from localcloud.seed.decisions import Decision, Ref, Story, date_text, instant_text
from localcloud.seed.log_files import LOG_TYPES, log_rows
from localcloud.seed.model import ARCHIVED_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from localcloud.seed.decisions import Value
    from localcloud.seed.people import Ids
    from localcloud.seed.stories import Storyteller

DAY = 86_400
_HOUR = 3_600

# Rates that no log shows; all per record that begins.
TASK_SHARE = 0.35
EVENT_SHARE = 0.18
FLOW_SHARE = 0.08
LOST_SHARE = 0.03

LOGIN_DAYS = SETUP_DAYS = 200
"""How long before the org's end logins and setup changes begin: they are kept for 180 days."""
DAILY_FILE_DAYS = 32
HOURLY_FILE_DAYS = 3
ARCHIVE_FROM_DAYS = 549
"""Old history is copied into the archive on the first of each month, from so long after the org's beginning."""

_SUBJECTS = ("Call", "Send Letter", "Send Quote", "Other")
_SETUP = (
    ("changedOppFieldHistory", "Customize Opportunities", "Changed history tracking on field Next Step of Opportunity"),
    ("PermSetCreate", "Manage Users", "Created permission set Auditors: with no user license"),
    ("PermSetAssign", "Manage Users", "Permission set Auditors: assigned to user {name} (UserID: [{id}])"),
    ("changedprofileforuser", "Manage Users", "Changed profile for user {name} from Standard User to Auditor"),
    ("activateduser", "Manage Users", "Activated user {name}"),
    ("createdWorkflowRule", "Workflow Rules", "Created workflow rule Remind Owner for Object: Opportunity"),
    ("suOrgAdminLogin", "Login Access", "Logged in as user {name}"),
    ("orgsecuritychangedsession", None, "Changed session timeout from 2 hours to 4 hours"),
)
_SALESFORCES_OWN = ("certificateRefresh", "Certificate and Key Management", "Salesforce rotated a platform certificate")
_LOGIN_FAILURES = ("Invalid Password", "User is inactive", "Failed: Computer activation required")


class Sidelines:
    """Tells what happens beside the records of a storyteller, with random numbers of its own.

    Args:
        seed: The same one gives the same deeds.
        teller: Knows the people, and the records that are there.
        ids: Gives the record ids.
        end: The org's planned end, epoch seconds.
        begin: Its beginning.
        events: Its planned size.
    """

    def __init__(self, seed: int, teller: Storyteller, ids: Ids, *, begin: int, end: int, events: int) -> None:
        self._random = Random(f"sidelines {seed}")  # noqa: S311 - a made-up org, nothing secret
        self._teller = teller
        self._ids = ids
        self._begin = begin
        self._end = end
        self._logins = 2 + min(events // 200_000, 40)
        self._day = begin // DAY

    def beside(self, sobject: str, start: int) -> Iterator[Decision]:
        """What people do about a record of that object that begins at ``start`` (epoch seconds)."""
        random = self._random
        if random.random() < TASK_SHARE:
            yield from self._task(start + random.randrange(60, 3 * DAY))
        if random.random() < EVENT_SHARE:
            yield from self._event(start + random.randrange(60, 3 * DAY))
        if sobject == "Opportunity" and random.random() < FLOW_SHARE:
            yield from self._flow_approval(start + random.randrange(60, 3 * DAY))

    def days_until(self, start: int) -> Iterator[Decision]:
        """What happened on the days that have begun by ``start`` and were not told yet."""
        while self._day * DAY <= start:
            yield from self._deeds_of(self._day * DAY)
            self._day += 1

    # Activities

    def _about(self, start: int) -> tuple[Ref | None, Ref | None]:
        """Whom and what an activity is about: lasting records that were there before it."""
        teller, random = self._teller, self._random
        kind = random.choice(("Account", "Opportunity", "Case", "Invoice__c"))
        what = random.choice(teller.accounts) if kind == "Account" and teller.accounts else self._lasting(kind, start)
        who = self._lasting("Contact", start) if random.random() < 0.6 else None
        return who, what

    def _lasting(self, sobject: str, start: int) -> Ref | None:
        known = self._teller.lasting.get(sobject)
        if not known:
            return None
        since, ref = known[int(self._random.random() * len(known))]
        return ref if since < start else None

    def _task(self, start: int) -> list[Decision]:
        random, story = self._random, Story("Task", self._ids.next("Task"))
        who, what = self._about(start)
        owner = self._rep()
        values: dict[str, Value] = {
            "Subject": random.choice(_SUBJECTS),
            "Who": who,
            "What": what,
            "Owner": owner,
            "Status": "Not Started",
            "Priority": "High" if random.random() < 0.1 else "Normal",
            "ActivityDate": date_text(start + random.randrange(14) * DAY),
        }
        story.create(instant_text(start), owner.id, values)
        now = start + random.randrange(_HOUR, 10 * DAY)
        if random.random() < 0.3:
            later = {"Status": "In Progress", "ActivityDate": date_text(now + random.randrange(14) * DAY)}
            story.update(instant_text(now), owner.id, later)
            now += random.randrange(_HOUR, 6 * DAY)
        if random.random() < 0.75:
            story.update(instant_text(now), owner.id, {"Status": "Completed"})
        return self._lost(story, now, owner)

    def _event(self, start: int) -> list[Decision]:
        random, story = self._random, Story("Event", self._ids.next("Event"))
        who, what = self._about(start)
        owner = self._rep()
        when = start + random.randrange(_HOUR, 20 * DAY)
        values: dict[str, Value] = {
            "Subject": "Meeting",
            "Who": who,
            "What": what,
            "Owner": owner,
            "Location": random.choice(("Room 1", "Room 2", "Video call")),
            "StartDateTime": _exact(when),
            "DurationInMinutes": str(random.choice((30, 60, 90))),
        }
        story.create(instant_text(start), owner.id, values)
        now = start + random.randrange(60, max(when - start, 120))
        if random.random() < 0.3:
            story.update(instant_text(now), owner.id, {"StartDateTime": _exact(when + DAY), "Location": "Video call"})
        return self._lost(story, now, owner)

    def _lost(self, story: Story, now: int, owner: Ref) -> list[Decision]:
        if self._random.random() < LOST_SHARE:
            story.delete(instant_text(now + self._random.randrange(_HOUR, 10 * DAY)), owner.id)
        return story.finish()

    def _rep(self) -> Ref:
        return self._teller.rep_of(self._random)

    # Approvals by flow

    def _flow_approval(self, start: int) -> Iterator[Decision]:
        target = self._lasting("Opportunity", start)
        if target is None:
            return
        random, submission = self._random, self._ids.next("ApprovalSubmission")
        submitter, approver = self._rep(), self._rep()
        item = self._ids.next("ApprovalWorkItem")

        def step(
            now: int, actor: Ref, action: str, done: str | None, assignee: Ref | None, following: str | None
        ) -> Decision:
            return Decision(
                instant_text(now),
                actor.id,
                action,  # type: ignore[arg-type]
                "Opportunity",
                target.id,
                (),
                "Discount",
                submission,
                None,
                assignee.id if assignee else None,
                item=done,
                next_item=following,
            )

        yield step(start, submitter, "flow_submit", None, approver, item)
        now = start + random.randrange(_HOUR, 5 * DAY)
        if random.random() < 0.15:
            return  # still waiting
        if random.random() < 0.3:
            second, following = self._rep(), self._ids.next("ApprovalWorkItem")
            yield step(now, approver, "flow_approve", item, second, following)
            approver, item, now = second, following, now + random.randrange(_HOUR, 5 * DAY)
        yield step(now, approver, "flow_approve" if random.random() < 0.8 else "flow_reject", item, None, None)

    # Administration

    def _deeds_of(self, day: int) -> Iterator[Decision]:
        random = self._random
        if day >= self._end - SETUP_DAYS * DAY and random.random() < 0.7:
            yield self._setup(day + random.randrange(7 * _HOUR, 19 * _HOUR))
        if day >= self._end - LOGIN_DAYS * DAY:
            for _ in range(1 + int(random.random() * self._logins)):
                yield self._login(day + random.randrange(6 * _HOUR, 20 * _HOUR))
        yield from self._files_of(day)
        if day >= self._begin + ARCHIVE_FROM_DAYS * DAY and date_text(day).endswith("-01"):
            for sobject in ARCHIVED_OBJECTS:
                what = _values({"FieldHistoryType": sobject})
                yield Decision(instant_text(day + 4 * _HOUR), None, "archive", "FieldHistoryArchive", "", what)

    def _files_of(self, day: int) -> Iterator[Decision]:
        random = self._random
        if day >= self._end - DAILY_FILE_DAYS * DAY:
            for kind in LOG_TYPES:
                yield self._log_file(day + DAY + 3 * _HOUR + random.randrange(_HOUR), kind, "Daily", 0)
        if day >= self._end - HOURLY_FILE_DAYS * DAY:
            for hour in range(8, 18):
                now = day + (hour + 1) * _HOUR + random.randrange(600, 2_400)
                yield self._log_file(now, "API", "Hourly", 1)
                if random.random() < 0.1:  # more of the same hour arrived after its first file was written
                    yield self._log_file(now + random.randrange(60, 900), "API", "Hourly", 2)

    def _setup(self, now: int) -> Decision:
        random = self._random
        key = self._ids.next("SetupAuditTrail")
        own = random.random() < 0.1
        action, section, display = _SALESFORCES_OWN if own else random.choice(_SETUP)
        person = self._rep()
        admin = self._rep()
        values = {"Action": action, "Section": section, "Display": display.format(name=person.name, id=person.id)}
        if action == "suOrgAdminLogin":
            values["DelegateUser"] = admin.name
        return Decision(instant_text(now), None if own else admin.id, "setup", "SetupAuditTrail", key, _values(values))

    def _login(self, now: int) -> Decision:
        random, teller = self._random, self._teller
        key = self._ids.next("LoginHistory")
        values: dict[str, str | None] = {
            "LoginType": "Application",
            "Status": "Success",
            "Application": "Browser",
            "SourceIp": f"198.51.100.{random.randrange(1, 255)}",
        }
        person = self._rep().id
        if random.random() < 0.2:
            person = teller.people.integration.id
            values |= {"LoginType": "Remote Access 2.0", "Application": "localcloud.demo.app"}
        elif random.random() < 0.1:
            values["Status"] = random.choice(_LOGIN_FAILURES)
        return Decision(instant_text(now), person, "login", "LoginHistory", key, _values(values))

    def _log_file(self, now: int, kind: str, interval: str, sequence: int) -> Decision:
        key = self._ids.next("EventLogFile")
        values = {"EventType": kind, "Interval": interval, "Sequence": str(sequence), "Rows": str(log_rows(key))}
        return Decision(instant_text(now), None, "event_log", "EventLogFile", key, _values(values))


def _values(values: Mapping[str, str | None]) -> tuple[TruthChange, ...]:
    return tuple(TruthChange(name, "text", None, value) for name, value in values.items())


def _exact(second: int) -> str:
    return f"{instant_text(second // 900 * 900)[:-1]}.000000Z"
