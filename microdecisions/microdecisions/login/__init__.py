"""Salesforce login as pure flows: a generator yields requests, receives answers, returns a token. No I/O in here."""

from __future__ import annotations

from microdecisions.login.oauth import (
    client_credentials_flow,
    jwt_bearer_flow,
    refresh_token_flow,
    username_password_flow,
)
from microdecisions.login.parts import Exchange, LoginAnswer, LoginFlow, LoginRequest, Token
from microdecisions.login.ready import access_token_flow
from microdecisions.login.refusals import passing_problem
from microdecisions.login.soap import soap_login_flow

__all__ = [
    "Exchange",
    "LoginAnswer",
    "LoginFlow",
    "LoginRequest",
    "Token",
    "access_token_flow",
    "client_credentials_flow",
    "jwt_bearer_flow",
    "passing_problem",
    "refresh_token_flow",
    "soap_login_flow",
    "username_password_flow",
]
