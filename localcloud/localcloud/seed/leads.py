"""The lives of leads and contracts: who is called, who is converted, what is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.seed.decisions import date_text, instant_text

if TYPE_CHECKING:
    from localcloud.seed.decisions import Story, Value
    from localcloud.seed.stories import Storyteller

# Rates that no log shows.
CONTACTED_SHARE = 0.8
CONVERTED_SHARE = 0.35
ACTIVATED_SHARE = 0.7

_DAY = 86_400
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")


def tell_lead(teller: Storyteller, story: Story, start: int) -> int:
    """Tell the life of a lead; returns when it ends, in epoch seconds.

    A converted lead gets an account and a contact that are there already, and no opportunity.
    """
    random, owner = teller.random, teller.rep(start)
    number = teller.told["Lead"]
    story.create(
        instant_text(start),
        teller.any_actor(owner),
        {
            "LastName": f"Lead {number:06}",
            "Company": f"Company {random.randrange(10_000):04}",
            "Owner": owner,
            "Status": "Open - Not Contacted",
            "LeadSource": random.choice(_SOURCES),
            "Email": f"lead{number}@mock.localcloud.invalid",
            "IsConverted": "false",
        },
    )
    now = start + random.randrange(600, 5 * _DAY)
    if random.random() < 0.3:
        story.update(instant_text(now), teller.actor(story, now), {"Owner": teller.rep(now)})
        now += random.randrange(60, 2 * _DAY)
    if random.random() >= CONTACTED_SHARE:
        return now
    values: dict[str, Value] = {"Status": "Working - Contacted", "Phone": teller.phone()}
    if random.random() < 0.2:
        values["Company"] = teller.text() or "Company"
    story.update(instant_text(now), teller.actor(story, now), values)
    now += random.randrange(_DAY, 40 * _DAY)
    if random.random() < CONVERTED_SHARE and teller.accounts and teller.contacts:
        converted: dict[str, Value] = {
            "Status": "Closed - Converted",
            "IsConverted": "true",
            "ConvertedDate": date_text(now),
            "ConvertedAccount": random.choice(teller.accounts),
            "ConvertedContact": random.choice(teller.contacts),
        }
        story.update(instant_text(now), teller.actor(story, now), converted)
    elif random.random() < 0.5:
        story.update(instant_text(now), teller.actor(story, now), {"Status": "Closed - Not Converted"})
    return now


def tell_contract(teller: Storyteller, story: Story, start: int) -> int:
    """Tell the life of a contract; returns when it ends, in epoch seconds."""
    random, owner = teller.random, teller.rep(start)
    story.create(
        instant_text(start),
        teller.any_actor(owner),
        {
            "Account": random.choice(teller.accounts) if teller.accounts else None,
            "Owner": owner,
            "Status": "Draft",
            "StartDate": date_text(start + 30 * _DAY),
            "ContractTerm": str(random.choice((6, 12, 24, 36))),
        },
    )
    now = start + random.randrange(3_600, 10 * _DAY)
    if random.random() < 0.4:
        term = {"ContractTerm": str(random.choice((6, 12, 24, 36))), "StartDate": date_text(now + 20 * _DAY)}
        story.update(instant_text(now), teller.actor(story, now), term)
        now += random.randrange(60, 5 * _DAY)
    story.update(instant_text(now), teller.actor(story, now), {"Status": "In Approval Process"})
    now += random.randrange(3_600, 8 * _DAY)
    if random.random() < ACTIVATED_SHARE:
        at = instant_text(now)
        activated: dict[str, Value] = {"Status": "Activated", "ActivatedDate": f"{at[:-1]}.000000Z"}
        story.update(at, teller.actor(story, now), activated)
    return now
