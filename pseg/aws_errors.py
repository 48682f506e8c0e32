"""What AWS refuses or can't be asked, in the words of this project; and its calls as ``--verbose`` shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from botocore import exceptions, handlers

from contracts.errors import ServiceError

UNREACHABLE = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,  # no answer in time, no TLS
    exceptions.NoCredentialsError,
    exceptions.NoRegionError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
)
KEYS_ARE_OLD = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}


def explain(error: Exception) -> ServiceError | None:
    """Turn an exception of botocore into one for people, None if it is not one."""
    if isinstance(error, UNREACHABLE):
        return ServiceError(
            "AWS can't be reached",
            where=os.environ.get("AWS_ENDPOINT_URL", ""),
            why=str(error),
            fix="start the embedded AWS: pseg local up (and use the exports it prints), or set up an AWS account",
        )
    if isinstance(error, exceptions.ClientError):
        details = error.response.get("Error", {})
        code = details.get("Code", "")
        request = error.response.get("ResponseMetadata", {}).get("RequestId", "")
        return ServiceError(
            f"AWS refused {error.operation_name}",
            where=f"request {request}" if request else "",
            why=f"{code}: {details.get('Message', '')}",
            fix="renew the credentials" if code in KEYS_ARE_OLD else fix_of(code),
        )
    if isinstance(error, exceptions.BotoCoreError):
        return ServiceError("AWS can't be asked", why=str(error), fix="check it with: pseg doctor")
    return None


def fix_of(code: str) -> str:
    """Say what helps against an error code."""
    if "AccessDenied" in code or "Unauthorized" in code:
        return "give the caller the right to do this, or use other credentials; pseg doctor names the caller"
    return "check the credentials, the region and the names: pseg doctor PROJECT"


def report_calls(say: Callable[[str], None]) -> None:
    """Say each AWS call of every session that is opened from here on: operation, status, request id; no content."""

    def after_call(http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata", {})
        code = parsed.get("Error", {}).get("Code", "")
        parts = (
            f"aws  {model.service_model.service_name}.{model.name}",
            f"{http_response.status_code} {code}".strip(),
            f"request {metadata.get('RequestId') or 'without id'}",
            f"{metadata['RetryAttempts']} retries" if metadata.get("RetryAttempts") else "",
        )
        say("  ".join(part for part in parts if part))

    def after_error(exception: Exception, **_: Any) -> None:
        say(f"aws  no answer: {type(exception).__name__}: {exception}")

    # botocore registers this list with each new session: the one place that reaches the sessions of the SDK too
    handlers.BUILTIN_HANDLERS.extend([("after-call", after_call), ("after-call-error", after_error)])
