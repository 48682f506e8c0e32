"""What moto answers for us: an allow-list, operation by operation, each with a contract test.

moto alone would "complete" jobs that never ran and accept calls that it ignores, so nothing passes that is not named
here. moto keeps its state in this process, one account apart from the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

ALLOWED: dict[str, frozenset[str]] = {
    "s3": frozenset(
        """CreateBucket HeadBucket ListBuckets DeleteBucket GetBucketLocation PutBucketPolicy GetBucketPolicy
        PutPublicAccessBlock GetPublicAccessBlock PutBucketEncryption GetBucketEncryption PutBucketVersioning
        GetBucketVersioning PutBucketTagging GetBucketTagging
        PutObject GetObject HeadObject CopyObject DeleteObject DeleteObjects ListObjects ListObjectsV2
        CreateMultipartUpload UploadPart CompleteMultipartUpload AbortMultipartUpload""".split()
    ),
    "glue": frozenset(
        """CreateDatabase GetDatabase GetDatabases DeleteDatabase CreateTable UpdateTable GetTable GetTables DeleteTable
        BatchDeleteTable GetTableVersions CreatePartition BatchCreatePartition GetPartition GetPartitions
        BatchDeletePartition""".split()
    ),
    "iam": frozenset(
        """CreateRole GetRole ListRoles UpdateAssumeRolePolicy DeleteRole TagRole ListRoleTags
        PutRolePolicy GetRolePolicy ListRolePolicies DeleteRolePolicy""".split()
    ),
}


def make_moto_app() -> Callable[[dict[str, Any], Any], Any]:
    """Build moto's WSGI application, empty, with one account's buckets closed to the other."""
    os.environ["MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS"] = "false"
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    from moto.moto_api._internal import moto_api_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    moto_api_backend.reset()  # moto's state is the process's; a session begins with none
    application: Callable[[dict[str, Any], Any], Any] = DomainDispatcherApplication(create_backend_app)
    return application
