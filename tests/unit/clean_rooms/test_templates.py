"""Analysis templates are found by name in the collaboration, whoever made them, and never change."""

from __future__ import annotations

import pytest

from clean_rooms.protected_query import make_client
from clean_rooms.templates import create_template, find_template
from contracts.errors import ServiceError
from tests.embedded_aws import TwoAccounts
from tests.local_aws.two_parties import QUERY, Room, open_room


@pytest.fixture(scope="module")
def room(accounts: TwoAccounts) -> Room:
    """A brand and a partner with a table each."""
    return open_room(accounts.brand.client, accounts.partner.client)  # type: ignore[arg-type]


def test_template_is_found_by_both_parties_whoever_made_it(accounts: TwoAccounts, room: Room) -> None:
    brand, partner = make_client(accounts.brand), make_client(accounts.partner)
    ours = create_template(brand, room.brand.membership, "ours", QUERY)
    theirs = create_template(partner, room.partner.membership, "theirs", QUERY)
    for client, membership in ((brand, room.brand.membership), (partner, room.partner.membership)):
        assert find_template(client, membership, "ours") == ours
        assert find_template(client, membership, "theirs") == theirs


def test_template_that_is_not_there_is_an_error_that_names_those_that_are(accounts: TwoAccounts, room: Room) -> None:
    client = make_client(accounts.brand)
    create_template(client, room.brand.membership, "present", QUERY)
    with pytest.raises(ServiceError, match="0 analysis templates named absent") as caught:
        find_template(client, room.brand.membership, "absent")
    assert "present" in caught.value.why


def test_two_templates_of_one_name_are_refused(accounts: TwoAccounts, room: Room) -> None:
    brand, partner = make_client(accounts.brand), make_client(accounts.partner)
    create_template(brand, room.brand.membership, "both", QUERY)
    create_template(partner, room.partner.membership, "both", QUERY)
    with pytest.raises(ServiceError, match="2 analysis templates named both"):
        find_template(brand, room.brand.membership, "both")


def test_template_is_made_once_and_another_text_is_refused(accounts: TwoAccounts, room: Room) -> None:
    client = make_client(accounts.brand)
    arn = create_template(client, room.brand.membership, "once", QUERY)
    assert create_template(client, room.brand.membership, "once", QUERY) == arn
    with pytest.raises(ServiceError, match="once exists with another text") as caught:
        create_template(client, room.brand.membership, "once", f"{QUERY} LIMIT 1")
    assert caught.value.where == arn


def test_text_that_clean_rooms_refuses_keeps_the_services_reason(accounts: TwoAccounts, room: Room) -> None:
    client = make_client(accounts.brand)
    with pytest.raises(client.exceptions.ValidationException, match=r"unknown-table.*nowhere"):
        create_template(client, room.brand.membership, "wrong", "SELECT a FROM nowhere")
