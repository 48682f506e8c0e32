"""CloudWatch Logs: what jobs wrote to stdout and stderr, one file per stream, each line behind the time it came in.

Refused: JSON, array and regular-expression filter patterns (plain words, ``"phrases"``, ``?any`` and ``-none`` work).
"""

from __future__ import annotations

import shlex
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pseg.local_aws.wire import AwsError, Call, EmbeddedAws

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
STAMP_WIDTH = 27
Event = dict[str, Any]


class LogStream:
    """One stream: a file that lines are added to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.created = datetime.now(UTC)
        self.lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def write(self, line: str) -> None:
        """Add one line (an event is at most 256 KB)."""
        with self.lock, self.path.open("a", encoding="utf-8") as handle:
            handle.write(f"{datetime.now(UTC).strftime(STAMP)} {line.rstrip()[:262_118]}\n")

    def events(self) -> list[Event]:
        """Read all lines."""
        events = []
        for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:
            moment = datetime.strptime(line[:STAMP_WIDTH], STAMP).replace(tzinfo=UTC)
            events.append({"timestamp": milliseconds(moment), "message": line[STAMP_WIDTH + 1 :]})
        return events


class JobLogs:
    """The log groups of one session, apart for each account and region."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.groups: dict[tuple[str, str], dict[str, dict[str, LogStream]]] = {}
        self.lock = threading.Lock()

    def stream(self, call: Call, group: str, name: str) -> LogStream:
        """Return a stream, made on first use."""
        path = self.folder / call.account / call.region / group.strip("/") / f"{name}.log"
        with self.lock:
            streams = self.groups.setdefault((call.account, call.region), {}).setdefault(group, {})
            if name not in streams:
                streams[name] = LogStream(path)
            return streams[name]

    def of(self, call: Call) -> dict[str, dict[str, LogStream]]:
        """Log groups of the caller."""
        return self.groups.get((call.account, call.region), {})

    def find(self, call: Call, parameters: dict[str, Any]) -> dict[str, LogStream]:
        """Streams of the group that a request names."""
        name = parameters.get("logGroupName") or parameters.get("logGroupIdentifier", "").split(":log-group:")[-1]
        streams = self.of(call).get(name)
        if streams is None:
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return streams


def install(aws: EmbeddedAws, logs: JobLogs) -> None:
    """Register the operations."""

    def arn(call: Call, group: str) -> str:
        return f"arn:aws:logs:{call.region}:{call.account}:log-group:{group}"

    @aws.operation("logs", "DescribeLogGroups")
    def describe_log_groups(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found = []
        for name, streams in sorted(logs.of(call).items()):
            if (
                name.startswith(parameters.get("logGroupNamePrefix", ""))
                and parameters.get("logGroupNamePattern", "") in name
            ):
                created = min(stream.created for stream in streams.values())
                size = sum(stream.path.stat().st_size for stream in streams.values())
                facts = {"logGroupName": name, "arn": f"{arn(call, name)}:*", "logGroupArn": arn(call, name)}
                found.append({**facts, "creationTime": milliseconds(created), "storedBytes": size})
        return cut(found, parameters, "logGroups")

    @aws.operation("logs", "DescribeLogStreams")
    def describe_log_streams(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found: list[Event] = []
        for name, stream in sorted(logs.find(call, parameters).items()):
            if name.startswith(parameters.get("logStreamNamePrefix", "")):
                events = stream.events()
                facts = {"logStreamName": name, "creationTime": milliseconds(stream.created)}
                group = parameters.get("logGroupName") or parameters["logGroupIdentifier"].split(":log-group:")[-1]
                if events:
                    facts |= {
                        "firstEventTimestamp": events[0]["timestamp"],
                        "lastEventTimestamp": events[-1]["timestamp"],
                    }
                found.append({**facts, "arn": f"{arn(call, group)}:log-stream:{name}"})
        if parameters.get("orderBy") == "LastEventTime":
            found.sort(key=lambda facts: facts.get("lastEventTimestamp", 0))
        if parameters.get("descending"):
            found.reverse()
        return cut(found, parameters, "logStreams")

    @aws.operation("logs", "GetLogEvents")
    def get_log_events(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        stream = logs.find(call, parameters).get(parameters["logStreamName"])
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        events = within(stream.events(), parameters)
        limit = parameters.get("limit") or 10_000
        direction, _, index = parameters.get("nextToken", "").partition("/")
        if direction:
            if direction not in "fb" or not index.isdigit():
                raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
            start = int(index) if direction == "f" else max(0, int(index) - limit)
            end = start + limit if direction == "f" else int(index)
        else:
            start = 0 if parameters.get("startFromHead") else max(0, len(events) - limit)
            end = start + limit
        shown = events[start:end]
        ingested = [{**event, "ingestionTime": event["timestamp"]} for event in shown]
        return {"events": ingested, "nextForwardToken": f"f/{start + len(shown)}", "nextBackwardToken": f"b/{start}"}

    @aws.operation("logs", "FilterLogEvents")
    def filter_log_events(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        matches = pattern_of(parameters.get("filterPattern", ""))
        wanted = parameters.get("logStreamNames")
        found: list[Event] = []
        for name, stream in logs.find(call, parameters).items():
            if name.startswith(parameters.get("logStreamNamePrefix", "")) and (not wanted or name in wanted):
                for index, event in enumerate(within(stream.events(), parameters)):
                    if matches(event["message"]):
                        facts = {
                            "logStreamName": name,
                            "ingestionTime": event["timestamp"],
                            "eventId": f"{name}/{index}",
                        }
                        found.append({**event, **facts})
        found.sort(key=lambda event: event["timestamp"])
        return {**cut(found, parameters, "events", 10_000), "searchedLogStreams": []}


def milliseconds(moment: datetime) -> int:
    """Time as CloudWatch counts it."""
    return int(moment.timestamp() * 1000)


def within(events: list[Event], parameters: dict[str, Any]) -> list[Event]:
    """Events from startTime (inclusive) to endTime (exclusive)."""
    start, end = parameters.get("startTime") or 0, parameters.get("endTime") or float("inf")
    return [event for event in events if start <= event["timestamp"] < end]


def cut(found: list[dict[str, Any]], parameters: dict[str, Any], member: str, default: int = 50) -> dict[str, Any]:
    """One page of a list."""
    start = int(parameters.get("nextToken") or 0)
    end = start + (parameters.get("limit") or default)
    return {member: found[start:end], **({"nextToken": str(end)} if len(found) > end else {})}


def pattern_of(text: str) -> Any:
    """Make the test for an unstructured filter pattern: all words, one of the ``?`` words, none of the ``-`` words."""
    if text.strip()[:1] in ("{", "[", "%"):
        raise AwsError("InvalidParameterException", f"the embedded AWS does not provide the filter pattern {text}")
    words = shlex.split(text)
    any_of = [word[1:] for word in words if word.startswith("?")]
    none_of = [word[1:] for word in words if word.startswith("-")]
    all_of = [word for word in words if word[:1] not in ("?", "-")]

    def matches(message: str) -> bool:
        return (
            all(word in message for word in all_of)
            and not any(word in message for word in none_of)
            and (not any_of or any(word in message for word in any_of))
        )

    return matches
