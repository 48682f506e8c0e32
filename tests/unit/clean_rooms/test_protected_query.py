"""One protected query: its result and bill, the service's own words when it fails, and no query left running."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import EndpointConnectionError

from clean_rooms.protected_query import TemplateRun, cancel, make_client, run_query
from contracts.errors import ServiceError
from processing.query_clean_rooms import interrupt
from pseg.local_aws.session import BRAND_ACCOUNT
from tests.embedded_aws import TwoAccounts
from tests.local_aws.two_parties import QUERY, Room, finish, make_glue_table, open_room

SLOW = (
    "SELECT DISTINCT m.customer_key FROM slow_keys m JOIN slow_people p ON m.hashed_id = p.hashed_id"
    " WHERE p.city > m.customer_key"
)
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def room(accounts: TwoAccounts) -> Room:
    """A brand and a partner with a table each, and two more whose join would take minutes."""
    opened = open_room(accounts.brand.client, accounts.partner.client)  # type: ignore[arg-type]
    size = 60_000
    ours = pa.table({"hashed_id": ["same"] * size, "customer_key": [f"k{index}" for index in range(size)]})
    theirs = pa.table({"hashed_id": ["same"] * size, "city": ["k5"] * size})
    make_glue_table(opened.brand.clients, "brand-data", "slow_keys", ours)
    make_glue_table(opened.partner.clients, "partner-data", "slow_people", theirs)
    for party, name, column in ((opened.brand, "slow_keys", "customer_key"), (opened.partner, "slow_people", "city")):
        party.offer(name, name, ["hashed_id", column], {"joinColumns": ["hashed_id"], "listColumns": [column]})
    return opened


@pytest.fixture
def run(accounts: TwoAccounts, room: Room) -> Run:
    """Run a query as the brand."""
    client = make_client(accounts.brand)
    return lambda sql, seconds=20: run_query(
        client, client, room.brand.membership, sql, "brand-results", "spring/runs", seconds
    )


def queries(room: Room) -> dict[str, str]:
    """State of every query of the brand, by id."""
    pages = room.brand.clients("cleanrooms").get_paginator("list_protected_queries")
    found = pages.paginate(membershipIdentifier=room.brand.membership)
    return {query["id"]: query["status"] for page in found for query in page["protectedQueries"]}


def end_of_newest(room: Room, before: dict[str, str]) -> str:
    """Final state of the one query that was started since."""
    (query_id,) = set(queries(room)) - set(before)
    return str(finish(room.brand.clients, {"membershipId": room.brand.membership, "id": query_id}, 5)["status"])


def test_success_has_the_services_location_and_its_bill(accounts: TwoAccounts, room: Room, run: Run) -> None:
    result = run(QUERY)
    assert result.location == f"s3://brand-results/spring/runs/{result.query_id}/"
    assert accounts.keys("brand-results", f"spring/runs/{result.query_id}/")
    assert result.billed_units > 0
    assert result.seconds > 0
    assert queries(room)[result.query_id] == "SUCCESS"


def test_fewer_workers_are_billed_less(accounts: TwoAccounts, room: Room, run: Run) -> None:
    client = make_client(accounts.brand)
    few = run_query(
        client, client, room.brand.membership, QUERY, "brand-results", "spring/runs", 20, worker_type="CR.1X", workers=4
    )
    assert (run(QUERY).billed_units, few.billed_units) == (pytest.approx(32 / 60), pytest.approx(8 / 60))


def test_template_runs_with_its_parameters(accounts: TwoAccounts, room: Room, run: Run) -> None:
    client = make_client(accounts.brand)
    policy = {"allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": [BRAND_ACCOUNT]}
    room.partner.offer("persons", "people", ["age", "city"], policy, "CUSTOM")
    arn = client.create_analysis_template(
        membershipIdentifier=room.brand.membership,
        name="older",
        format="SQL",
        source={"text": "SELECT age FROM persons WHERE age > :limit"},
        analysisParameters=[{"name": "limit", "type": "INTEGER"}],
    )["analysisTemplate"]["arn"]
    result = run(TemplateRun(arn, {"limit": "50"}))
    keys = {"membershipIdentifier": room.brand.membership, "protectedQueryIdentifier": result.query_id}
    query = client.get_protected_query(**keys)["protectedQuery"]
    assert query["sqlParameters"] == {"analysisTemplateArn": arn, "parameters": {"limit": "50"}}
    assert [row["age"] for row in room.rows(query)] == [53, 64]  # type: ignore[arg-type]
    before = queries(room)
    with pytest.raises(client.exceptions.ValidationException, match="limit has neither value nor default"):
        run(TemplateRun(arn))
    assert queries(room) == before


def test_failure_carries_the_services_code_and_text(room: Room, run: Run) -> None:
    before = queries(room)
    with pytest.raises(ServiceError, match="the protected query ended as FAILED") as caught:
        run(f"{QUERY} WHERE p.city > 5")
    (query_id,) = set(queries(room)) - set(before)
    keys = {"membershipIdentifier": room.brand.membership, "protectedQueryIdentifier": query_id}
    error = room.brand.clients("cleanrooms").get_protected_query(**keys)["protectedQuery"]["error"]
    assert caught.value.why == f"{error['code']}: {error['message']}"
    assert error["code"] == "MALFORMED_QUERY"
    assert caught.value.where == f"query {query_id}"


def test_query_that_the_rules_forbid_is_refused_and_never_starts(room: Room, run: Run) -> None:
    before = queries(room)
    with pytest.raises(room.brand.clients("cleanrooms").exceptions.ValidationException, match=r"LIST|list"):
        run("SELECT m.customer_key FROM match_keys m")
    assert queries(room) == before


def test_query_past_its_deadline_is_cancelled_and_the_error_says_so(room: Room, run: Run) -> None:
    before = queries(room)
    with pytest.raises(ServiceError, match=r"the query is still (SUBMITTED|STARTED) after 2 s") as caught:
        run(SLOW, 2)
    assert "the deadline passed; the query was cancelled" in caught.value.why
    assert end_of_newest(room, before) == "CANCELLED"


def test_query_cancelled_by_somebody_else_is_an_error_that_says_so(room: Room, run: Run) -> None:
    class CancelAtOnce(logging.Handler):
        """Cancels the query as soon as the log names it."""

        def emit(self, record: logging.LogRecord) -> None:
            keys = {"membershipIdentifier": room.brand.membership, "protectedQueryIdentifier": str(record.args[0])}  # type: ignore[index]
            room.brand.clients("cleanrooms").update_protected_query(**keys, targetStatus="CANCELLED")

    with (
        listening(CancelAtOnce()),
        pytest.raises(ServiceError, match="the protected query ended as CANCELLED") as caught,
    ):
        run(SLOW)
    assert "the service gave no reason" in caught.value.why


class listening:
    """Let a handler hear what the query's module logs."""

    def __init__(self, handler: logging.Handler) -> None:
        self.handler = handler
        self.logger = logging.getLogger("clean_rooms.protected_query")

    def __enter__(self) -> None:
        self.level = self.logger.level
        self.logger.setLevel(logging.INFO)
        self.logger.addHandler(self.handler)

    def __exit__(self, *_: object) -> None:
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.level)


@pytest.fixture
def on_sigterm() -> Iterator[None]:
    """Handle SIGTERM as the query step does."""
    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("after_seconds", [0.0, 0.3], ids=["at once", "while it waits"])
def test_interrupt_cancels_the_query_in_the_service(
    room: Room, run: Run, on_sigterm: None, after_seconds: float
) -> None:
    class StopLater(logging.Handler):
        """Stops this process's work, some time after the query has started, as SageMaker stops a job."""

        def emit(self, record: logging.LogRecord) -> None:
            if "started" not in record.msg:
                return
            if after_seconds == 0:
                signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, after_seconds)

    before = queries(room)
    with listening(StopLater()), pytest.raises(KeyboardInterrupt):
        run(SLOW)
    assert end_of_newest(room, before) == "CANCELLED"


def test_cancelling_what_is_over_or_out_of_reach_is_only_logged(
    accounts: TwoAccounts, room: Room, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    query_id = run(QUERY).query_id
    cancel(make_client(accounts.brand), room.brand.membership, query_id)
    cancel(client_to_nowhere(), room.brand.membership, query_id)
    assert [f"{query_id} could not be cancelled" in message for message in caplog.messages] == [True, True]


def client_to_nowhere(attempts: int = 2) -> Any:
    """A client, made as ours are, that reaches nobody."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        return make_client(boto3.Session(), attempts)


def test_start_is_sent_once_even_if_nobody_answers(accounts: TwoAccounts, room: Room) -> None:
    client, sent = client_to_nowhere(attempts=1), []
    client.meta.events.register("before-send.cleanrooms.StartProtectedQuery", lambda **_: sent.append(1))
    with pytest.raises(EndpointConnectionError):
        run_query(client, client, room.brand.membership, QUERY, "brand-results", "spring/runs", 20)
    assert sent == [1]
