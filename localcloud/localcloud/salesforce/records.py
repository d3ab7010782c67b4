"""Requests that change records: one by one, and collections of up to 200.

Source: REST API Developer Guide, "sObject Basic Information", "sObject Rows", "sObject Collections".
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from localcloud.salesforce.actions import ActionError, Fault, Record, RecordOutcome
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcloud.salesforce.actions import Actions
    from localcloud.salesforce.sobject import Schema, SObject
    from localcloud.salesforce.wire import Call

MOST_RECORDS = 200
_T = TypeVar("_T")
_GONE = {"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"}


class _Saved(msgspec.Struct, frozen=True):
    id: str
    success: bool = True
    errors: tuple[str, ...] = ()


class _Error(msgspec.Struct, frozen=True, rename="camel"):
    status_code: str
    message: str
    fields: tuple[str, ...]


class _Refused(msgspec.Struct, frozen=True):
    success: bool
    errors: tuple[_Error, ...]


class _Collection(msgspec.Struct, frozen=True, rename="camel"):
    records: list[dict[str, msgspec.Raw]]
    all_or_none: bool = False


class RecordRequests:
    """Answers the requests that change records.

    Args:
        actions: What changes them.
        schema: The objects and fields that the user may see now.
    """

    def __init__(self, actions: Actions, schema: Callable[[], Schema]) -> None:
        self._actions = actions
        self._schema = schema

    def create(self, sobject: SObject, call: Call, origin: str) -> Answer:
        """`POST /sobjects/X`: 201 with the new id, and where the record is.

        Raises:
            ApiError: The record is refused.
        """
        outcome = self._tried(
            lambda: self._actions.create(
                sobject.name,
                [_values(_decoded(call.body, dict[str, msgspec.Raw]))],
                origin=origin,
                schema=self._schema(),
            )
        )[0]
        if outcome.errors:
            _refuse(outcome.errors[0])
        place = "/".join([*call.path.split("/")[:5], sobject.name, str(outcome.id)])
        return Answer(201, msgspec.json.encode(_Saved(str(outcome.id))), headers={"Location": place})

    def update(self, sobject: SObject, record: str, call: Call, origin: str) -> Answer:
        """`PATCH /sobjects/X/id`: 204.

        Raises:
            ApiError: The record is refused or not there.
        """
        values = _values(_decoded(call.body, dict[str, msgspec.Raw]))
        if any(name.lower() == "id" for name in values):
            raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.", fields=())
        self._own(sobject, record)
        outcome = self._tried(
            lambda: self._actions.update(sobject.name, [(record, values)], origin=origin, schema=self._schema())
        )[0]
        return self._done(outcome, sobject)

    def delete(self, sobject: SObject, record: str, origin: str) -> Answer:
        """`DELETE /sobjects/X/id`: 204.

        Raises:
            ApiError: The record is refused or not there.
        """
        self._own(sobject, record)
        outcome = self._tried(
            lambda: self._actions.delete(sobject.name, [record], origin=origin, schema=self._schema())
        )[0]
        return self._done(outcome, sobject)

    def save_all(self, call: Call, origin: str) -> Answer:
        """`POST` or `PATCH /composite/sobjects`: 200 with what came of each record, in order.

        Raises:
            ApiError: The body is not right, or there are too many records.
        """
        asked = _decoded(call.body, _Collection)
        _check_count(len(asked.records))
        records: list[Record] = []
        faults: dict[int, RecordOutcome] = {}
        for place, raw in enumerate(asked.records):
            values = _values(raw)
            try:
                records.append(self._record(values, new=call.method == "POST"))
            except _WrongRecordError as error:
                faults[place] = RecordOutcome(None, (error.fault,))
        if faults and asked.all_or_none:
            outcomes = [faults.get(place, _ROLLED_BACK) for place in range(len(asked.records))]
        else:
            outcomes = self._tried(
                lambda: self._actions.save(records, origin=origin, schema=self._schema(), all_or_none=asked.all_or_none)
            )
            for place in sorted(faults):
                outcomes.insert(place, faults[place])
        return _results(outcomes)

    def delete_all(self, call: Call, origin: str) -> Answer:
        """`DELETE /composite/sobjects?ids=...`: 200 with what came of each record, in order.

        Raises:
            ApiError: No ids are given, or too many.
        """
        ids = [key for key in (call.parameter("ids") or "").split(",") if key]
        if not ids:
            raise ApiError(400, "MISSING_ARGUMENT", "Required parameter ids is missing")
        _check_count(len(ids))
        all_or_none = (call.parameter("allOrNone") or "").lower() == "true"
        return _results(
            self._tried(
                lambda: self._actions.delete(None, ids, origin=origin, schema=self._schema(), all_or_none=all_or_none)
            )
        )

    def _record(self, values: dict[str, object], *, new: bool) -> Record:
        attributes = values.pop("attributes", None)
        name = attributes.get("type") if isinstance(attributes, dict) else None
        sobject = self._schema().get(name) if isinstance(name, str) else None
        if sobject is None:
            raise _WrongRecordError("INVALID_TYPE", f"sObject type '{name}' is not supported.")
        if new:
            return Record(sobject.name, None, values)
        given = {field: value for field, value in values.items() if field.lower() != "id"}
        key = next((value for field, value in values.items() if field.lower() == "id"), None)
        if not isinstance(key, str):
            raise _WrongRecordError("MISSING_ARGUMENT", "Id not specified in an update call")
        return Record(sobject.name, key, given)

    def _own(self, sobject: SObject, record: str) -> None:
        found = to_18(record)
        if found is None or not found.startswith(sobject.key_prefix):
            raise _not_found()

    def _done(self, outcome: RecordOutcome, sobject: SObject) -> Answer:
        for fault in outcome.errors:
            if fault.code not in _GONE or self._actions.is_live(sobject, str(outcome.id)):
                _refuse(fault)  # what is not there can also be what a look-up is to lead to
            if fault.code == "ENTITY_IS_DELETED":
                _refuse(fault, 404)
            raise _not_found()
        return Answer(204, b"")

    def _tried(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except ActionError as error:
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", str(error), fields=()) from error


class _WrongRecordError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(code, message)


_ROLLED_BACK = RecordOutcome(
    None,
    (
        Fault(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        ),
    ),
)


def _results(outcomes: Sequence[RecordOutcome]) -> Answer:
    shown: list[_Saved | _Refused] = [
        _Refused(False, tuple(_Error(fault.code, fault.message, fault.fields) for fault in one.errors))
        if one.errors
        else _Saved(str(one.id))
        for one in outcomes
    ]
    return Answer(200, msgspec.json.encode(shown))


def _refuse(fault: Fault, status: int = 400) -> NoReturn:
    raise ApiError(status, fault.code, fault.message, fields=fault.fields)


def _check_count(count: int) -> None:
    if count > MOST_RECORDS:
        message = f"record limit reached. cannot submit more than {MOST_RECORDS} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)


def _values(raw: dict[str, msgspec.Raw]) -> dict[str, object]:
    """The values of a record, its numbers as the tokens that were sent."""
    return {name: json.loads(bytes(value), parse_float=Decimal) for name, value in raw.items()}


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from error


def _not_found() -> ApiError:
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")
