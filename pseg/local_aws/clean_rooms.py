"""AWS Clean Rooms for two accounts: collaborations, tables, analysis rules, schemas and protected queries.

Comes in: calls of either account. Goes out: answers shaped by botocore's own model. Refused: input that the model does
not allow, what the caller may not do, and whatever this embedded version does not run (by name, never in silence).
State is in memory, under one lock; a method named as an operation answers it.

Sources: AWS Clean Rooms User Guide and API Reference; names, enums and limits are botocore's model of 2022-02-17.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore import xform_name
from moto.core.utils import get_service_model

from pseg.local_aws.clean_rooms_members import Members
from pseg.local_aws.clean_rooms_records import RUNNING, Record, check_input, without_nones
from pseg.local_aws.clean_rooms_runs import Runs
from pseg.local_aws.clean_rooms_tables import Tables
from pseg.local_aws.wire import Call, EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Register the operations."""
    service = CleanRooms(aws)
    for name in get_service_model("cleanrooms").operation_names:
        if hasattr(service, xform_name(name)):
            aws.operation("cleanrooms", name)(service.answering(name))
    aws.on_close.append(service.close)
    aws.busy_checks.append(lambda: any(one["status"] in RUNNING for one in list(service.runs.values())))


class CleanRooms(Members, Tables, Runs):
    """All operations: a method named as one takes the call and its checked input, and answers."""

    def answering(self, operation: str) -> Callable[[Call, dict[str, Any]], dict[str, Any] | None]:
        """Wrap an operation: input checked by the model, one at a time."""
        shape = get_service_model("cleanrooms").operation_model(operation).input_shape
        method = getattr(self, xform_name(operation))

        def handler(call: Call, parameters: dict[str, Any]) -> dict[str, Any] | None:
            given = without_nones(parameters)
            check_input(shape, given)
            with self.lock:
                answer: dict[str, Any] | None = method(call, given)
                return answer

        return handler

    # -- tags

    def tag_resource(self, call: Call, given: Record) -> Record:
        """Add tags."""
        self.by_arn(call, given).setdefault("tags", {}).update(given["tags"])
        return {}

    def untag_resource(self, call: Call, given: Record) -> Record:
        """Take tags away."""
        tags = self.by_arn(call, given).get("tags", {})
        for key in given["tagKeys"]:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, call: Call, given: Record) -> Record:
        """List the tags of a resource."""
        return {"tags": self.by_arn(call, given).get("tags", {})}
