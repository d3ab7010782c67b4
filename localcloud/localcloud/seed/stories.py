"""Tells the life of one made-up record after another: what is decided about it, when, and by whom."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from localcloud.seed import measured
from localcloud.seed.awkward import AMOUNTS, QUANTITIES, TEXTS
from localcloud.seed.decisions import Ref, Story, Value, date_text, instant_text
from localcloud.seed.leads import tell_contract, tell_lead
from localcloud.seed.measured import Sampler, between
from localcloud.seed.model import stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from localcloud.seed.decisions import Action
    from localcloud.seed.people import Ids, People, Person

DAY = 86_400

SHARES = {"Account": 6, "Contact": 8, "Opportunity": 33, "Case": 32, "Invoice__c": 12, "Lead": 6, "Contract": 3}
"""How many of a hundred new records are of which object (assumed, not measured)."""

LEFT_BEFORE_END_SECONDS = 400 * DAY
"""The inactive user decided things only until so long before the org's end."""

# Rates that no log shows; docs/event-log-mapping.md says so.
INTEGRATION_SHARE = 0.06
AUTOMATION_SHARE = 0.02
DELETED_SHARE = 0.02
AWKWARD_SHARE = 0.12
NEXT_STEP_SHARE = 0.2
AMOUNT_CHANGE_SHARE = 0.12
CLOSE_DATE_CHANGE_SHARE = 0.08
UNRECORDED_SHARE = 0.02
SAME_SECOND_SHARE = 0.02
MOST_REOPENS = 2
MOST_MOVES = 60

_INDUSTRIES = ("Banking", "Energy", "Finance", "Government", "Insurance", "Technology", None)
_ORIGINS = ("Phone", "Email", "Web")
_PROCESS = "Invoice Approval"


def staff(people: People, events: int) -> list[Person]:
    """Return the reps of a generated org of that many events, the inactive one last."""
    reps = [people.named(f"Rep {n:03}") for n in range(1, min(400, 20 + events // 1_500) + 1)]
    return [*reps, people.named("Former Rep", "inactive")]


class Storyteller:
    """Tells stories of records; each draws on the same random numbers, so their order matters.

    Attributes:
        random: Where all chance comes from.
        people: The org's users.
        accounts: All accounts told so far.
        contacts: All contacts told so far.
        told: How many records of each object were told so far.
        lasting: Records of other objects that will never be deleted, with their beginnings.

    Args:
        random: the only source of chance.
        ids: gives the record ids.
        people: the org's users; receives the reps.
        events: the planned size of the org, which decides how many reps it has.
        end: the org's planned end, epoch seconds.
    """

    def __init__(self, random: Random, ids: Ids, people: People, *, events: int, end: int) -> None:
        self.random = random
        self._ids = ids
        self.people = people
        self._staff = [Ref(person.id, person.name) for person in staff(people, events)]
        self._left = end - LEFT_BEFORE_END_SECONDS
        table = measured.load()
        self._table = table
        self._sales, self._service = Sampler(table.opportunity), Sampler(table.case)
        self._claims = Sampler(table.approval)
        self._priorities = (list(table.priorities), list(table.priorities.values()))
        self.accounts: list[Ref] = []
        self.contacts: list[Ref] = []
        self.lasting: dict[str, list[tuple[int, Ref]]] = {
            "Contact": [],
            "Opportunity": [],
            "Case": [],
            "Invoice__c": [],
        }
        self._awkward_texts: Iterator[str | None] = cycle(TEXTS)
        self._awkward_amounts: Iterator[str | None] = cycle(AMOUNTS)
        self._awkward_quantities: Iterator[str | None] = cycle(QUANTITIES)
        self._texts_told = 0
        self.told = dict.fromkeys(SHARES, 0)
        self._tellers = {
            "Account": self._account,
            "Contact": self._contact,
            "Opportunity": self._opportunity,
            "Case": self._case,
            "Invoice__c": self._invoice,
            "Lead": self._lead,
            "Contract": self._contract,
        }

    def tell(self, sobject: str, start: int) -> Story:
        """Tell the whole life of a new record that is created at ``start`` (epoch seconds)."""
        story = Story(sobject, self._ids.next(sobject))
        self.told[sobject] += 1
        end = self._tellers[sobject](story, start)
        if sobject != "Account" and self.random.random() < DELETED_SHARE:
            when = end + self.random.randrange(3_600, 30 * DAY)
            story.delete(instant_text(when), self.actor(story, when))
        elif sobject in self.lasting:
            self.lasting[sobject].append((start, Ref(story.record, f"{sobject} {self.told[sobject]:06}")))
        return story

    def _account(self, story: Story, start: int) -> int:
        number, owner = len(self.accounts) + 1, self.rep(start)
        values: dict[str, Value] = {
            "Name": f"Account {number:06}",
            "Owner": owner,
            "Phone": self.phone(),
            "Industry": self.random.choice(_INDUSTRIES),
            "AnnualRevenue": str(self.random.randrange(1, 900) * 100_000),
        }
        story.create(instant_text(start), self.any_actor(owner), values)
        self.accounts.append(Ref(story.record, f"Account {number:06}"))
        changes = (
            ("Website", self.text),
            ("Phone", self.phone),
            ("Industry", lambda: self.random.choice(_INDUSTRIES)),
            ("AnnualRevenue", lambda: str(self.random.randrange(1, 900) * 100_000)),
            ("Owner", lambda: self.rep(start)),
            ("Name", lambda: f"Account {number:06} ({self.random.randrange(10, 99)})"),
        )
        return self._drift(story, start, changes, most=6)

    def _contact(self, story: Story, start: int) -> int:
        number, owner = len(self.contacts) + 1, self.rep(start)
        name = f"Contact {number:06}"
        values: dict[str, Value] = {
            "LastName": name,
            "Account": self.random.choice(self.accounts) if self.accounts else None,
            "Owner": owner,
            "Email": f"contact{number}@mock.localcloud.invalid",
            "Phone": self.phone(),
        }
        story.create(instant_text(start), self.any_actor(owner), values)
        self.contacts.append(Ref(story.record, name))
        changes = (
            ("Title", self.text),
            ("Phone", self.phone),
            ("Email", lambda: f"contact{number}.{self.random.randrange(99)}@mock.localcloud.invalid"),
            ("Owner", lambda: self.rep(start)),
            ("Account", lambda: self.random.choice(self.accounts) if self.accounts else None),
        )
        return self._drift(story, start, changes, most=5)

    def _drift(self, story: Story, start: int, changes: Sequence[tuple[str, object]], *, most: int) -> int:
        """Change something now and then over the first 400 days; sometimes two fields in one save."""
        now = start
        for _ in range(self.random.randrange(most)):
            now += self.random.randrange(60, 400 * DAY // most)
            fields = self.random.sample(changes, 2 if self.random.random() < 0.2 else 1)
            values = {name: new() for name, new in fields if callable(new)}
            story.update(instant_text(now), self.actor(story, now), values)
        return now

    def _opportunity(self, story: Story, start: int) -> int:
        random, moves = self.random, self._sales
        now, state = start, moves.move("", random).to
        owner = self.rep(start)
        story.create(
            instant_text(start),
            self.any_actor(owner),
            {
                "Name": f"Opportunity {self.told['Opportunity']:06}",
                "Account": random.choice(self.accounts) if self.accounts else None,
                "Owner": owner,
                "CloseDate": date_text(start + random.randrange(20, 120) * DAY),
                "Amount": self._money() if random.random() < 0.9 else None,
                **_stage_values(state),
            },
        )
        reopens = 0
        for _ in range(MOST_MOVES):
            move = moves.move(state, random)
            if not move.to:
                if not stage(state).closed or reopens >= MOST_REOPENS or random.random() >= self._table.reopen_share:
                    break
                reopens += 1
                now += between(self._table.reopen_waits, random) + DAY
                state = "Negotiation/Review"
                story.update(instant_text(now), self.actor(story, now), _stage_values(state))
                continue
            arrival = now + between(move.waits, random)
            self._hand_over(story, now, arrival, move.handovers)
            now, state = arrival, move.to
            self._move_stage(story, now, state)
        return now

    def _move_stage(self, story: Story, now: int, state: str) -> None:
        """Save a new stage, with whatever else changes on that occasion."""
        random, at = self.random, instant_text(now)
        values: dict[str, Value] = _stage_values(state)
        if random.random() < AMOUNT_CHANGE_SHARE:
            values["Amount"] = self._money()
        if random.random() < NEXT_STEP_SHARE:
            values["NextStep"] = self.text()
        if stage(state).closed:
            values["CloseDate"] = date_text(now)
        elif random.random() < CLOSE_DATE_CHANGE_SHARE:
            values["CloseDate"] = date_text(now + random.randrange(10, 90) * DAY)
        unrecorded = ("Description",) if random.random() < UNRECORDED_SHARE else ()
        story.update(at, self.actor(story, now), values, unrecorded=unrecorded)
        if random.random() < SAME_SECOND_SHARE:
            story.update(at, self.people.automation.id, {"Amount": self._money(), "NextStep": self.text()})

    def _case(self, story: Story, start: int) -> int:
        random, moves = self.random, self._service
        now, state = start, moves.move("", random).to
        owner = self.rep(start)
        contact = random.choice(self.contacts) if self.contacts and random.random() < 0.8 else None
        story.create(
            instant_text(start),
            self.any_actor(owner),
            {
                "Subject": f"Question {random.randrange(100_000)}",
                "Account": random.choice(self.accounts) if self.accounts else None,
                "Contact": contact,
                "Status": state,
                "Priority": random.choices(*self._priorities)[0],
                "Origin": random.choice(_ORIGINS),
                "Owner": owner,
            },
        )
        for _ in range(MOST_MOVES):
            move = moves.move(state, random)
            if not move.to:
                break
            arrival = now + between(move.waits, random)
            self._hand_over(story, now, arrival, move.handovers)
            now, state = arrival, move.to
            values: dict[str, Value] = {"Status": state}
            if random.random() < 0.03:
                values["Priority"] = random.choice(self._priorities[0])
            if random.random() < 0.05:
                values["Subject"] = self.text()
            unrecorded = ("Description",) if random.random() < UNRECORDED_SHARE else ()
            story.update(instant_text(now), self.actor(story, now), values, unrecorded=unrecorded)
        return now

    def _invoice(self, story: Story, start: int) -> int:
        random, moves = self.random, self._claims
        owner = self.rep(start)
        story.create(
            instant_text(start),
            self.any_actor(owner),
            {
                "Name": f"INV-{self.told['Invoice__c']:06}",
                "Owner": owner,
                "Account": random.choice(self.accounts) if self.accounts else None,
                "Status__c": "Draft",
                "Reference__c": self.text(),
                "Amount__c": self._claim(),
                "Quantity__c": str(random.randrange(1, 40)),
                "Approved__c": "false",
                "Due__c": date_text(start + 30 * DAY),
            },
        )
        now, state, instance = start + random.randrange(5, 3_600), moves.move("", random).to, ""
        for _ in range(MOST_MOVES):
            instance = self._claim_act(story, now, state, instance)
            move = moves.move(state, random)
            if not move.to:
                break
            now, state = now + between(move.waits, random), move.to
        return now

    def _lead(self, story: Story, start: int) -> int:
        return tell_lead(self, story, start)

    def _contract(self, story: Story, start: int) -> int:
        return tell_contract(self, story, start)

    def _claim_act(self, story: Story, now: int, state: str, instance: str) -> str:
        """Play one activity of an expense claim on an invoice; returns the current submission round."""
        act, _, role = state.partition(" by ")
        at, owner = instant_text(now), story.text("Owner") or ""
        approver = self.rep(now).id
        match act:
            case "SUBMITTED":
                if instance:  # it comes back changed
                    story.update(at, owner, {"Amount__c": self._claim(), "Quantity__c": self._quantity()})
                instance = self._ids.next("ProcessInstance")
                self._step(story, at, owner, "submit", instance, role, approver)
                story.update(at, owner, {"Status__c": "Submitted"})
            case "APPROVED":
                self._step(story, at, approver, "approve", instance, role, self.rep(now).id)
            case "FINAL_APPROVED":
                self._step(story, at, approver, "approve", instance, role)
                story.update(at, approver, {"Status__c": "Approved", "Approved__c": "true"})
            case "REJECTED" if role == "EMPLOYEE":
                self._step(story, at, owner, "remove", instance, role)
                story.update(at, owner, {"Status__c": "Draft", "Reference__c": self.text()})
            case "REJECTED":
                self._step(story, at, approver, "reject", instance, role)
                story.update(at, approver, {"Status__c": "Rejected", "Approved__c": "false"})
            case "Request Payment":
                paid = f"{at[:-1]}.000000Z"
                due = date_text(now + 30 * DAY)
                values: dict[str, Value] = {"Status__c": "Sent", "Sent__c": paid, "Due__c": due}
                story.update(at, self.people.automation.id, values)
            case "Payment Handled":
                story.update(at, self.people.integration.id, {"Status__c": "Paid"})
        return instance

    def _step(
        self, story: Story, at: str, actor: str, action: Action, instance: str, role: str, assignee: str | None = None
    ) -> None:
        story.approval(at, actor, action, process=_PROCESS, instance=instance, step=role, assignee=assignee)

    def _hand_over(self, story: Story, start: int, end: int, mean: float) -> None:
        """Give the record to others on the way, as often as the log does on average."""
        random = self.random
        times = int(mean) + (random.random() < mean % 1)
        if not times or end <= start:
            return
        for when in sorted(random.randrange(start, end) for _ in range(times)):
            story.update(instant_text(when), self.actor(story, when), {"Owner": self.rep(when)})

    def rep(self, now: int) -> Ref:
        """Return somebody who works here at that time."""
        reps = len(self._staff) - (now > self._left)
        return self._staff[int(self.random.random() * reps)]

    def rep_of(self, random: Random) -> Ref:
        """Return somebody who works here still, by other random numbers."""
        return self._staff[int(random.random() * (len(self._staff) - 1))]

    def actor(self, story: Story, now: int) -> str:
        """Return who acts on a record: mostly its owner."""
        owner = story["Owner"]
        if not isinstance(owner, Ref) or (now > self._left and owner == self._staff[-1]):
            owner = self.rep(now)
        return self.any_actor(owner)

    def any_actor(self, owner: Ref) -> str:
        """Return the owner, or now and then an integration or an automation."""
        chance = self.random.random()
        if chance < INTEGRATION_SHARE:
            return self.people.integration.id
        if chance < INTEGRATION_SHARE + AUTOMATION_SHARE:
            return self.people.automation.id
        return owner.id

    def text(self) -> str | None:
        """Return the next text: every awkward one twice before the first plain one, so that small orgs hold all."""
        self._texts_told += 1
        if self._texts_told <= 2 * len(TEXTS) or self.random.random() < AWKWARD_SHARE:
            return next(self._awkward_texts)
        return f"Follow-up {self.random.randrange(10_000)}"

    def _money(self) -> str | None:
        if self.random.random() < AWKWARD_SHARE / 4:
            return next(self._awkward_amounts)
        return _cents(between(self._table.loan_amounts, self.random), self.random)

    def _claim(self) -> str | None:
        if self.random.random() < AWKWARD_SHARE / 4:
            return next(self._awkward_amounts)
        return _cents(between(self._table.claim_amounts, self.random), self.random)

    def _quantity(self) -> str | None:
        if self.random.random() < AWKWARD_SHARE:
            return next(self._awkward_quantities)
        return str(self.random.randrange(1, 40))

    def phone(self) -> str:
        """Return a made-up number."""
        return f"+00 555 {self.random.randrange(10**6):06}"


def _stage_values(name: str) -> dict[str, Value]:
    follows = stage(name)
    return {"StageName": name, "Probability": follows.probability, "ForecastCategory": follows.forecast}


def _cents(whole: int, random: Random) -> str:
    cents = random.randrange(200)
    return f"{whole}.{cents:02}".rstrip("0").rstrip(".") if 0 < cents < 100 else str(whole)
