"""The front door: checks each request, finds its operation in the botocore model, and gives it to who answers it.

Order of checks: Host is loopback, no ``Origin`` (so no web page can reach us), a key of this session, its signature.
Own operations come first, then moto's allow-list; every other operation is refused by name.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from pseg.local_aws.moto_services import ALLOWED, make_moto_app
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT, REGION, Credential, Keyring

if TYPE_CHECKING:
    from moto.core.model import ServiceModel

logger = logging.getLogger(__name__)

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request,"
    r"\s*SignedHeaders=([^,]+),\s*Signature=(\w+)"
)
SIGNATURE_AGE = timedelta(minutes=15)  # AWS General Reference, "Signature Version 4"
STREAMED = frozenset({"s3"})  # bodies that are never held in memory here

Environ = dict[str, Any]
Headers = list[tuple[str, str]]


class AwsError(Exception):
    """An error that the service would answer: ``code`` as in its API model, plus members such as ``reason``."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.members = members


@dataclass(frozen=True)
class Call:
    """One authenticated request: who calls which operation. Its parameters are a plain dict, named as in the API."""

    service: str
    operation: str
    region: str
    caller: Credential

    @property
    def account(self) -> str:
        """Account id of the caller."""
        return self.caller.account


Handler = Callable[[Call, dict[str, Any]], "dict[str, Any] | None"]


class EmbeddedAws:
    """The WSGI application. Services register operations with ``operation`` and share ``keyring`` and ``client``."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Handler] = {}
        self.services: set[str] = set(ALLOWED)
        self.keyring = Keyring()
        self.keys = {account: self.keyring.issue(account) for account in (BRAND_ACCOUNT, PARTNER_ACCOUNT)}
        self.endpoint = ""
        self.last_request = time.monotonic()
        self.moto = make_moto_app()
        self.on_close: list[Callable[[], None]] = []
        self.boto3_session: Any = boto3.Session(region_name=REGION)  # one: it keeps the service models that it has read
        self.making_clients = threading.Lock()
        self.busy_checks: list[Callable[[], bool]] = []

    def is_busy(self) -> bool:
        """Tell if something still runs that nobody may be asking about."""
        return any(check() for check in self.busy_checks)

    def close(self) -> None:
        """Stop what still runs (jobs, queries); called when the session ends."""
        for stop in reversed(self.on_close):
            stop()

    def operation(self, service: str, name: str) -> Callable[[Handler], Handler]:
        """Register the function that answers one operation."""

        def register(handler: Handler) -> Handler:
            if name not in get_service_model(service).operation_names:
                raise KeyError(f"{service} has no operation {name}")
            self.handlers[service, name] = handler
            self.services.add(service)
            return handler

        return register

    def client(self, service: str, credential: Credential, region: str = REGION) -> Any:
        """Make a boto3 client that calls this process as ``credential``."""
        with self.making_clients:  # creating clients is not safe in threads; using them is
            return self.boto3_session.client(
                service,
                region,
                aws_access_key_id=credential.access_key_id,
                aws_secret_access_key=credential.secret_access_key,
                aws_session_token=credential.session_token or None,
                endpoint_url=self.endpoint,
                config=Config(retries={"total_max_attempts": 2}),
            )

    def serve(self, port: int = 0) -> BaseWSGIServer:
        """Bind to loopback (a free port if 0) and return the server; the caller runs ``serve_forever``."""
        server = make_server("127.0.0.1", port, self, threaded=True, request_handler=QuietRequestHandler)
        server.daemon_threads = True  # type: ignore[attr-defined]
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        return server

    # -- one request

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        self.last_request = time.monotonic()
        try:
            self._check_origin(environ)
            return self._dispatch(environ, start_response)
        except Refusal as refusal:
            return refuse(start_response, refusal)
        except (
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
        ):  # of the request's text; handlers have their own net
            logger.exception("a request that can't be read")
            return refuse(start_response, Refusal("SerializationException", "the request can't be read"))

    def _check_origin(self, environ: Environ) -> None:
        host = environ.get("HTTP_HOST", "")
        port = self.endpoint.rsplit(":", 1)[-1]
        if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            raise Refusal("AccessDenied", f"Host {host!r} is not this embedded AWS")
        if environ.get("HTTP_ORIGIN") is not None:
            raise Refusal("AccessDenied", "requests from web pages (any Origin header) are refused")
        if environ["PATH_INFO"].startswith(("/moto-api", "/favicon.ico")):  # moto's own console: all accounts' state
            raise Refusal("AccessDenied", "the embedded AWS has no console")

    def _dispatch(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        match = AUTHORIZATION.match(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None:
            raise Refusal("MissingAuthenticationToken", "the request is not signed (AWS Signature Version 4)")
        access_key_id, _, region, service, _, _ = match.groups()
        credential = self.keyring.find(access_key_id)
        if credential is None:
            raise Refusal(
                "InvalidClientTokenId",
                "the access key is not one of this session of the embedded AWS; print the right ones: pseg local up",
                service,
            )
        if service not in self.services:
            raise Refusal("UnsupportedOperation", f"the embedded AWS does not provide the service {service}", service)
        if service not in STREAMED:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length < 0:
                raise Refusal("SerializationException", "a request can't have a negative length", service)
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        check_signature(environ, match, credential)
        model = get_service_model(service)
        request = Request(environ)
        name, uri_parameters = find_operation(model, request, environ)
        if (service, name) not in self.handlers and name not in ALLOWED.get(service, ()):
            raise Refusal(
                "UnsupportedOperation",
                f"the embedded AWS does not provide {service}:{name or environ['PATH_INFO']}",
                service,
            )
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = credential.account
        handler = self.handlers.get((service, name))
        if handler is None:
            if service not in STREAMED:
                environ["wsgi.input"].seek(0)
            try:
                return self.moto(environ, start_response)  # type: ignore[no-any-return]
            except Exception as error:
                logger.exception("moto failed in %s:%s", service, name)
                raise Refusal("InternalFailure", f"moto failed in {service}:{name}; see the log", service) from error
        return self._answer(Call(service, name, region, credential), handler, request, uri_parameters, start_response)

    def _answer(
        self, call: Call, handler: Handler, request: Request, uri_parameters: Any, start_response: Any
    ) -> Iterable[bytes]:
        model = get_service_model(call.service)
        operation = model.operation_model(call.operation)
        protocol = determine_request_protocol(model, request.content_type)
        parsed = PROTOCOL_PARSERS[protocol](operation).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data if not request.form else request.get_data(),
                "url_path": request.path,
                "url_params": uri_parameters,
            }
        )
        try:
            result = handler(call, dict(parsed or {})) or {}
        except AwsError as error:
            logger.info("%s:%s answers %s: %s", call.service, call.operation, error.code, error.message)
            status, headers, body = render_error(call.service, error, model)
            return respond(start_response, status, headers, body)
        except Exception:
            logger.exception("%s:%s failed inside the embedded AWS", call.service, call.operation)
            fault = AwsError(
                "InternalFailure", f"the embedded AWS failed in {call.service}:{call.operation}; see its log"
            )
            status, headers, body = render_error(call.service, fault, model)
            return respond(start_response, 500, headers, body)
        serializer = get_serializer_class(call.service, protocol)(operation_model=operation, value_picker=pick_member)
        rendered = serializer.serialize(result)
        content = rendered["body"]
        return respond(
            start_response,
            rendered["status_code"],
            list(rendered["headers"].items()),
            content.encode() if isinstance(content, str) else content or b"",
        )


class Refusal(AwsError):
    """A request turned away at the door, before any service sees it."""

    def __init__(self, code: str, message: str, service: str = "s3") -> None:
        super().__init__(code, message)
        self.service = service


class QuietRequestHandler(MotoRequestHandler):
    """moto's handler (it keeps header names), with request lines at debug level and small packets sent at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log one line of the web server."""
        logger.debug(message, *args)


def find_operation(model: ServiceModel, request: Request, environ: Environ) -> tuple[str, Any]:
    """Name the operation of a request by the service's own model; an empty name if there is none."""
    if model.protocol == "json":  # elsewhere the header means nothing, and must not stand for another operation
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        if not isinstance(json.loads(body or b"{}"), dict):
            raise Refusal("SerializationException", "the body is not a JSON object", model.service_name)
        return environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1], {}
    if model.protocol == "query":
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        return parse_qs(body.decode()).get("Action", [""])[0], {}
    try:
        operation, uri_parameters = get_service_router(model.service_name).match(request)
    except HTTPException:
        return "", {}
    return str(operation.name), uri_parameters


def check_signature(environ: Environ, match: re.Match[str], credential: Credential) -> None:
    """Compare the signature with the one that botocore's own signer makes with the session's secret."""
    _, _, region, service, signed_headers, signature = match.groups()
    headers = {name: environ.get(header_key(name), "") for name in signed_headers.split(";")}
    url = f"http://{environ['HTTP_HOST']}{environ.get('REQUEST_URI') or environ['RAW_URI']}"
    body = b""
    if "x-amz-content-sha256" not in headers:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
    signed = AWSRequest(method=environ["REQUEST_METHOD"], url=url, headers=headers, data=body)
    signed.context["timestamp"] = environ.get("HTTP_X_AMZ_DATE", "")
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        Credentials(credential.access_key_id, credential.secret_access_key), service, region
    )
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    token_matches = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "") == credential.session_token
    if expected != signature or not token_matches:
        raise Refusal(
            "SignatureDoesNotMatch", "the signature was not made with the secret key of this session", service
        )
    signed_at = datetime.strptime(signed.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - signed_at) > SIGNATURE_AGE:
        raise Refusal("RequestTimeTooSkewed", "the request was signed more than 15 minutes ago", service)


def pick_member(context: Any) -> Any:
    """Take a member by its exact name; moto's own picker guesses aliases and leaves out empty lists."""
    return context.obj.get(context.key)


def outside_model(shape: Any, value: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield path, value and constraint of everything in a request that the service's model does not allow.

    botocore's client checks types and little else; these are the errors that the service itself would answer.
    """
    kind, limits = (shape.type_name, shape.metadata) if shape is not None else ("", {})
    if kind == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
            if value.get(name) is not None:
                yield from outside_model(member, value[name], inner)
            elif name in shape.required_members:
                yield inner, "null", "Member must not be null"
        return
    noun = "value" if kind in ("integer", "long", "float", "double") else "length"
    size = value if noun == "value" else len(value) if kind in ("list", "map", "string") else 0
    if size < limits.get("min", size):
        yield path, value, f"Member must have {noun} greater than or equal to {limits['min']}"
    elif size > limits.get("max", size):
        yield path, value, f"Member must have {noun} less than or equal to {limits['max']}"
    elif kind == "list":
        for index, item in enumerate(value, 1):
            yield from outside_model(shape.member, item, f"{path}.{index}.member")
    elif kind == "map":
        for key, item in value.items():
            yield from outside_model(shape.key, key, f"{path}.key")
            yield from outside_model(shape.value, item, f"{path}.{key}")
    elif kind == "string" and shape.enum and value not in shape.enum:
        yield path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    elif kind == "string" and not pattern_of(limits.get("pattern", "")).fullmatch(value):
        yield path, value, f"Member must satisfy regular expression pattern: {limits['pattern']}"


@cache
def pattern_of(text: str) -> re.Pattern[str]:
    """Compile a pattern of a model, which is written for Java; one with Unicode classes is not checked."""
    if not text or r"\p{" in text:
        return re.compile("(?s).*")
    return re.compile(text.replace(r"\uD800\uDBFF-\uDC00\uDFFF", r"\U00010000-\U0010FFFF"))


def header_key(name: str) -> str:
    """WSGI name of a header."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def render_error(service: str, error: AwsError, model: ServiceModel | None) -> tuple[int, Headers, bytes]:
    """Write an error in the service's protocol; the status is the modelled one, else 400 (403 for access)."""
    status = {"UnsupportedOperation": 400, "InternalFailure": 500}.get(
        error.code, 403 if isinstance(error, Refusal) else 400
    )
    for shape in model.error_shapes if model else ():
        if shape.name == error.code:
            status = (shape.metadata.get("error") or {}).get("httpStatusCode", 400)
    code, message = escape(error.code), escape(error.message)
    if service == "s3":
        return status, xml(), f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    if service in ("iam", "sts"):
        text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return status, xml(), f"{text}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>".encode()
    document = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
    return (
        status,
        [("Content-Type", "application/json"), ("x-amzn-errortype", error.code)],
        json.dumps(document).encode(),
    )


def xml() -> Headers:
    """Headers of an XML answer."""
    return [("Content-Type", "application/xml")]


def refuse(start_response: Any, refusal: Refusal) -> Iterable[bytes]:
    """Turn a request away in its service's protocol."""
    logger.info("refused: %s", refusal.message)
    status, headers, body = render_error(refusal.service, refusal, None)
    return respond(start_response, status, headers, body)


def respond(start_response: Any, status: int, headers: Headers, body: bytes) -> Iterable[bytes]:
    """Send one answer."""
    kept = [(name, str(value)) for name, value in headers if name.lower() != "content-length"]
    start_response(
        f"{status} Answer", [*kept, ("Content-Length", str(len(body))), ("x-amzn-requestid", str(uuid.uuid4()))]
    )
    return [body]


def serve_in_thread(aws: EmbeddedAws, port: int = 0) -> BaseWSGIServer:
    """Run the server in a daemon thread of this process (tests, and the server process itself)."""
    server = aws.serve(port)
    threading.Thread(target=server.serve_forever, name="embedded-aws", daemon=True).start()
    return server
