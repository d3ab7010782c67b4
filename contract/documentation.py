"""Which page of Salesforce's documentation a contract test stands for."""

from __future__ import annotations

from typing import NamedTuple

import pytest


class Page(NamedTuple):
    """A page: the book it is in, and its title there."""

    book: str
    title: str

    def __str__(self) -> str:
        """`REST API Developer Guide: Query`."""
        return f"{self.book}: {self.title}"


REST = "REST API Developer Guide"
BULK = "Bulk API 2.0 and Bulk API Developer Guide"
SOQL = "SOQL and SOSL Reference"
OBJECTS = "Object Reference for the Salesforce Platform"
IDENTITY = "Salesforce Help, Identify Your Users and Manage Access"
PUBSUB = "Pub/Sub API Guide"
CDC = "Change Data Capture Developer Guide"
EVENTS = "Platform Events Developer Guide"
SOAP = "SOAP API Developer Guide"


def documented(book: str, title: str) -> pytest.MarkDecorator:
    """Marks a test with the page that promises what it checks."""
    return pytest.mark.documented(Page(book, title))
