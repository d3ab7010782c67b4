"""What the token may do in Atlan, asked of Atlan without doing it.

The metadata service answers `POST entity/evaluator` (its published source, `EntityREST.evaluatePolicies`); pyatlan has
no call of its own for it. It tells nothing of definitions: whether a set may be made, only making it shows.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from pyatlan.utils import API, EndPoint, HTTPMethod

from target_atlan_metadata.errors import AtlanError, AtlanPermissionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_atlan_metadata.gateway import Gateway

__all__ = ["Permission", "Question", "ask_permissions"]

_EVALUATOR: Final = API("entity/evaluator", HTTPMethod.POST, HTTPStatus.OK, endpoint=EndPoint.ATLAS)


class Question(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Something that the token may do or not, to an asset that is named by its GUID, or by type and qualified name.

    Attributes:
        what: For people.
        action: Atlan's name of the privilege.
        entity_guid: Of the asset.
        type_name: Of an asset that is not there yet.
        entity_id: The qualified name of it.
        business_metadata: Id of the set of custom metadata.
    """

    what: str
    action: str
    entity_guid: str | None = None
    type_name: str | None = None
    entity_id: str | None = None
    business_metadata: str | None = None


class Permission(msgspec.Struct, frozen=True):
    """What may be done; None where Atlan does not tell."""

    what: str
    allowed: bool | None


class _Verdict(msgspec.Struct, rename="camel"):
    action: str
    entity_guid: str | None = None
    entity_id: str | None = None
    allowed: bool | None = None


def ask_permissions(gateway: Gateway, questions: Sequence[Question]) -> list[Permission]:
    """Ask what the token may do; nothing is changed.

    Raises:
        AtlanError: Atlan cannot be reached.
    """
    if not questions:
        return []
    body = [{name: value for name, value in msgspec.to_builtins(one).items() if name != "what"} for one in questions]
    try:
        answer = gateway.read(
            "tell what the token may do", lambda: gateway.client._call_api(_EVALUATOR, request_obj=body)
        )
        verdicts = msgspec.convert(answer, list[_Verdict])
    except (AtlanError, AtlanPermissionError, msgspec.ValidationError):
        verdicts = []  # an older or newer service, or one that tells this to nobody
    told = {(one.action, one.entity_guid or one.entity_id): one.allowed for one in verdicts}
    return [Permission(one.what, told.get((one.action, one.entity_guid or one.entity_id))) for one in questions]
