"""What doctor finds in AWS: asked of the embedded AWS with each thing missing or wrong in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from pseg.aws_accounts import make_bucket, make_role
from pseg.aws_checks import check_aws, trusts
from pseg.checks import Check
from tests.embedded_aws import TwoAccounts
from tests.worlds import SETTINGS

NOWHERE = {"data_bucket": "nowhere-data", "results_bucket": "nowhere-results", "project": "nowhere"}
NEEDED = ("data_bucket", "results_bucket", "role pseg-nowhere-pipeline", "role pseg-nowhere-match-keys", "membership")


def check(
    session: boto3.Session, *, is_embedded: bool = False, image: str = "image", **changes: Any
) -> dict[str, Check]:
    """Return the findings of a session by their topic."""
    settings = replace(SETTINGS, **changes)
    return {found.topic: found for found in check_aws(session, "AWS", is_embedded, settings, image)}


def test_empty_account_lacks_everything_and_is_told_so_item_by_item(accounts: TwoAccounts) -> None:
    found = check(accounts.brand, **NOWHERE)
    assert "account 111111111111" in found["identity"].said
    assert {topic: found[topic].state for topic in NEEDED} == dict.fromkeys(NEEDED, "x")
    assert all(found[topic].fix for topic in NEEDED)


def test_on_the_embedded_aws_what_is_missing_is_no_fault(accounts: TwoAccounts) -> None:
    found = check(accounts.brand, is_embedded=True, **NOWHERE)
    assert {topic: found[topic].state for topic in NEEDED} == dict.fromkeys(NEEDED, "!")
    assert found["data_bucket"].fix == "the next pseg run makes it"


def test_own_bucket_is_fine_and_a_stranger_s_is_not(accounts: TwoAccounts) -> None:
    make_bucket(accounts.brand, "spring-data")
    make_bucket(accounts.partner, "spring-results")
    found = check(accounts.brand)
    assert found["data_bucket"].state == "ok"
    assert (found["results_bucket"].state, "another account" in found["results_bucket"].said) == ("x", True)


def test_one_bucket_for_both_is_a_fault(accounts: TwoAccounts) -> None:
    found = check(accounts.brand, data_bucket="same", results_bucket="same")
    assert found["buckets"].state == "x"


def test_session_in_another_region_than_the_project_is_a_fault(accounts: TwoAccounts) -> None:
    assert check(accounts.brand)["region"].state == "ok"
    found = check(accounts.brand, region="eu-west-1")["region"]
    assert (found.state, found.said) == ("x", "us-east-1, but [aws].region is eu-west-1")


def test_role_must_trust_its_service(accounts: TwoAccounts) -> None:
    make_role(accounts.brand, "pseg-spring-pipeline", "sagemaker")
    make_role(accounts.brand, "pseg-spring-match-keys", "sagemaker")
    found = check(accounts.brand)
    assert found["role pseg-spring-pipeline"].state == "ok"
    wrong = found["role pseg-spring-match-keys"]
    assert (wrong.state, wrong.said) == ("x", "does not trust cleanrooms.amazonaws.com")


def make_collaboration(accounts: TwoAccounts, name: str, brand: list[str], partner: list[str]) -> None:
    """Make a collaboration that the brand creates and joins."""
    client: Any = accounts.brand.client("cleanrooms")
    made = client.create_collaboration(
        name=name,
        description=name,
        creatorDisplayName="brand",
        creatorMemberAbilities=brand,
        members=[{"accountId": "222222222222", "displayName": "partner", "memberAbilities": partner}],
        queryLogStatus="ENABLED",
    )
    client.create_membership(collaborationIdentifier=made["collaboration"]["id"], queryLogStatus="ENABLED")


def test_membership_must_be_there_and_able_to_query_and_receive(accounts: TwoAccounts) -> None:
    assert SETTINGS.query
    assert check(accounts.brand)["membership"].state == "x"
    both = ["CAN_QUERY", "CAN_RECEIVE_RESULTS"]
    make_collaboration(accounts, "spring", both, [])
    assert check(accounts.brand)["membership"].state == "ok"
    make_collaboration(accounts, "autumn", [], both)
    found = check(accounts.brand, query=replace(SETTINGS.query, collaboration="autumn"))["membership"]
    assert (found.state, "lacks CAN_QUERY, CAN_RECEIVE_RESULTS" in found.said) == ("x", True)


def test_project_without_a_partner_needs_no_membership_and_no_match_keys(accounts: TwoAccounts) -> None:
    found = check(accounts.brand, query=None, project="alone")
    assert "membership" not in found
    assert [topic for topic in found if topic.startswith("role")] == ["role pseg-alone-pipeline"]


def test_processing_image_must_be_named_in_an_account_only(accounts: TwoAccounts) -> None:
    assert check(accounts.brand, image="")["image"].state == "!"
    assert check(accounts.brand, image="", is_embedded=True)["image"].state == "ok"
    assert check(accounts.brand, image="1.dkr.ecr.us-east-1.amazonaws.com/x:1")["image"].state == "ok"


def test_refused_credentials_are_a_finding_with_the_services_own_words(accounts: TwoAccounts) -> None:
    stranger = boto3.Session("AKIAUNKNOWN", "x", region_name="us-east-1")
    found = check(stranger)
    assert found["identity"].state == "x"
    assert "InvalidClientTokenId" in found["identity"].said
    assert found["identity"].fix == "renew the credentials"
    assert "data_bucket" not in found


def statement(**changes: Any) -> dict[str, Any]:
    """A statement that lets SageMaker assume a role."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    } | changes


@pytest.mark.parametrize(
    ("statements", "is_trusted"),
    [
        ([statement()], True),
        (statement(), True),
        ([statement(Principal={"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]})], True),
        ([statement(Action=["sts:AssumeRole", "sts:TagSession"])], True),
        ([statement(Effect="Deny")], False),
        ([statement(Action="sts:AssumeRoleWithWebIdentity")], False),
        ([statement(Principal={"AWS": "arn:aws:iam::111111111111:root"})], False),
        ([statement(Principal="*")], False),
        ([], False),
    ],
    ids=["plain", "no list", "several services", "several actions", "deny", "web identity", "account", "all", "none"],
)
@pytest.mark.parametrize("write", [lambda policy: policy, json.dumps], ids=["parsed", "text"])
def test_trust_policy_is_read_as_iam_writes_it(statements: Any, is_trusted: bool, write: Callable[[Any], Any]) -> None:
    assert trusts(write({"Version": "2012-10-17", "Statement": statements}), "sagemaker.amazonaws.com") == is_trusted
