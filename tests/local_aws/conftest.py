"""A fresh embedded AWS in this process, and boto3 clients of both accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pseg.local_aws.app import build
from pseg.local_aws.session import BRAND_ACCOUNT, PARTNER_ACCOUNT
from pseg.local_aws.wire import EmbeddedAws, serve_in_thread


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """An embedded AWS of its own for each test module."""
    embedded = build(tmp_path_factory.mktemp("embedded"))
    server = serve_in_thread(embedded)
    yield embedded
    embedded.close()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def brand(aws: EmbeddedAws) -> Callable[[str], Any]:
    """Clients of the brand's account: ``brand("s3")``."""
    return lambda service: aws.client(service, aws.keys[BRAND_ACCOUNT])


@pytest.fixture(scope="module")
def partner(aws: EmbeddedAws) -> Callable[[str], Any]:
    """Clients of the partner's account."""
    return lambda service: aws.client(service, aws.keys[PARTNER_ACCOUNT])
