"""A Bulk query job: what it was asked, how far it is, and the documents that tell so."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["UploadComplete", "InProgress", "Aborted", "JobComplete", "Failed"]
Operation = Literal["query", "queryAll"]
Delimiter = Literal["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"]
LineEnding = Literal["LF", "CRLF"]

DELIMITERS: dict[Delimiter, str] = {
    "BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t",
}  # fmt: skip
LINE_ENDINGS: dict[LineEnding, str] = {"LF": "\n", "CRLF": "\r\n"}

NOT_SERVED = frozenset(
    {
        "AcceptedEventRelation", "ActivityHistory", "AssetTokenEvent", "AttachedContentNote", "Attachment",
        "CaseStatus", "ContentFolderItem", "ContractStatus", "DeclinedEventRelation", "EmailStatus",
        "EntityDefinition", "EntityParticle", "FieldDefinition", "FieldSecurityClassification", "KnowledgeArticle",
        "KnowledgeArticleVersion", "KnowledgeArticleVersionHistory", "KnowledgeArticleViewStat",
        "KnowledgeArticleVoteStat", "LookedUpFromActivity", "Name", "NoteAndAttachment", "OpenActivity",
        "OrderStatus", "OwnedContentDocument", "PartnerRole", "ProcessInstanceHistory", "QuoteTemplateRichTextData",
        "RecentlyViewed", "ServiceAppointmentStatus", "ShiftStatus", "SolutionStatus", "TaskPriority", "TaskStatus",
        "UndecidedEventRelation", "WorkOrderLineItemStatus", "WorkOrderStatus", "WorkStepStatus",
    }
)  # fmt: skip
"""Objects whose jobs are refused; those that public connectors know Bulk not to serve."""

_CHUNKED = frozenset(
    {
        "Account", "AccountContactRelation", "Asset", "Campaign", "CampaignMember", "Case", "CaseArticle", "Contact",
        "ContractLineItem", "Event", "EventRelation", "Lead", "LoginHistory", "Opportunity", "OpportunityContactRole",
        "OpportunityHistory", "OpportunityLineItem", "OpportunitySplit", "OpportunityTeamMember", "Pricebook2",
        "PricebookEntry", "Product2", "Quote", "QuoteLineItem", "ReplyText", "ServiceContract", "Task", "User",
        "UserRole", "VoiceCall", "WorkOrder", "WorkOrderLineItem",
    }
)  # fmt: skip


def is_chunked(sobject: str) -> bool:
    """Whether PK chunking supports an object: listed ones, custom ones, histories and shares.

    Source: "Use PK Chunking to Extract Large Data Sets from Salesforce".
    """
    return sobject in _CHUNKED or sobject.endswith(("__c", "History", "Share"))


class Asked(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request that creates a job.

    `object` was documented up to version 46 and is ignored.
    """

    operation: Operation
    query: str
    content_type: Literal["CSV"] = "CSV"
    column_delimiter: Delimiter = "COMMA"
    line_ending: LineEnding = "LF"
    object: str | None = None
    concurrency_mode: Literal["Parallel"] = "Parallel"


class Job(msgspec.Struct):
    """A job, as it is kept in the org's folder.

    `created` and `modified` are instants as the API writes them, `due_ms` is when it is to run, in
    milliseconds since the epoch by the org's clock; `processed` counts rows, `processing_ms` real time.
    """

    id: str
    number: int
    asked: Asked
    sobject: str
    version: float
    created_by: str
    created: str
    modified: str
    created_ms: int
    due_ms: int
    state: State = "UploadComplete"
    columns: tuple[str, ...] = ()
    processed: int = 0
    retries: int = 0
    processing_ms: int = 0
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in {"Aborted", "JobComplete", "Failed"}

    @property
    def header(self) -> str:
        """The first row of every set of results."""
        delimiter = DELIMITERS[self.asked.column_delimiter]
        return delimiter.join(f'"{name}"' for name in self.columns) + LINE_ENDINGS[self.asked.line_ending]


class Aborted(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to an abort ("Abort a Query Job"): it names neither type nor format."""

    id: str
    operation: Operation
    object: str
    created_by_id: str
    created_date: str
    system_modstamp: str
    state: State
    concurrency_mode: str
    content_type: str
    api_version: float


class Created(Aborted, frozen=True, rename="camel"):
    """The answer to a creation ("Create a Query Job")."""

    line_ending: LineEnding
    column_delimiter: Delimiter


class Listed(Aborted, frozen=True, rename="camel"):
    """One record of the list ("Get Information About All Query Jobs")."""

    job_type: str
    line_ending: LineEnding
    column_delimiter: Delimiter


class Shown(Listed, frozen=True, rename="camel", omit_defaults=True):
    """The answer to a poll ("Get Information About a Query Job"); errorMessage only of a failed job."""

    number_records_processed: int
    retries: int
    total_processing_time: int
    is_pk_chunking_supported: bool
    error_message: str | None = None


class JobList(msgspec.Struct, frozen=True, rename="camel"):
    """One page of the list of jobs."""

    done: bool
    records: list[Listed]
    next_records_url: str | None


class ResultPage(msgspec.Struct, frozen=True, rename="camel"):
    """Where one set of results lies."""

    result_url: str


class ResultPages(msgspec.Struct, frozen=True, rename="camel"):
    """Up to five sets ("Get Parallel Results for a Query Job")."""

    result_pages: list[ResultPage]
    next_records_url: str | None
    done: bool


def aborted(job: Job) -> Aborted:
    """What an abort answers."""
    return Aborted(
        job.id, job.asked.operation, job.sobject, job.created_by, job.created, job.modified, job.state, "Parallel",
        "CSV", job.version,
    )  # fmt: skip


def created(job: Job) -> Created:
    """What a creation answers: always the state before anything ran."""
    return Created(
        job.id, job.asked.operation, job.sobject, job.created_by, job.created, job.created, "UploadComplete",
        "Parallel", "CSV", job.version, job.asked.line_ending, job.asked.column_delimiter,
    )  # fmt: skip


def listed(job: Job) -> Listed:
    """What the list says of a job."""
    return Listed(
        job.id, job.asked.operation, job.sobject, job.created_by, job.created, job.modified, job.state, "Parallel",
        "CSV", job.version, "V2Query", job.asked.line_ending, job.asked.column_delimiter,
    )  # fmt: skip


def shown(job: Job) -> Shown:
    """What a poll answers."""
    return Shown(
        job.id, job.asked.operation, job.sobject, job.created_by, job.created, job.modified, job.state, "Parallel",
        "CSV", job.version, "V2Query", job.asked.line_ending, job.asked.column_delimiter, job.processed, job.retries,
        job.processing_ms, is_chunked(job.sobject), job.error,
    )  # fmt: skip
