"""Runs inside simple-salesforce's environment: logs in one way, reads one way, writes rows as JSON lines.

The request comes on the standard input, so that no secret is on a command line; rows go to the standard output.
"""

import csv
import io
import json
import sys
from datetime import datetime

from simple_salesforce import Salesforce


def main() -> None:
    """Log in, read, write."""
    asked = json.load(sys.stdin)
    salesforce = Salesforce(**asked["login"], parse_float=str)  # its way to keep every digit of a number
    for row in {
        "query_all": query_all,
        "query_all_deleted": query_all_deleted,
        "query_all_iter": query_all_iter,
        "bulk2": bulk2,
        "bulk2_all": bulk2_all,
        "deleted": deleted,
    }[asked["read"]](salesforce, asked):
        print(json.dumps(row))


def query_all(salesforce, asked):
    """All pages at once."""
    return salesforce.query_all(asked["soql"])["records"]


def query_all_deleted(salesforce, asked):
    """All pages at once, with what is deleted."""
    return salesforce.query_all(asked["soql"], include_deleted=True)["records"]


def query_all_iter(salesforce, asked):
    """Row by row, with what is deleted."""
    return salesforce.query_all_iter(asked["soql"], include_deleted=True)


def bulk2(salesforce, asked):
    """Sets of a Bulk API 2.0 job, several of them."""
    return rows(getattr(salesforce.bulk2, asked["object"]).query(asked["soql"], max_records=asked["page"]))


def bulk2_all(salesforce, asked):
    """The same with what is deleted."""
    return rows(getattr(salesforce.bulk2, asked["object"]).query_all(asked["soql"], max_records=asked["page"]))


def rows(sets):
    """The rows of CSV texts, each with its header."""
    for text in sets:
        yield from csv.DictReader(io.StringIO(text, newline=""))


def deleted(salesforce, asked):
    """What getDeleted lists, of a window of time."""
    start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
    for row in getattr(salesforce, asked["object"]).deleted(start, end)["deletedRecords"]:
        yield {"Id": row["id"], "deletedDate": row["deletedDate"]}


if __name__ == "__main__":
    main()
