"""A brand and a data partner in one collaboration, with a table each: what most Clean Rooms tests start from."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

Clients = Callable[[str], Any]

QUERY = (
    "SELECT DISTINCT m.customer_key, p.age, p.city FROM match_keys m INNER JOIN people p ON m.hashed_id = p.hashed_id"
)
MATCH_KEYS = pa.table({"hashed_id": ["h1", "h2", "h3", None], "customer_key": ["c1", "c2", "c3", "c4"]})
PEOPLE = pa.table(
    {
        "hashed_id": ["h1", "h2", "h9", None],
        "age": pa.array([31, 42, 53, 64], pa.int32()),
        "city": ["Bern", None, "Rome", "Oslo"],
        "ssn": ["secret-1", "secret-2", "secret-9", "secret-0"],
    }
)
GLUE_TYPES = {"string": "string", "int32": "int", "int64": "bigint", "double": "double", "date32[day]": "date"}
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "cleanrooms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@contextmanager
def refused(code: str, text: str = "", reason: str | None = None) -> Iterator[None]:
    """Expect an AWS error: its code, a part of its message, its reason."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert answer["Error"]["Code"] == code, answer
    assert text in answer["Error"]["Message"], answer
    assert reason is None or answer["reason"] == reason, answer


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as one Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def columns_of(table: pa.Table) -> list[dict[str, str]]:
    """Glue columns of a table."""
    return [{"Name": field.name, "Type": GLUE_TYPES[str(field.type)]} for field in table.schema]


def make_role(clients: Clients, name: str, trust: dict[str, Any] = TRUST) -> str:
    """Make a role; by default one that Clean Rooms may assume."""
    role = clients("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    return str(role["Arn"])


def make_glue_table(clients: Clients, bucket: str, name: str, table: pa.Table, **changes: Any) -> None:
    """Put a table's file into S3 and its description into Glue (database ``room``)."""
    clients("s3").put_object(Bucket=bucket, Key=f"{name}/data.parquet", Body=parquet_bytes(table))
    storage = {"Columns": columns_of(table), "Location": f"s3://{bucket}/{name}/", **PARQUET}
    clients("glue").create_table(
        DatabaseName="room", TableInput={"Name": name, "StorageDescriptor": storage, **changes}
    )


def finish(clients: Clients, query: dict[str, Any], seconds: float = 20.0) -> dict[str, Any]:
    """Wait for the final state of a query."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        keys = {"membershipIdentifier": query["membershipId"], "protectedQueryIdentifier": query["id"]}
        query = clients("cleanrooms").get_protected_query(**keys)["protectedQuery"]
        if query["status"] not in ("SUBMITTED", "STARTED", "CANCELLING"):
            return query
        time.sleep(0.05)
    raise AssertionError(f"still {query['status']} after {seconds} s")


@dataclass
class Party:
    """One account's side: its clients and the ids of what it made."""

    clients: Clients
    account: str
    role: str
    bucket: str
    membership: str = ""
    table: str = ""
    association: str = ""

    def offer(
        self,
        collaboration_table: str,
        glue_table: str,
        columns: list[str],
        policy: dict[str, Any] | None,
        kind: str = "LIST",
    ) -> tuple[str, str]:
        """Make a configured table with a rule, associate it and let the brand receive; return both ids."""
        rooms = self.clients("cleanrooms")
        table = rooms.create_configured_table(
            name=glue_table,
            tableReference={"glue": {"databaseName": "room", "tableName": glue_table}},
            allowedColumns=columns,
            analysisMethod="DIRECT_QUERY",
        )["configuredTable"]["id"]
        association = rooms.create_configured_table_association(
            name=collaboration_table,
            membershipIdentifier=self.membership,
            configuredTableIdentifier=table,
            roleArn=self.role,
        )["configuredTableAssociation"]["id"]
        if policy is not None:
            rooms.create_configured_table_analysis_rule(
                configuredTableIdentifier=table,
                analysisRuleType=kind,
                analysisRulePolicy={"v1": {kind.lower(): policy}},
            )
            rooms.create_configured_table_association_analysis_rule(
                membershipIdentifier=self.membership,
                configuredTableAssociationIdentifier=association,
                analysisRuleType=kind,
                analysisRulePolicy={"v1": {kind.lower(): {"allowedResultReceivers": [BRAND_ACCOUNT]}}},
            )
        return table, association


@dataclass
class Room:
    """An open collaboration."""

    id: str
    brand: Party
    partner: Party

    def start(self, sql: str = QUERY, **changes: Any) -> dict[str, Any]:
        """Start a query as the brand."""
        output = {"s3": {"bucket": "brand-results", "keyPrefix": "rooms", "resultFormat": "PARQUET"}}
        given = {
            "type": "SQL",
            "membershipIdentifier": self.brand.membership,
            "sqlParameters": {"queryString": sql},
            "resultConfiguration": {"outputConfiguration": output},
            **changes,
        }
        query: dict[str, Any] = self.brand.clients("cleanrooms").start_protected_query(**given)["protectedQuery"]
        return query

    def run(self, sql: str = QUERY, **changes: Any) -> dict[str, Any]:
        """Run a query as the brand, to its final state."""
        return finish(self.brand.clients, self.start(sql, **changes))

    def files(self, query: dict[str, Any]) -> dict[str, bytes]:
        """Result files of a query, by name."""
        s3 = self.brand.clients("s3")
        bucket, _, prefix = query["result"]["output"]["s3"]["location"].removeprefix("s3://").partition("/")
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
        return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def rows(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of a Parquet result."""
        assert query["status"] == "SUCCESS", query
        tables = [pq.read_table(io.BytesIO(body)) for body in self.files(query).values()]
        return list(pa.concat_tables(tables).to_pylist())


def open_room(brand: Clients, partner: Clients, people: pa.Table = PEOPLE, match_keys: pa.Table = MATCH_KEYS) -> Room:
    """Open a collaboration in which the brand may query its match keys joined with the partner's people."""
    for clients, bucket in ((brand, "brand-data"), (brand, "brand-results"), (partner, "partner-data")):
        clients("s3").create_bucket(Bucket=bucket)
    for clients in (brand, partner):
        clients("glue").create_database(DatabaseInput={"Name": "room"})
    ours = Party(brand, BRAND_ACCOUNT, make_role(brand, "room-reader"), "brand-data")
    theirs = Party(partner, PARTNER_ACCOUNT, make_role(partner, "room-reader"), "partner-data")
    collaboration = brand("cleanrooms").create_collaboration(
        name="shared",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[{"accountId": PARTNER_ACCOUNT, "memberAbilities": [], "displayName": "partner"}],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    for party in (ours, theirs):
        joined = party.clients("cleanrooms").create_membership(
            collaborationIdentifier=collaboration, queryLogStatus="DISABLED"
        )
        party.membership = joined["membership"]["id"]
    make_glue_table(brand, "brand-data", "match_keys", match_keys)
    make_glue_table(partner, "partner-data", "people", people)
    ours.table, ours.association = ours.offer(
        "match_keys",
        "match_keys",
        match_keys.column_names,
        {"joinColumns": ["hashed_id"], "listColumns": ["customer_key"]},
    )
    visible = [name for name in people.column_names if name != "ssn"]
    theirs.table, theirs.association = theirs.offer(
        "people",
        "people",
        visible,
        {"joinColumns": ["hashed_id"], "listColumns": [name for name in visible if name != "hashed_id"]},
    )
    return Room(collaboration, ours, theirs)
