"""A page as an answer: its headers say what it may load and do, which is nothing of anybody else."""

from __future__ import annotations

from aiohttp import web


def answer(page: bytes, status: int, nonce: str) -> web.Response:
    """Send a page.

    Args:
        page: The whole document.
        status: The HTTP status.
        nonce: What lets its own style and script pass.
    """
    rules = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
    rules += "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": rules,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return web.Response(status=status, body=page, headers=headers)
