"""CloudWatch Logs serves what jobs wrote."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import Account

GROUP = "/aws/sagemaker/ProcessingJobs"


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """An account in which one job has written five lines."""
    opened = Account.open(aws, "logs")
    code = "import sys\nfor i in range(4): print(f'line {i}')\nprint('oh no', file=sys.stderr)"
    opened.run("Processing", opened.processing("job", code))
    return opened


def test_group_and_stream_are_described(account: Account) -> None:
    (group,) = account.logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]
    assert group["logGroupName"] == GROUP
    (stream,) = account.logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)[
        "logStreams"
    ]
    assert stream["logStreamName"] == "job/algo-1-0"
    assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]


def test_events_are_read_page_by_page_from_the_head(account: Account) -> None:
    where = {"logGroupName": GROUP, "logStreamName": "job/algo-1-0", "startFromHead": True, "limit": 2}
    messages, token = [], None
    while True:
        answer = account.logs.get_log_events(**where, **({"nextToken": token} if token else {}))
        messages += [event["message"] for event in answer["events"]]
        if answer["nextForwardToken"] == token:
            break
        token = answer["nextForwardToken"]
    assert messages == ["line 0", "line 1", "line 2", "line 3", "oh no"]


def test_without_start_from_head_the_last_events_come(account: Account) -> None:
    answer = account.logs.get_log_events(logGroupName=GROUP, logStreamName="job/algo-1-0", limit=1)
    assert [event["message"] for event in answer["events"]] == ["oh no"]
    before = account.logs.get_log_events(
        logGroupName=GROUP, logStreamName="job/algo-1-0", limit=1, nextToken=answer["nextBackwardToken"]
    )
    assert [event["message"] for event in before["events"]] == ["line 3"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("line 2", ["line 2"]), ('"oh no"', ["oh no"]), ("?oh ?0", ["line 0", "oh no"]), ("line -1 -2 -3", ["line 0"])],
)
def test_filter_patterns(account: Account, pattern: str, expected: list[str]) -> None:
    events = account.logs.filter_log_events(logGroupName=GROUP, filterPattern=pattern)["events"]
    assert [event["message"] for event in events] == expected


def test_unknown_groups_streams_and_patterns_are_errors(account: Account) -> None:
    with pytest.raises(account.logs.exceptions.ResourceNotFoundException):
        account.logs.describe_log_streams(logGroupName="/none")
    with pytest.raises(account.logs.exceptions.ResourceNotFoundException):
        account.logs.get_log_events(logGroupName=GROUP, logStreamName="none")
    with pytest.raises(ClientError, match="does not provide the filter pattern"):
        account.logs.filter_log_events(logGroupName=GROUP, filterPattern="{ $.a = 1 }")
