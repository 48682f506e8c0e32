"""Protected queries: checked when they start, then run in a thread of their own over both accounts' S3 objects."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from pseg.local_aws import clean_rooms_engine as engines
from pseg.local_aws.clean_rooms_budgets import Budgets
from pseg.local_aws.clean_rooms_queries import Plan, prepare
from pseg.local_aws.clean_rooms_records import (
    RUNNING,
    Record,
    conflict,
    denied,
    having,
    invalid,
    now,
    page,
    view,
    within_quota,
)
from pseg.local_aws.clean_rooms_sql import QueryRefused, RoomTable
from pseg.local_aws.clean_rooms_templates import Templates
from pseg.local_aws.session import Credential
from pseg.local_aws.sts import assume_for_service
from pseg.local_aws.wire import AwsError, Call

logger = logging.getLogger(__name__)

LOG_GROUP = "/embedded-aws/cleanrooms/protected-queries"  # of the runner; the service has no such log
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403", "Forbidden"})
MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "404", "EntityNotFoundException"})


@dataclass(frozen=True)
class Delivery:
    """Where one receiver's result goes, and as whom it is written."""

    account: str
    s3: Mapping[str, Any]
    writer: Credential
    is_runner: bool


class Runs(Templates, Budgets):
    """Protected queries."""

    def close(self) -> None:
        """Stop running queries and wait for them."""
        for query in list(self.runs.values()):
            query["stop"].set()
        for query in list(self.runs.values()):
            query["thread"].join(10)

    def start_protected_query(self, call: Call, given: Record) -> Record:
        """Check a query in full, then run it in a thread of its own."""
        membership = self.membership(call, given, active=True)
        collaboration = self.collaborations[membership["collaborationId"]]
        if "CAN_QUERY" not in membership["memberAbilities"]:
            raise denied("this member does not have the ability CAN_QUERY")
        payer = self.payer(collaboration, call.account, given.get("queryComputePayerAccountId"))
        analysis = self.analysis(call, collaboration, given["sqlParameters"])
        tables = {link["name"].lower(): self.room_table(link) for link in self.links_in(collaboration["id"])}
        result = given.get("resultConfiguration") or view(
            "ProtectedQueryResultConfiguration", membership.get("defaultResultConfiguration") or {}
        )
        deliveries = self.deliveries(call, collaboration, result, tables.values())
        try:
            accounts = [one.account for one in deliveries]
            budget = self.privacy_budget(collaboration["id"])
            plan = prepare(analysis, accounts, tables, self.schemas(collaboration), budget)
        except QueryRefused as refused:
            raise invalid(str(refused), refused.reason) from refused
        running = having(self.running(), membershipId=membership["id"])
        within_quota("Concurrent queries in progress per membership", running)
        receivers = {"receiverAccountIds": accounts}
        query: Record = {
            "id": str(uuid.uuid4()),
            "membershipId": membership["id"],
            "membershipArn": membership["arn"],
            "createTime": now(),
            "status": "SUBMITTED",
            "sqlParameters": given["sqlParameters"],
            "resultConfiguration": result,
            "computeConfiguration": given.get("computeConfiguration"),
            "queryComputePayerAccountId": payer,
            "collaborationId": collaboration["id"],
            "receiverConfigurations": [
                {
                    "analysisType": "DIRECT_ANALYSIS",
                    "configurationDetails": {"directAnalysisConfigurationDetails": receivers},
                }
            ],
            "stop": threading.Event(),
            "call": call,
        }
        query["thread"] = threading.Thread(
            target=self.run_query, args=(query, plan, deliveries), name=f"protected-query-{query['id']}", daemon=True
        )
        self.spend(collaboration["id"], plan.noisy)
        self.runs[query["id"]] = query
        answer = {"protectedQuery": view("ProtectedQuery", query)}
        query["thread"].start()
        return answer

    def get_protected_query(self, call: Call, given: Record) -> Record:
        """Describe a query to the member who runs it."""
        return {"protectedQuery": view("ProtectedQuery", self.part(self.runs, call, given, "protectedQueryIdentifier"))}

    def update_protected_query(self, call: Call, given: Record) -> Record:
        """Cancel a query that still runs."""
        query = self.part(self.runs, call, given, "protectedQueryIdentifier")
        if query["status"] not in RUNNING:
            text = f"the query is {query['status']} already"
            raise conflict("MEMBERSHIP", query["membershipId"], "INVALID_STATE", text)
        query["status"] = "CANCELLING"
        query["stop"].set()
        return {"protectedQuery": view("ProtectedQuery", query)}

    def list_protected_queries(self, call: Call, given: Record) -> Record:
        """List the queries of a membership."""
        status = {"status": given["status"]} if "status" in given else {}
        found = having(self.runs, membershipId=self.membership(call, given)["id"], **status)
        return page("protectedQueries", "ProtectedQuerySummary", found, given)

    # -- one query

    def payer(self, collaboration: Record, runner: str, chosen: str | None) -> str:
        """Find who pays for a query; the payer must have joined."""
        members = collaboration["members"]
        able = [
            account for account, one in members.items() if one["paymentConfiguration"]["queryCompute"]["isResponsible"]
        ]
        if chosen is not None and chosen not in able:
            raise invalid(f"queryComputePayerAccountId: {chosen} does not pay for query compute in this collaboration")
        payer = chosen or (runner if runner in able else able[0] if len(able) == 1 else None)
        if payer is None:
            raise invalid(f"queryComputePayerAccountId: choose one of {', '.join(able) or 'no member at all'}")
        if members[payer]["status"] != "ACTIVE":
            raise invalid(f"the member who pays for query compute, {payer}, is not active in the collaboration")
        return payer

    def deliveries(
        self, call: Call, collaboration: Record, result: Record, tables: Iterable[RoomTable]
    ) -> list[Delivery]:
        """Find where results go, and refuse receivers and buckets that may not have them."""
        output = result.get("outputConfiguration", {})
        places = output["distribute"]["locations"] if "distribute" in output else [output]
        if not output or "intermediateTable" in output or sum("s3" in place for place in places) > 1:
            raise invalid("resultConfiguration: name one s3 output, a member, or distribute with at most one s3 output")
        found = [self.delivery(call, collaboration, place) for place in places]
        sources = self.source_buckets(tables)
        for delivery in found:
            member = collaboration["members"].get(delivery.account, {})
            if "CAN_RECEIVE_RESULTS" not in member.get("abilities", ()) or member["status"] != "ACTIVE":
                raise invalid(f"account {delivery.account} is not an active member who can receive results")
            if (bucket := delivery.s3["bucket"]) in sources:
                raise invalid(f"bucket {bucket} holds source data of this collaboration; results need one of their own")
            try:
                client = self.aws.client("s3", delivery.writer)
                region = client.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
                client.head_bucket(Bucket=bucket)
            except ClientError as error:
                text = f"bucket {bucket} cannot be written by account {delivery.account}: {code_of(error)}"
                raise invalid(text) from error
            if region not in collaboration.get("allowedResultRegions", [region]):
                raise invalid(f"bucket {bucket} is in {region}, which is not among allowedResultRegions")
        return found

    def delivery(self, call: Call, collaboration: Record, place: Record) -> Delivery:
        """Read one output: the runner's own S3 place, or what another member set as its default."""
        if "s3" in place:
            return Delivery(call.account, place["s3"], call.caller, is_runner=True)
        account = place["member"]["accountId"]
        member = collaboration["members"].get(account, {})
        default = self.memberships.get(member.get("membershipId") or "", {}).get("defaultResultConfiguration", {})
        if "roleArn" not in default:
            raise invalid(f"account {account} has no default result configuration with a role to write results")
        return Delivery(account, default["outputConfiguration"]["s3"], self.role(default["roleArn"]), is_runner=False)

    def source_buckets(self, tables: Iterable[RoomTable]) -> set[str]:
        """Buckets that hold data of the collaboration's tables."""
        buckets = set()
        for table in tables:
            try:
                client = self.aws.client("glue", self.aws.keys[table.owner])
                found = client.get_table(DatabaseName=table.database, Name=table.glue_table)["Table"]
            except ClientError:
                continue  # the table is gone: a query that names it fails with RESOURCE_NOT_FOUND
            buckets.add(bucket_and_prefix(found.get("StorageDescriptor", {}).get("Location", ""))[0])
        return buckets

    def run_query(self, query: Record, plan: Plan, deliveries: list[Delivery]) -> None:
        """Run a query to its end, in its own thread; whatever happens becomes a status."""
        began = time.monotonic()
        outcome: Record
        with self.lock:
            if not query["stop"].is_set():
                query["status"] = "STARTED"
        try:
            with tempfile.TemporaryDirectory(prefix="protected-query-") as folder:
                output = self.produce(query, plan, deliveries, Path(folder), began)
            outcome = {"status": "SUCCESS", "result": {"output": output}}
        except Exception as error:  # the thread ends here: every error becomes a status
            if query["stop"].is_set():
                outcome = {"status": "CANCELLED"}
            elif time.monotonic() - began > engines.RUN_TIME_LIMIT_SECONDS:
                outcome = {"status": "TIMED_OUT"}
            else:
                code, message = failure(error)
                error_shown = {"code": code, "message": message, "retry": {"retryable": False}}
                outcome = {"status": "FAILED", "error": error_shown}
        seconds = time.monotonic() - began
        units = engines.crpu_hours(query["computeConfiguration"] or {}, seconds)
        statistics = {"totalDurationInMillis": int(1000 * seconds), "billedResourceUtilization": {"units": units}}
        with self.lock:
            query.update(outcome, statistics=statistics)
        logger.info("protected query %s: %s", query["id"], query["status"])

    def produce(self, query: Record, plan: Plan, deliveries: list[Delivery], folder: Path, began: float) -> Record:
        """Load the tables, run the plan, write and upload the result; return the output to report."""
        engine = engines.Engine(folder)
        with engine.interruptible(query["stop"], began + engines.RUN_TIME_LIMIT_SECONDS):
            for table, columns in plan.reads:
                engine.load(table, columns, self.sources(table, folder, query["stop"]))
            engine.seal()
            lines = engine.left_out(plan)
            if bounds := engine.bound(plan):
                query["differentialPrivacy"] = {"sensitivityParameters": bounds}
                why = "it follows from the query's text and number, so it protects nobody"
                lines.append(f"{len(bounds)} totals have noise; {why}")
            for line in lines:
                self.logs.stream(query["call"], LOG_GROUP, query["id"]).write(line)
            rows = engine.batches(plan)
            parts = [
                engines.PartFiles(
                    folder / str(index), one.s3["resultFormat"], one.s3.get("singleFileOutput", False), rows.schema
                )
                for index, one in enumerate(deliveries)
            ]
            for batch in rows:
                for part in parts:
                    part.write(batch)
        if query["stop"].is_set():
            raise engines.QueryCancelled
        own: Record = {}
        others = []
        for delivery, part in zip(deliveries, parts, strict=True):
            prefix = "/".join(piece for piece in (delivery.s3.get("keyPrefix", "").strip("/"), query["id"]) if piece)
            client = self.aws.client("s3", delivery.writer)
            for file in part.close():
                client.upload_file(str(file), delivery.s3["bucket"], f"{prefix}/{file.name}")
            if delivery.is_runner:
                own = {"s3": {"location": f"s3://{delivery.s3['bucket']}/{prefix}/"}}
            else:
                others.append({"accountId": delivery.account})
        if own and others:
            return {"distribute": own | {"memberList": others}}
        return own or {"memberList": others}

    def sources(self, table: RoomTable, folder: Path, stop: threading.Event) -> Iterator[engines.Source]:
        """Fetch a table's files partition by partition, as the association's role; each is gone after its turn."""
        credential = assume_for_service(self.aws, table.role_arn, "cleanrooms")
        glue = self.aws.client("glue", credential)
        found = glue.get_table(DatabaseName=table.database, Name=table.glue_table)["Table"]
        storage = found.get("StorageDescriptor", {})
        kinds = storage.get("InputFormat", ""), found.get("Parameters", {}).get("classification", "")
        if not any("parquet" in kind.lower() for kind in kinds):
            raise engines.unusable(table, "the embedded AWS reads Parquet tables only")
        keys = [key["Name"].lower() for key in found.get("PartitionKeys", [])]
        places: list[tuple[str, dict[str, Any]]] = [(storage.get("Location", ""), {})]
        if keys:
            name = {"DatabaseName": table.database, "TableName": table.glue_table}
            places = [
                (one["StorageDescriptor"]["Location"], dict(zip(keys, one["Values"], strict=True)))
                for answer in glue.get_paginator("get_partitions").paginate(**name)
                for one in answer["Partitions"]
            ]
        if not places:
            raise engines.unusable(table, "no partition is registered in Glue")
        s3 = self.aws.client("s3", credential)
        for location, partition in places:
            bucket, prefix = bucket_and_prefix(location)
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            objects = [
                one
                for answer in pages
                for one in answer.get("Contents", [])
                if one["Size"] and not hidden(one["Key"], prefix)
            ]
            if not objects:
                which = "/".join(f"{key}={value}" for key, value in partition.items()) or "the table"
                raise engines.unusable(table, f"{which} has no data files at its location")
            files = []
            for index, one in enumerate(sorted(objects, key=lambda item: str(item["Key"]))):
                if stop.is_set():
                    raise engines.QueryCancelled
                files.append(folder / f"{table.name}-{index}.parquet".replace("/", "_"))
                s3.download_file(bucket, one["Key"], str(files[-1]))
            yield engines.Source(tuple(files), partition)
            for file in files:
                file.unlink()


def bucket_and_prefix(location: str) -> tuple[str, str]:
    """Split an S3 location; the prefix is a folder."""
    bucket, _, prefix = re.sub(r"^s3[an]?://", "", location).partition("/")
    return bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""


def hidden(key: str, prefix: str) -> bool:
    """Spark leaves out files and folders whose name begins with a dot or an underscore."""
    return any(part.startswith((".", "_")) for part in key[len(prefix) :].split("/"))


def code_of(error: ClientError) -> str:
    """Error code of an AWS answer."""
    return str(error.response["Error"]["Code"])


def failure(error: Exception) -> tuple[str, str]:
    """Error code and message of a run-time error, for the runner: no path and no value of the other party."""
    if isinstance(error, ClientError) and code_of(error) in DENIED:
        return "RESOURCE_ACCESS_DENIED", "one or more tables or the result bucket are not accessible by their role"
    if isinstance(error, ClientError) and code_of(error) in MISSING:
        return "RESOURCE_NOT_FOUND", "a Glue table or bucket that the query needs does not exist"
    if isinstance(error, AwsError):
        return "RESOURCE_ACCESS_DENIED", "one or more tables are not accessible by their service role"
    return engines.failure(error)
