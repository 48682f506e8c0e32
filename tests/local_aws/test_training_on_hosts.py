"""Our own training as a job on two hosts: its model, a host that is lost, and on from the checkpoint."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.feature_table import JSON_NAME, parquet_name
from contracts.run_settings import FILE_NAME
from pseg.local_aws.wire import EmbeddedAws
from tests.known_truth import make_customers
from tests.local_aws.sagemaker_account import Account
from tests.worlds import SETTINGS

CODE = """
import os, pathlib, signal, sys, xgboost
import training.learn, training.train
training.learn.SMALL_ROWS = training.train.SMALL_ROWS = 1000
ml = pathlib.Path(sys.argv[1])
rounds, grow = [], xgboost.Booster.update
def update(*given, **named):
    grow(*given, **named)
    rounds.append(1)
    if os.environ["PSEG_LOCAL_HOST"] == "algo-2" and os.environ["LOST"] == "yes" and len(rounds) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
xgboost.Booster.update = update
sys.exit(training.train.main(["--ml-dir", str(ml), "--goal", "buy"]))
"""


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account with a feature table in four files."""
    account = Account.open(aws, "hosts")
    table, contract, _ = make_customers(6000, seed=5)
    table = table.sort_by("customer_key")
    place = np.random.default_rng(1).integers(0, 4, table.num_rows)
    for number in range(4):
        sink = pa.BufferOutputStream()
        pq.write_table(table.filter(pa.array(place == number)), sink)
        account.put(f"features/{parquet_name(0, number)}", sink.getvalue().to_pybytes())
    account.put(f"features/{JSON_NAME}", contract.to_json())
    account.put(f"settings/{FILE_NAME}", SETTINGS.to_json())
    return account


def request(account: Account, name: str, lost: str = "no", hosts: int = 2) -> dict[str, Any]:
    """Request of the training job, as the pipeline's definition has it."""
    bucket = f"s3://{account.bucket}"
    channels = {"features": f"{bucket}/features/", "contract": f"{bucket}/features/{JSON_NAME}"}
    channels["settings"] = f"{bucket}/settings/"
    made = account.training(name, CODE, channels, CheckpointConfig={"S3Uri": f"{bucket}/checkpoints"})
    made["Environment"] = {"PYTHONPATH": str(Path.cwd()), "LOST": lost, "PSEG_LOCAL_HOST": ""}
    made["ResourceConfig"]["InstanceCount"] = hosts
    for channel in made["InputDataConfig"]:
        if channel["ChannelName"] == "features":
            channel["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    return made


def card(account: Account, name: str) -> dict[str, Any]:
    """The model's card out of its archive."""
    with tarfile.open(fileobj=io.BytesIO(account.get(f"models/{name}/output/model.tar.gz"))) as tar:
        handle = tar.extractfile("model.json")
        assert handle is not None
        return dict(json.loads(handle.read()))


def test_lost_host_fails_the_job_by_name_and_the_next_goes_on_from_its_checkpoint(account: Account) -> None:
    answer = account.run("Training", request(account, "lost", "yes"))
    assert answer["TrainingJobStatus"] == "Failed"
    assert "host algo-2 was lost" in answer["FailureReason"] or "hosts lost each other" in answer["FailureReason"]
    assert answer["TrainingTimeInSeconds"] < 60
    saved = account.keys("checkpoints/")
    assert [key.rpartition("-")[2] for key in saved] == ["00010.ubj"]
    answer = account.run("Training", request(account, "resumed"))
    assert answer["TrainingJobStatus"] == "Completed", answer["FailureReason"]
    assert "on from the checkpoint after 10 rounds" in "\n".join(account.lines("Training", "resumed"))
    for key in account.keys("checkpoints/"):
        account.s3.delete_object(Bucket=account.bucket, Key=key)
    assert account.run("Training", request(account, "whole"))["TrainingJobStatus"] == "Completed"
    assert card(account, "resumed") == card(account, "whole")


def test_host_without_a_file_fails_the_job_with_its_own_reason(account: Account) -> None:
    answer = account.run("Training", request(account, "six", hosts=6))
    assert answer["TrainingJobStatus"] == "Failed"
    assert "no file of the feature table fell to algo-" in answer["FailureReason"]
