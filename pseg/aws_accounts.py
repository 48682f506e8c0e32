"""What both accounts need before a pipeline can run, made on the embedded AWS: buckets, roles, tables, collaboration.

In AWS this is what the two parties' infrastructure provides; names and shapes are the same. What exists is used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awswrangler as wr
import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from clean_rooms.agreement import OfferedTable
from clean_rooms.collaboration import Collaboration, create_collaboration
from contracts.errors import SettingsError
from contracts.run_settings import Query, RunSettings
from contracts.table import parquet_files
from pseg.collaboration_terms import database_name, match_keys_offer, read_template
from pseg.project import JOIN_COLUMN, Project


def prepare_accounts(project: Project, brand: boto3.Session, partner: boto3.Session) -> str:
    """Make what is missing in both accounts; return the pipeline's role.

    Raises
    ------
    SettingsError
        If the partner's table is not a local file, lacks the join column or a column that the query asks for, or has
        one in several types; if the rule is CUSTOM and the template's SQL file can't be read.
    """
    settings = project.run_settings()
    for bucket in (settings.data_bucket, settings.results_bucket):
        make_bucket(brand, bucket)
    role = make_role(brand, f"pseg-{settings.project}-pipeline", "sagemaker")
    if settings.query:
        prepare_collaboration(project, settings, settings.query, brand, partner)
    return role


def prepare_collaboration(
    project: Project, settings: RunSettings, query: Query, brand: boto3.Session, partner: boto3.Session
) -> Collaboration:
    """Make both parties' tables and the collaboration that offers them."""
    template = read_template(project, query) if query.rule == "CUSTOM" else None
    make_match_keys_table(settings, query, brand)
    database = database_name(settings.project)
    partner_uri = f"s3://pseg-{settings.project}-partner/{query.partner_table}/"
    make_bucket(partner, f"pseg-{settings.project}-partner")
    make_database(partner, database)
    offered = offer_partner_table(project, query, partner, database, partner_uri)
    return create_collaboration(
        query.collaboration,
        brand,
        partner,
        account_of(brand),
        account_of(partner),
        match_keys_offer(
            settings.project,
            query,
            account_of(brand),
            make_role(brand, f"pseg-{settings.project}-match-keys", "cleanrooms"),
        ),
        OfferedTable(
            name=query.partner_table,
            glue_database=database,
            glue_table=query.partner_table,
            join_columns=(JOIN_COLUMN,),
            list_columns=offered,
            role_arn=make_role(partner, f"pseg-{settings.project}-attributes", "cleanrooms"),
        ),
        template,
    )


def make_match_keys_table(settings: RunSettings, query: Query, brand: boto3.Session) -> None:
    """Catalogue the table of match keys, which each run fills anew, unless it is there."""
    database = database_name(settings.project)
    make_database(brand, database)
    if not wr.catalog.does_table_exist(database, query.match_keys_table, boto3_session=brand):
        wr.catalog.create_parquet_table(
            database=database,
            table=query.match_keys_table,
            path=settings.match_keys_uri,
            columns_types={JOIN_COLUMN: "string", "customer_key": "string"},
            boto3_session=brand,
        )


def offer_partner_table(
    project: Project, query: Query, partner: boto3.Session, database: str, uri: str
) -> tuple[str, ...]:
    """Put the partner's file into the partner's account, catalogue it, and return the columns to offer.

    A LIST rule offers what the query asks for, a CUSTOM rule every column: the template says what becomes of them.
    """
    path = project.location("partner")
    if not isinstance(path, Path):
        raise SettingsError(
            "tables.partner is not a local file",
            where="project.toml",
            fix="the embedded AWS reads the partner's file from disk",
        )
    table = query.partner_table
    files = {f"{uri}partner-{n:04d}.parquet": file for n, file in enumerate(parquet_files(path, "partner"))}
    refuse_types_that_differ(list(files.values()))
    for address, file in files.items():
        wr.s3.upload(local_file=str(file), path=address, boto3_session=partner)
    if gone := sorted(set(wr.s3.list_objects(uri, boto3_session=partner)) - set(files)):
        wr.s3.delete_objects(gone, boto3_session=partner)
    types, _ = wr.s3.read_parquet_metadata(uri, dataset=True, boto3_session=partner)
    if wr.catalog.get_table_types(database, table, boto3_session=partner) != types:
        wr.catalog.create_parquet_table(
            database=database, table=table, path=uri, columns_types=types, mode="overwrite", boto3_session=partner
        )
    others = tuple(name for name in types if name != JOIN_COLUMN)
    offered = others if query.rule == "CUSTOM" else query.partner_columns
    missing = [name for name in (JOIN_COLUMN, *offered) if name not in types]
    if missing:
        raise SettingsError(
            f"the partner's table has no column {', '.join(missing)}",
            where=str(path),
            why=f"it has {', '.join(types)}",
            fix="mend [query].columns in project.toml, or ask the partner for the column",
        )
    return offered


def refuse_types_that_differ(files: list[Path]) -> None:
    """Refuse files of one table that have a column in types that don't fit together.

    Raises
    ------
    SettingsError
        Naming both files and the column.
    """
    known = pq.read_schema(files[0])
    for file in files[1:]:
        schema = pq.read_schema(file)
        try:
            known = pa.unify_schemas([known, schema])
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            raise SettingsError(
                "the partner's files have a column in types that don't fit together",
                where=f"{files[0]} and {file}",
                why=str(error),
                fix="write the column with the same type into every file of the table",
            ) from error


def account_of(session: boto3.Session) -> str:
    """Account id of a session's credentials."""
    return str(session.client("sts").get_caller_identity()["Account"])


def make_bucket(session: boto3.Session, name: str) -> None:
    """Make a private, encrypted bucket unless it is ours already."""
    s3 = session.client("s3")
    if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        return
    s3.create_bucket(Bucket=name)
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )


def make_database(session: boto3.Session, name: str) -> None:
    """Make a Glue database unless it exists."""
    wr.catalog.create_database(name, exist_ok=True, boto3_session=session)


def make_role(session: boto3.Session, name: str, service: str) -> str:
    """Make a role that one service may assume, unless it exists; return its ARN."""
    iam = session.client("iam")
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    try:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"])
