"""Protected queries: what a query returns, where it goes, and each way it can end."""

from __future__ import annotations

import io
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pseg.local_aws import clean_rooms_engine
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT

from .two_parties import (
    PEOPLE,
    QUERY,
    Clients,
    Room,
    columns_of,
    finish,
    make_glue_table,
    make_role,
    open_room,
    parquet_bytes,
    refused,
)

PEOPLE_RULE = {"joinColumns": ["hashed_id"], "listColumns": ["age", "city"]}
OVERLAP = [{"customer_key": "c1", "age": 31, "city": "Bern"}, {"customer_key": "c2", "age": 42, "city": None}]


@pytest.fixture(scope="module")
def room(brand: Clients, partner: Clients) -> Room:
    return open_room(brand, partner)


def query_for(table: str, columns: str = "p.age") -> str:
    """A query that joins one of the partner's tables."""
    return f"SELECT DISTINCT m.customer_key, {columns} FROM match_keys m JOIN {table} p ON m.hashed_id = p.hashed_id"


def s3_output(**changes: Any) -> dict[str, Any]:
    """A result configuration."""
    s3 = {"bucket": "brand-results", "keyPrefix": "rooms", "resultFormat": "PARQUET"} | changes
    return {"outputConfiguration": {"s3": s3}}


# -- success


def test_list_query_returns_the_overlap_only(room: Room) -> None:
    assert room.rows(room.run()) == OVERLAP


def test_finished_query_reports_location_time_and_crpu_hours(room: Room) -> None:
    query = room.run()
    assert query["result"]["output"]["s3"]["location"] == f"s3://brand-results/rooms/{query['id']}/"
    assert query["statistics"]["totalDurationInMillis"] > 0
    assert query["statistics"]["billedResourceUtilization"]["units"] == pytest.approx(32 * 60 / 3600)


def test_more_workers_cost_more_crpu_hours(room: Room) -> None:
    query = room.run(computeConfiguration={"worker": {"type": "CR.4X", "number": 8}})
    assert query["statistics"]["billedResourceUtilization"]["units"] == pytest.approx(64 * 60 / 3600)


def test_same_input_gives_the_same_bytes(room: Room) -> None:
    assert room.files(room.run()) == room.files(room.run())


def test_query_starts_as_submitted_and_passes_through_the_running_states(room: Room) -> None:
    query = room.start()
    assert query["status"] == "SUBMITTED"
    assert finish(room.brand.clients, query)["status"] == "SUCCESS"


def test_names_are_case_insensitive_and_quoting_does_not_matter(room: Room) -> None:
    joined = "MATCH_KEYS m join `People` p on m.HASHED_ID = p.`Hashed_ID`"
    sql = f"select distinct M.`CUSTOMER_KEY`, P.Age, p.`city` from {joined}"
    assert room.rows(room.run(sql)) == OVERLAP


def test_where_filters_and_limit_cuts_in_the_order_of_the_columns(room: Room) -> None:
    assert room.rows(room.run(f"{QUERY} WHERE p.age >= 40 AND NOT p.age IN (1, 2) OR p.city LIKE 'X%'")) == OVERLAP[1:]
    assert room.rows(room.run(f"{QUERY} LIMIT 1")) == OVERLAP[:1]


def test_null_never_matches_null(room: Room) -> None:
    assert "c4" not in {row["customer_key"] for row in room.rows(room.run())}


def test_csv_result_has_a_header(room: Room) -> None:
    files = room.files(room.run(resultConfiguration=s3_output(resultFormat="CSV")))
    assert files == {"part-00000.csv": b'"customer_key","age","city"\n"c1",31,"Bern"\n"c2",42,\n'}


def test_empty_result_is_one_typed_file_without_rows(room: Room) -> None:
    files = room.files(room.run(f"{QUERY} WHERE p.age > 1000"))
    (body,) = files.values()
    table = pq.read_table(io.BytesIO(body))
    assert table.num_rows == 0
    assert table.schema.field("age").type == pa.int32()


def test_long_results_come_in_parts_unless_a_single_file_is_asked_for(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = pa.table({"hashed_id": ["h1"] * 5000, "age": pa.array(range(5000), pa.int32())})
    make_glue_table(room.partner.clients, "partner-data", "many", people)
    room.partner.offer("many", "many", ["hashed_id", "age"], PEOPLE_RULE | {"listColumns": ["age"]})
    monkeypatch.setattr(clean_rooms_engine, "PART_ROWS", 2048)
    parts = room.run(query_for("many"))
    assert sorted(room.files(parts)) == [f"part-0000{index}.parquet" for index in range(3)]
    assert [row["age"] for row in room.rows(parts)] == list(range(5000))
    assert len(room.files(room.run(query_for("many"), resultConfiguration=s3_output(singleFileOutput=True)))) == 1


def test_partition_columns_come_from_the_partitions_registered_in_glue(room: Room) -> None:
    people = PEOPLE.select(["hashed_id", "age"])
    make_glue_table(
        room.partner.clients, "partner-data", "dated", people, PartitionKeys=[{"Name": "day", "Type": "date"}]
    )
    glue, s3 = room.partner.clients("glue"), room.partner.clients("s3")
    room.partner.offer("dated", "dated", ["hashed_id", "age", "day"], PEOPLE_RULE | {"listColumns": ["age", "day"]})
    assert room.run(query_for("dated"))["error"]["code"] == "INVALID_RESOURCE"  # no partition is registered
    storage = glue.get_table(DatabaseName="room", Name="dated")["Table"]["StorageDescriptor"]
    for day in ("2026-01-01", "2026-01-02"):
        location = f"s3://partner-data/dated/day={day}"
        partition = {"Values": [day], "StorageDescriptor": storage | {"Location": location}}
        glue.create_partition(DatabaseName="room", TableName="dated", PartitionInput=partition)
    s3.put_object(Bucket="partner-data", Key="dated/day=2026-01-01/a.parquet", Body=parquet_bytes(people))
    assert "day=2026-01-02" in room.run(query_for("dated"))["error"]["message"]  # registered but empty
    s3.put_object(Bucket="partner-data", Key="dated/day=2026-01-02/a.parquet", Body=parquet_bytes(people))
    rows = room.rows(room.run(query_for("dated", "p.day") + " WHERE p.day = '2026-01-02'"))
    assert {str(row["day"]) for row in rows} == {"2026-01-02"}


def test_default_result_configuration_is_used_when_none_is_given(brand: Clients, room: Room) -> None:
    rooms = brand("cleanrooms")
    collaboration = rooms.create_collaboration(
        name="alone",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    membership = rooms.create_membership(
        collaborationIdentifier=collaboration,
        queryLogStatus="DISABLED",
        defaultResultConfiguration=s3_output(keyPrefix="defaults"),
    )["membership"]["id"]
    ours = type(room.brand)(brand, BRAND_ACCOUNT, room.brand.role, "brand-data", membership)
    for name in ("one", "two"):
        rule = {"joinColumns": ["hashed_id"], "listColumns": ["customer_key"]}
        ours.offer(name, "match_keys", ["hashed_id", "customer_key"], rule)
    sql = "SELECT DISTINCT one.customer_key FROM one JOIN two ON one.hashed_id = two.hashed_id"
    query = rooms.start_protected_query(
        type="SQL", membershipIdentifier=membership, sqlParameters={"queryString": sql}
    )["protectedQuery"]
    location = finish(brand, query)["result"]["output"]["s3"]["location"]
    assert location == f"s3://brand-results/defaults/{query['id']}/"


def test_results_can_go_to_a_member_who_only_receives(brand: Clients, partner: Clients, room: Room) -> None:
    partner("s3").create_bucket(Bucket="partner-results")
    role = make_role(partner, "result-writer")
    collaboration = brand("cleanrooms").create_collaboration(
        name="receivers",
        creatorDisplayName="brand",
        creatorMemberAbilities=["CAN_QUERY", "CAN_RECEIVE_RESULTS"],
        members=[{"accountId": PARTNER_ACCOUNT, "memberAbilities": ["CAN_RECEIVE_RESULTS"], "displayName": "partner"}],
        queryLogStatus="DISABLED",
    )["collaboration"]["id"]
    given = {"collaborationIdentifier": collaboration, "queryLogStatus": "DISABLED"}
    ours = brand("cleanrooms").create_membership(**given)["membership"]["id"]
    default = s3_output(bucket="partner-results") | {"roleArn": role}
    partner("cleanrooms").create_membership(**given, defaultResultConfiguration=default)
    party = type(room.brand)(brand, BRAND_ACCOUNT, room.brand.role, "brand-data", ours)
    rule = {"joinColumns": ["hashed_id"], "listColumns": ["customer_key"]}
    links = [party.offer(name, "match_keys", ["hashed_id", "customer_key"], rule)[1] for name in ("one", "two")]
    start = {
        "type": "SQL",
        "membershipIdentifier": ours,
        "sqlParameters": {
            "queryString": "SELECT DISTINCT one.customer_key FROM one JOIN two ON one.hashed_id = two.hashed_id"
        },
    }
    member = {"outputConfiguration": {"member": {"accountId": PARTNER_ACCOUNT}}}
    with refused("ValidationException", "222222222222 may not receive results of one", "INVALID_CONFIGURATION"):
        brand("cleanrooms").start_protected_query(**start, resultConfiguration=member)
    for link in links:
        brand("cleanrooms").update_configured_table_association_analysis_rule(
            membershipIdentifier=ours,
            configuredTableAssociationIdentifier=link,
            analysisRuleType="LIST",
            analysisRulePolicy={"v1": {"list": {"allowedResultReceivers": [BRAND_ACCOUNT, PARTNER_ACCOUNT]}}},
        )
    query = finish(
        brand, brand("cleanrooms").start_protected_query(**start, resultConfiguration=member)["protectedQuery"]
    )
    assert query["result"]["output"] == {"memberList": [{"accountId": PARTNER_ACCOUNT}]}
    assert partner("s3").list_objects_v2(Bucket="partner-results", Prefix=f"rooms/{query['id']}/")["KeyCount"] == 1
    both = [s3_output()["outputConfiguration"], member["outputConfiguration"]]
    given = {"resultConfiguration": {"outputConfiguration": {"distribute": {"locations": both}}}}
    query = finish(brand, brand("cleanrooms").start_protected_query(**start, **given)["protectedQuery"])
    assert set(query["result"]["output"]["distribute"]) == {"s3", "memberList"}


def test_partner_can_read_neither_query_nor_result(partner: Clients, room: Room) -> None:
    query = room.run()
    with refused("ResourceNotFoundException"):
        partner("cleanrooms").get_protected_query(
            membershipIdentifier=room.brand.membership, protectedQueryIdentifier=query["id"]
        )
    with refused("ResourceNotFoundException"):
        partner("cleanrooms").get_protected_query(
            membershipIdentifier=room.partner.membership, protectedQueryIdentifier=query["id"]
        )
    with refused("AccessDenied"):
        partner("s3").list_objects_v2(Bucket="brand-results")
    with refused("AccessDenied"):
        partner("s3").get_object(Bucket="brand-results", Key=f"rooms/{query['id']}/part-00000.parquet")


def test_list_protected_queries_filters_by_status_and_pages(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    done = {room.run()["id"], room.run()["id"]}
    pages = rooms.get_paginator("list_protected_queries").paginate(
        membershipIdentifier=room.brand.membership, status="SUCCESS", PaginationConfig={"PageSize": 1}
    )
    found = [query for page in pages for query in page["protectedQueries"]]
    assert done <= {query["id"] for query in found}
    assert {query["status"] for query in found} == {"SUCCESS"}
    details = found[0]["receiverConfigurations"][0]["configurationDetails"]["directAnalysisConfigurationDetails"]
    assert details == {"receiverAccountIds": [BRAND_ACCOUNT]}


# -- the other final states


@pytest.fixture(scope="module")
def slow(room: Room) -> str:
    """A query that would take minutes."""
    ours = pa.table({"hashed_id": ["same"] * 60_000, "customer_key": [f"k{index}" for index in range(60_000)]})
    theirs = pa.table({"hashed_id": ["same"] * 60_000, "city": ["k5"] * 60_000})
    make_glue_table(room.brand.clients, "brand-data", "slow_keys", ours)
    make_glue_table(room.partner.clients, "partner-data", "slow_people", theirs)
    rule = {"joinColumns": ["hashed_id"], "listColumns": ["customer_key"]}
    room.brand.offer("slow_keys", "slow_keys", ["hashed_id", "customer_key"], rule)
    room.partner.offer("slow_people", "slow_people", ["hashed_id", "city"], PEOPLE_RULE | {"listColumns": ["city"]})
    return (
        "SELECT DISTINCT m.customer_key FROM slow_keys m JOIN slow_people p ON m.hashed_id = p.hashed_id"
        " WHERE p.city > m.customer_key"
    )


def test_cancelling_interrupts_a_running_query(room: Room, slow: str) -> None:
    rooms = room.brand.clients("cleanrooms")
    query = room.start(slow)
    keys = {"membershipIdentifier": query["membershipId"], "protectedQueryIdentifier": query["id"]}
    while rooms.get_protected_query(**keys)["protectedQuery"]["status"] != "STARTED":
        threading.Event().wait(0.02)
    threading.Event().wait(0.7)
    assert rooms.update_protected_query(**keys, targetStatus="CANCELLED")["protectedQuery"]["status"] == "CANCELLING"
    query = finish(room.brand.clients, query, seconds=5)
    assert query["status"] == "CANCELLED"
    assert "result" not in query
    prefix = f"rooms/{query['id']}/"
    assert room.brand.clients("s3").list_objects_v2(Bucket="brand-results", Prefix=prefix)["KeyCount"] == 0
    with refused("ConflictException", "CANCELLED", "INVALID_STATE"):
        rooms.update_protected_query(**keys, targetStatus="CANCELLED")


def test_query_past_its_time_limit_is_timed_out(room: Room, slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_rooms_engine, "RUN_TIME_LIMIT_SECONDS", 1.0)
    assert room.run(slow)["status"] == "TIMED_OUT"


def test_sixth_query_in_progress_exceeds_the_quota(room: Room, slow: str) -> None:
    rooms = room.brand.clients("cleanrooms")
    started = [room.start(slow) for _ in range(5)]
    with refused("ServiceQuotaExceededException", "Concurrent queries"):
        room.start()
    for query in started:
        keys = {"membershipIdentifier": query["membershipId"], "protectedQueryIdentifier": query["id"]}
        rooms.update_protected_query(**keys, targetStatus="CANCELLED")
    assert {finish(room.brand.clients, query)["status"] for query in started} == {"CANCELLED"}


def test_query_beyond_its_memory_fails_with_insufficient_compute(
    room: Room, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_rooms_engine, "MEMORY_LIMIT", "4MB")
    monkeypatch.setattr(clean_rooms_engine, "DISK_LIMIT", "1MB")
    query = room.run(slow.replace(" WHERE p.city > m.customer_key", ""))
    assert (query["status"], query["error"]["code"]) == ("FAILED", "INSUFFICIENT_COMPUTE")


def test_types_that_do_not_compare_fail_as_malformed_without_quoting_data(room: Room) -> None:
    query = room.run(f"{QUERY} WHERE p.city > 5")
    assert (query["status"], query["error"]["code"]) == ("FAILED", "MALFORMED_QUERY")
    assert "Bern" not in query["error"]["message"]
    assert query["error"]["retry"] == {"retryable": False}
    assert "result" not in query


def spoiled(room: Room, name: str, body: bytes | None = None, **changes: Any) -> dict[str, Any]:
    """Run a query over a partner table that is wrong in one way."""
    make_glue_table(room.partner.clients, "partner-data", name, PEOPLE.select(["hashed_id", "age"]), **changes)
    if body is not None:
        room.partner.clients("s3").put_object(Bucket="partner-data", Key=f"{name}/data.parquet", Body=body)
    room.partner.offer(name, name, ["hashed_id", "age"], PEOPLE_RULE | {"listColumns": ["age"]})
    return room.run(query_for(name))


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("not_parquet", b"hashed_id,age\nh1,31\n", "not readable Parquet"),
        ("other_type", parquet_bytes(pa.table({"hashed_id": ["h1"], "age": ["31"]})), "int in Glue but VARCHAR"),
        ("no_column", parquet_bytes(pa.table({"hashed_id": ["h1"]})), "none of the data files"),
        ("too_large", parquet_bytes(pa.table({"hashed_id": ["h1"], "age": [2**40]})), "not readable Parquet"),
        ("empty_folder", b"", "no data files"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_data_fails_with_invalid_resource(room: Room, name: str, body: bytes, text: str) -> None:
    query = spoiled(room, name, body)
    assert (query["status"], query["error"]["code"]) == ("FAILED", "INVALID_RESOURCE")
    assert text in query["error"]["message"]
    assert name in query["error"]["message"]


def test_table_of_another_format_fails_with_invalid_resource(room: Room) -> None:
    storage = {
        "Columns": columns_of(PEOPLE.select(["hashed_id", "age"])),
        "Location": "s3://partner-data/people/",
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    }
    query = spoiled(room, "text_table", StorageDescriptor=storage)
    assert query["error"]["code"] == "INVALID_RESOURCE"
    assert "Parquet tables only" in query["error"]["message"]


def test_table_in_the_bucket_of_the_other_account_fails_with_access_denied(room: Room) -> None:
    storage = {
        "Columns": columns_of(PEOPLE.select(["hashed_id", "age"])),
        "Location": "s3://brand-data/match_keys/",
        "InputFormat": "parquet",
    }
    query = spoiled(room, "foreign", StorageDescriptor=storage)
    assert (query["status"], query["error"]["code"]) == ("FAILED", "RESOURCE_ACCESS_DENIED")


def test_bucket_that_does_not_exist_fails_with_resource_not_found(room: Room) -> None:
    storage = {
        "Columns": columns_of(PEOPLE.select(["hashed_id", "age"])),
        "Location": "s3://nowhere/x/",
        "InputFormat": "parquet",
    }
    assert spoiled(room, "nowhere", StorageDescriptor=storage)["error"]["code"] == "RESOURCE_NOT_FOUND"


def test_deleted_glue_table_fails_with_resource_not_found(room: Room) -> None:
    spoiled(room, "fleeting")
    room.partner.clients("glue").delete_table(DatabaseName="room", Name="fleeting")
    assert room.run(query_for("fleeting"))["error"]["code"] == "RESOURCE_NOT_FOUND"


def test_role_that_lost_its_trust_fails_with_access_denied(room: Room) -> None:
    partner = room.partner.clients
    role = make_role(partner, "lost")
    _, link = room.partner.offer("lost", "people", ["hashed_id", "age"], PEOPLE_RULE | {"listColumns": ["age"]})
    keys = {"membershipIdentifier": room.partner.membership, "configuredTableAssociationIdentifier": link}
    partner("cleanrooms").update_configured_table_association(**keys, roleArn=role)
    assert room.run(query_for("lost"))["status"] == "SUCCESS"
    partner("iam").delete_role(RoleName="lost")
    query = room.run(query_for("lost"))
    assert (query["status"], query["error"]["code"]) == ("FAILED", "RESOURCE_ACCESS_DENIED")


# -- refusals before anything runs


def test_member_without_the_ability_cannot_query(room: Room) -> None:
    with refused("AccessDeniedException", "CAN_QUERY", "INSUFFICIENT_PERMISSIONS"):
        room.partner.clients("cleanrooms").start_protected_query(
            type="SQL",
            membershipIdentifier=room.partner.membership,
            sqlParameters={"queryString": QUERY},
            resultConfiguration=s3_output(bucket="partner-data"),
        )


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (s3_output(bucket="brand-data"), "holds source data"),
        (s3_output(bucket="partner-data"), "holds source data"),
        (s3_output(bucket="no-such-bucket"), "cannot be written"),
        ({"outputConfiguration": {"member": {"accountId": PARTNER_ACCOUNT}}}, "no default result configuration"),
        ({"outputConfiguration": {"member": {"accountId": "333333333333"}}}, "no default result configuration"),
    ],
    ids=["own source bucket", "partner's source bucket", "no bucket", "member without default", "stranger"],
)
def test_result_place_that_cannot_be_is_refused(room: Room, configuration: dict[str, Any], text: str) -> None:
    with refused("ValidationException", text, "INVALID_CONFIGURATION"):
        room.start(resultConfiguration=configuration)


def test_result_bucket_of_the_other_account_is_refused(room: Room) -> None:
    room.partner.clients("s3").create_bucket(Bucket="partner-other")
    with refused("ValidationException", "cannot be written", "INVALID_CONFIGURATION"):
        room.start(resultConfiguration=s3_output(bucket="partner-other"))


def test_query_without_any_result_place_is_refused(room: Room) -> None:
    with refused("ValidationException", "resultConfiguration", "INVALID_CONFIGURATION"):
        room.brand.clients("cleanrooms").start_protected_query(
            type="SQL", membershipIdentifier=room.brand.membership, sqlParameters={"queryString": QUERY}
        )


def test_payer_must_be_one_of_the_payers(room: Room) -> None:
    assert room.run(queryComputePayerAccountId=BRAND_ACCOUNT)["queryComputePayerAccountId"] == BRAND_ACCOUNT
    with refused("ValidationException", "does not pay", "INVALID_CONFIGURATION"):
        room.start(queryComputePayerAccountId=PARTNER_ACCOUNT)


def test_unknown_query_and_unknown_membership_are_not_found(room: Room) -> None:
    rooms = room.brand.clients("cleanrooms")
    with refused("ResourceNotFoundException"):
        rooms.get_protected_query(membershipIdentifier=room.brand.membership, protectedQueryIdentifier=room.id)
    with refused("ResourceNotFoundException"):
        rooms.list_protected_queries(membershipIdentifier=room.id)
