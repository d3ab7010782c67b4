"""How Bulk query jobs are to behave: how long they take, which of them fail, what their results look like."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from localcloud.serving.faults import Trap

Positive = Annotated[float, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class JobFailure(Trap, forbid_unknown_fields=True):
    """Ends the jobs whose statement matches `pattern` as `Failed` or `Aborted` when they would run.

    `message` is the job's errorMessage; `after_rows` results are counted as processed before it ends.
    """

    state: Literal["Failed", "Aborted"] = "Failed"
    message: str = "InternalServerError : Retried more than fifteen times"
    after_rows: int = 0


class BulkControl(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request can ask of Bulk query jobs; what is left out stays as it is.

    Attributes:
        delay_seconds: A job is complete so long after its creation, by the org's clock (0: at once).
        fail: Jobs that are to fail.
        refuse: Where statements that Bulk does not take end: at the creation of the job (HTTP 400), or in the
            job (state Failed).
        not_ready: The status of results that are asked for before the job is complete.
        default_records: The most records of a set where the caller names no maxRecords.
        set_bytes: The most bytes of a set; it ends early rather than exceed them.
        order: The order of rows without ORDER BY: as they were created, or the other way round.
        whole_numbers: How a value of a field of type int is written: `5`, or `5.0` as some orgs have shown.
        charset: Whether the Content-Type of results names UTF-8.
    """

    delay_seconds: Positive | None = None
    fail: list[JobFailure] = []
    refuse: Literal["creation", "job"] | None = None
    not_ready: Literal[204, 400] | None = None
    default_records: AtLeastOne | None = None
    set_bytes: AtLeastOne | None = None
    order: Literal["created", "reversed"] | None = None
    whole_numbers: Literal["5", "5.0"] | None = None
    charset: bool | None = None


class BulkSettings:
    """How Bulk query jobs behave now; the attributes are those of `BulkControl`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Go back to how Salesforce behaves as far as it is documented, and to jobs that run at once."""
        self.delay_seconds = 0.0
        self.fail: list[JobFailure] = []
        self.refuse: Literal["creation", "job"] = "creation"
        self.not_ready: Literal[204, 400] = 204
        self.default_records = 50_000
        self.set_bytes = 64 * 2**20
        self.order: Literal["created", "reversed"] = "created"
        self.whole_numbers: Literal["5", "5.0"] = "5"
        self.charset = False

    def apply(self, asked: BulkControl) -> None:
        """Take over what a control request asks."""
        for name in asked.__struct_fields__:
            value = getattr(asked, name)
            if name == "fail":
                self.fail += asked.fail
            elif value is not None:
                setattr(self, name, value)

    def failure(self, statement: str) -> JobFailure | None:
        """The failure that strikes a job; counts it down."""
        return next((trap for trap in self.fail if trap.strikes(statement)), None)
