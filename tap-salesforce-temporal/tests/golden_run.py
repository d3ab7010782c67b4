"""The run that the golden files tell of: its org, its time, and who acted."""

from __future__ import annotations

from microdecisions.actors import Actor
from tap_salesforce_temporal.normalise import Extraction

USER, APPROVER = "0055g000007UserAAC", "0055g00000ApproAAB"
ACTORS = {
    None: Actor(None, "system", None),
    USER: Actor(USER, "user", "Sales User"),
    APPROVER: Actor(APPROVER, "user", "Approver"),
}
EXTRACTION = Extraction(
    org_id="00D5g000004AbcDEAS",
    extracted_at="2026-01-31T12:00:00.000000Z",
    extractor_version="tap-salesforce-temporal 0.1.0",
    source="rest",
)
