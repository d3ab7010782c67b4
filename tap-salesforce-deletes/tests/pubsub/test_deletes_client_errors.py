"""What a failure means, from its status and code alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.salesforce.pubsub.errors import PREFIX, TABLE
from microdecisions.errors import MicroDecisionError
from tap_salesforce_deletes.pubsub.errors import Action, classify, error_of

ACTIONS = {
    "service.unavailable": Action.RETRY,
    "service.auth.error": Action.LOGIN_AGAIN,
    "service.auth.headers.invalid": Action.FATAL,
    "service.auth.refresh.invalid": Action.FATAL,
    "service.protection.triggered": Action.RETRY,
    "service.protection.stream.limit.triggered": Action.RETRY,
    "service.tenant.license": Action.FATAL,
    "concurrent.client.limit.exceeded": Action.FATAL,
    "topic.not.found": Action.NO_TOPIC,
    "topic.meta.permission": Action.NO_PERMISSION,
    "topic.validation.empty": Action.FATAL,
    "topic.api.unavailable": Action.RETRY,
    "schema.meta.permission": Action.NO_PERMISSION,
    "schema.validation.failed": Action.FATAL,
    "schema.api.unavailable": Action.RETRY,
    "subscription.fetch.replayid.corrupted": Action.EARLIEST,
    "subscription.fetch.replayid.validation.failed": Action.EARLIEST,
    "subscription.fetch.replay.repeated": Action.RETRY,
    "subscription.fetch.overflow": Action.FATAL,
    "subscription.fetch.requested.events.invalid": Action.FATAL,
    "subscription.fetch.topic.mismatch": Action.FATAL,
    "subscription.fetch.request.invalid": Action.FATAL,
    "subscription.limit.exceeded": Action.DELIVERY_LIMIT,
    "subscription.topic.cannot.subscribe": Action.NO_PERMISSION,
    "subscription.internal.error": Action.RETRY,
}


@pytest.mark.parametrize(("code", "action"), ACTIONS.items())
def test_the_code_decides_and_not_the_status(code: str, action: Action) -> None:
    for status in ("INTERNAL", TABLE[code][0].name, "UNKNOWN"):
        for written in (code, PREFIX + code):
            refused = classify(status, written, place="/data/ChangeEvents")
            assert (refused.action, refused.code) == (action, code)


def test_every_code_that_a_subscriber_can_get_is_known() -> None:
    own = {code for code in TABLE if not code.startswith(("publish.", "managed."))}
    assert own == set(ACTIONS)


@pytest.mark.parametrize(
    ("status", "details", "action"),
    [
        ("UNAVAILABLE", "RST_STREAM closed stream. HTTP/2 error code: NO_ERROR", Action.RETRY),
        ("INTERNAL", "Received RST_STREAM with code 0", Action.RETRY),
        ("CANCELLED", "", Action.RETRY),
        ("DEADLINE_EXCEEDED", "", Action.RETRY),
        ("UNKNOWN", "", Action.RETRY),
        ("RESOURCE_EXHAUSTED", "tenantIdRateLimiter", Action.RETRY),
        ("UNAUTHENTICATED", "", Action.LOGIN_AGAIN),
        ("PERMISSION_DENIED", "", Action.NO_PERMISSION),
        ("NOT_FOUND", "", Action.NO_TOPIC),
        ("INVALID_ARGUMENT", "", Action.FATAL),
        ("UNIMPLEMENTED", "", Action.FATAL),
    ],
)
def test_failures_without_a_code_are_told_by_their_status(status: str, details: str, action: Action) -> None:
    assert classify(status, "", details).action is action
    assert classify(status, PREFIX + "brand.new", details).action is action


def test_what_asks_for_patience_is_told_apart() -> None:
    assert classify("RESOURCE_EXHAUSTED", "service.protection.triggered").slow
    assert classify("RESOURCE_EXHAUSTED").slow
    assert not classify("INTERNAL", "service.unavailable").slow
    assert not classify("RESOURCE_EXHAUSTED", "subscription.limit.exceeded").slow


@pytest.mark.parametrize("code", ["", *ACTIONS])
def test_every_failure_ends_in_one_sentence_that_names_the_place(code: str) -> None:
    error = error_of(classify("INTERNAL", code, place="/data/ChangeEvents"))
    assert isinstance(error, MicroDecisionError)
    assert error.exit_code in {1, 2, 3}
    text = str(error)
    assert "/data/ChangeEvents" in text
    assert "{" not in text
    assert text.endswith(".")
    assert re.search(r": \w", text), "it says what to do"


@given(st.text(), st.text(), st.text())
def test_what_the_network_says_is_not_repeated(status: str, code: str, details: str) -> None:
    refused = classify(status, f"x<{code}>", "secret " + details)
    assert "secret" not in refused.sentence
    assert re.fullmatch(r"[A-Za-z0-9.]*", refused.code)
