"""Redaction: blanks tokens, keys and passwords in text and in log records before anyone sees them."""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

__all__ = ["BLANK", "RedactingFilter", "Secrets", "install", "known_secrets", "redact"]

BLANK = "[redacted]"

_SHORTEST_SECRET = 6  # shorter values would eat ordinary words out of every message
_SHORTEST_LINE = 20  # lines of a multi-line secret (a PEM key) that are long enough to give something away

_NAMES = (
    r"(?:access|refresh|id|session|security|bearer)[_-]?token|client[_-]?secret|consumer[_-]?secret|password|passwd"
    r"|private[_-]?key|api[_-]?key|assertion|code[_-]?verifier|session[_-]?id|sid"
)
_VALUE = r"""\\"(?:[^"\\]|\\(?!").)*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s&"',;}<]+"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A whole PEM block, also with literal "\n" in it, also cut off before its end.
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), BLANK),
    (re.compile(r"""(?i)(\bauthorization\b\\?["']?\s*[:=]\s*\\?["']?)[^"'\r\n\\]+"""), rf"\g<1>{BLANK}"),
    # A scheme word and a token: a digit, "!" or "." tells a token from the next word of a sentence.
    (
        re.compile(r"(?i)\b(bearer|oauth|basic)([ \t]+|%20|\+)(?=[\w.~+/!%-]*[0-9!])[\w.~+/!%-]{8,}=*"),
        rf"\g<1>\g<2>{BLANK}",
    ),
    (re.compile(r"00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?(?:!|%21)[A-Za-z0-9._]+"), BLANK),
    (re.compile(r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+){1,2}"), BLANK),
    (re.compile(rf"(?i)(<(?:\w+:)?(?:{_NAMES})>)[^<]*"), rf"\g<1>{BLANK}"),
    (re.compile(rf"""(?i)((?<![A-Za-z])(?:{_NAMES})\\?["']?\s*[:=]\s*)(?:{_VALUE})"""), rf"\g<1>{BLANK}"),
)


class Secrets:
    """Values that are blanked wherever they appear, as they are or encoded for a URL, JSON or XML. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: frozenset[str] = frozenset()
        self._longest_first: tuple[str, ...] = ()

    def add(self, *values: str | None) -> None:
        """Register values; None and values under six characters are ignored."""
        forms = {form for value in values if value for form in _forms(value)}
        with self._lock:
            if forms <= self._values:
                return
            self._values |= forms
            # No pattern of them all: a process that logs in a thousand times would compile it a thousand times.
            self._longest_first = tuple(sorted(self._values, key=len, reverse=True))

    def clear(self) -> None:
        """Forget all values, for a process that goes on with other settings."""
        with self._lock:
            self._values, self._longest_first = frozenset(), ()

    def blank(self, text: str) -> str:
        """The text without any registered value."""
        for value in self._longest_first:
            if value in text:
                text = text.replace(value, BLANK)
        return text


def _forms(value: str) -> Iterable[str]:
    """Every spelling in which one secret may turn up in a text."""
    parts = [value, value.strip(), *(line.strip() for line in value.splitlines() if len(line) >= _SHORTEST_LINE)]
    for part in parts:
        if len(part) >= _SHORTEST_SECRET:
            yield from (
                part,
                quote(part, safe="", errors="replace"),
                quote_plus(part, errors="replace"),
                json.dumps(part)[1:-1],
                repr(part)[1:-1],
            )
            yield escape(part)  # in XML


known_secrets = Secrets()
"""The secrets of this process: settings and session register theirs here."""


def redact(text: str, secrets: Secrets = known_secrets) -> str:
    """Blank what is, or looks like, a secret.

    Known values go first, then the shapes: bearer tokens, session ids (`00D...!...`), JWTs, PEM blocks, and the
    values of names such as `access_token` or `password` in URLs, forms, JSON and XML. Redacting twice changes
    nothing more.
    """
    text = secrets.blank(text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """Redacts a log record in place: message with its arguments, extras, exception and stack."""

    def __init__(self, secrets: Secrets = known_secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: a record is cleaned, never dropped."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # a wrong format string is no reason to leak or to fail
            message = f"{record.msg} {record.args}"
        clean = redact(message, self._secrets)
        if clean != message or not isinstance(record.msg, str):
            record.msg, record.args = clean, None
        for name, value in list(record.__dict__.items()):
            if name not in _OWN:
                record.__dict__[name] = self._clean(value)
        if record.exc_info and record.exc_info[0] is not None:
            self._clean_exception(record, record.exc_info)
        for name in ("exc_text", "stack_info"):
            if isinstance(text := getattr(record, name, None), str):
                setattr(record, name, redact(text, self._secrets))
        return True

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return redact(value, self._secrets)
        if isinstance(value, dict):
            return {key: self._clean_named(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean(item) for item in value]
        return value

    def _clean_named(self, name: Any, value: Any) -> Any:
        is_secret = isinstance(name, str) and isinstance(value, str) and _SECRET_NAME.fullmatch(name) is not None
        return BLANK if is_secret else self._clean(value)

    def _clean_exception(self, record: logging.LogRecord, exc_info: ExcInfo) -> None:
        """Swap an exception that shows a secret, itself or in its chain, for a copy that does not."""
        shown = "".join(text for error in _chain(exc_info[1]) for text in traceback.format_exception_only(error))
        if redact(shown, self._secrets) != shown:
            error = _copy(exc_info[1], self._secrets)
            record.exc_info = (type(error), error, exc_info[2])
            record.exc_text = None


_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_SECRET_NAME = re.compile(f"(?i)(?:{_NAMES}|authorization)")


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def _copy(error: BaseException, secrets: Secrets) -> BaseException:
    """An exception of the same name with the same traceback and chain, its text redacted."""
    copies: dict[int, BaseException] = {}
    originals = list(_chain(error))
    for original in originals:
        kind = type(type(original).__name__, (Exception,), {"__module__": type(original).__module__})
        copies[id(original)] = kind(redact(str(original), secrets)).with_traceback(original.__traceback__)
        for note in getattr(original, "__notes__", ()):
            copies[id(original)].add_note(redact(str(note), secrets))
    for original in originals:
        copy = copies[id(original)]
        copy.__cause__ = copies.get(id(original.__cause__))
        copy.__context__ = copies.get(id(original.__context__))
        copy.__suppress_context__ = original.__suppress_context__
    return copies[id(error)]


def install(logger: logging.Logger | None = None, secrets: Secrets = known_secrets) -> None:
    """Put the filter on every handler of a logger (the root logger by default); twice does no harm.

    A filter on a handler sees the records of all loggers below; a filter on the logger would only see its own.
    """
    for handler in (logger or logging.getLogger()).handlers:
        if not any(isinstance(present, RedactingFilter) for present in handler.filters):
            handler.addFilter(RedactingFilter(secrets))
