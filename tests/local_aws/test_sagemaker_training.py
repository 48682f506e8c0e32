"""Training jobs: configuration, channels, deterministic artifacts, several hosts, and every way to end."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import Account

SAVE = """
import json, pathlib, sys
ml = pathlib.Path(sys.argv[1])
(ml / "model/sub").mkdir()
(ml / "model/sub/b.txt").write_text("b")
(ml / "model/a.txt").write_text("a")
"""


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account."""
    return Account.open(aws, "training")


def test_configuration_channels_model_and_metrics(account: Account) -> None:
    account.put("train/x.csv", "1,2")
    code = SAVE + (
        "for name in ('hyperparameters', 'resourceconfig', 'inputdataconfig'):\n"
        "    print(json.dumps(json.loads((ml / f'input/config/{name}.json').read_text())))\n"
        "print((ml / 'input/data/train/x.csv').read_text())\nprint('auc=0.5')\nprint('auc=0.75')\n"
    )
    request = account.training("ok", code, {"train": f"s3://{account.bucket}/train"}, HyperParameters={"depth": "4"})
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "auc", "Regex": r"auc=(\S+)"}]
    answer = account.run("Training", request)
    assert answer["TrainingJobStatus"] == answer["SecondaryStatus"] == "Completed", answer
    hyperparameters, resources, channels, data = account.lines("Training", "ok")[:4]
    assert json.loads(hyperparameters) == {"depth": "4"}
    assert json.loads(resources)["hosts"] == ["algo-1"]
    assert json.loads(channels)["train"]["TrainingInputMode"] == "File"
    assert data == "1,2"
    statuses = [item["Status"] for item in answer["SecondaryStatusTransitions"]]
    assert statuses == ["Downloading", "Training", "Uploading", "Completed"]
    assert [(item["MetricName"], item["Value"]) for item in answer["FinalMetricDataList"]] == [("auc", 0.75)]
    assert answer["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{account.bucket}/models/ok/output/model.tar.gz"}
    assert account.keys("models/ok/") == ["models/ok/output/model.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(account.get("models/ok/output/model.tar.gz"))) as tar:
        assert tar.getnames() == ["a.txt", "sub", "sub/b.txt"]


def test_same_model_files_give_the_same_archive_bytes(account: Account) -> None:
    for name in ("same-1", "same-2"):
        account.run("Training", account.training(name, SAVE))
    assert account.get("models/same-1/output/model.tar.gz") == account.get("models/same-2/output/model.tar.gz")


def test_other_output_is_packed_only_if_there_is_some(account: Account) -> None:
    account.run("Training", account.training("more", SAVE + "(ml / 'output/data/report.txt').write_text('r')"))
    assert account.keys("models/more/") == ["models/more/output/model.tar.gz", "models/more/output/output.tar.gz"]


def test_failure_file_is_the_reason_cut_to_1024_characters(account: Account) -> None:
    code = SAVE + "(ml / 'output/failure').write_text('labels are constant ' + 'x' * 2000); sys.exit(2)"
    answer = account.run("Training", account.training("fails", code))
    assert answer["TrainingJobStatus"] == answer["SecondaryStatus"] == "Failed"
    assert answer["FailureReason"].startswith("AlgorithmError: labels are constant x")
    assert answer["FailureReason"].endswith("xx, exit code: 2")
    assert len(answer["FailureReason"]) == 1024
    assert account.keys("models/fails/") == []


def test_several_hosts_find_each_other_by_name(account: Account) -> None:
    code = (
        SAVE
        + """
import socket
config = json.loads((ml / "input/config/resourceconfig.json").read_text())
me, hosts = config["current_host"], config["hosts"]
assert socket.gethostname() == me
if me == hosts[0]:
    with socket.create_server((socket.gethostbyname(me), 9099)) as server:
        connection, _ = server.accept()
        print("heard", connection.recv(100).decode())
else:
    import time
    for _ in range(200):
        try:
            with socket.create_connection((hosts[0], 9099)) as connection:
                connection.sendall(me.encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    (ml / "model" / f"{me}.txt").write_text(me)
"""
    )
    request = account.training("hosts", code)
    request["ResourceConfig"]["InstanceCount"] = 2
    assert account.run("Training", request)["TrainingJobStatus"] == "Completed", account.lines("Training", "hosts")
    assert account.lines("Training", "hosts") == ["heard algo-2"]
    with tarfile.open(fileobj=io.BytesIO(account.get("models/hosts/output/model.tar.gz"))) as tar:
        assert tar.getnames() == ["a.txt", "algo-2.txt", "sub", "sub/b.txt"]


def test_time_limit_stops_training_and_keeps_the_model(account: Account) -> None:
    request = account.training(
        "slow", SAVE + "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    answer = account.run("Training", request)
    assert (answer["TrainingJobStatus"], answer["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert account.keys("models/slow/") == ["models/slow/output/model.tar.gz"]


def test_stopped_training_keeps_the_model(account: Account) -> None:
    account.sm.create_training_job(**account.training("stop", SAVE + "print('saved')\nimport time; time.sleep(60)"))
    account.wait_for_line("Training", "stop", "saved")
    account.sm.stop_training_job(TrainingJobName="stop")
    answer = account.wait("Training", "stop")
    assert (answer["TrainingJobStatus"], answer["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert account.keys("models/stop/") == ["models/stop/output/model.tar.gz"]


def test_checkpoints_are_kept_and_brought_back(account: Account) -> None:
    code = (
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[1]) / 'checkpoints'\n"
        "print(sorted(path.name for path in folder.iterdir()))\n(folder / '1').write_text('1')\n"
    )
    for name in ("check-1", "check-2"):
        config = {"S3Uri": f"s3://{account.bucket}/checkpoints"}
        account.run("Training", account.training(name, code, CheckpointConfig=config))
    assert account.lines("Training", "check-1") == ["[]"]
    assert account.lines("Training", "check-2") == ["['1']"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"}}, "script mode"),
        (
            {"AlgorithmSpecification": {"TrainingInputMode": "Pipe", "ContainerEntrypoint": ["x"]}},
            "TrainingInputMode=Pipe",
        ),
        ({"DebugHookConfig": {"S3OutputPath": "s3://x/y"}}, "DebugHookConfig"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"HyperParameters": {"a": "x" * 2501}}, "length less than or equal to 2500"),
    ],
    ids=["no entrypoint", "pipe", "debugger", "spot without wait", "long hyperparameter"],
)
def test_wrong_requests_are_refused_by_name(account: Account, change: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        account.sm.create_training_job(**(account.training("refused", "") | change))
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_list_and_unknown_names(account: Account) -> None:
    account.run("Training", account.training("listed", ""))
    (job,) = account.sm.list_training_jobs(NameContains="listed", StatusEquals="Completed")["TrainingJobSummaries"]
    assert job["TrainingJobArn"].endswith(":training-job/listed")
    with pytest.raises(ClientError, match="Could not find requested job"):
        account.sm.describe_training_job(TrainingJobName="never")
