"""Processing jobs: they run as processes, see their own /opt/ml, and end as SageMaker's do."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pseg.local_aws import sagemaker_jobs
from pseg.local_aws.session import PARTNER_ACCOUNT
from pseg.local_aws.wire import EmbeddedAws
from tests.local_aws.sagemaker_account import TRUST, Account

COPY = """
import pathlib, shutil, sys
ml = pathlib.Path(sys.argv[1])
shutil.copytree(ml / "processing/in", ml / "processing/out", dirs_exist_ok=True)
"""


@pytest.fixture(scope="module")
def account(aws: EmbeddedAws) -> Account:
    """The brand's account."""
    return Account.open(aws, "jobs")


def refusal(action: Any, *texts: str) -> str:
    """Message of the error that an action must raise."""
    with pytest.raises(ClientError) as caught:
        action()
    for text in texts:
        assert text in str(caught.value)
    return str(caught.value)


def test_outputs_of_a_job_are_in_s3_when_it_is_completed(account: Account) -> None:
    account.put("copy/in/a.txt", "A")
    account.put("copy/in/deep/b.txt", "B")
    answer = account.run("Processing", account.processing("copy", COPY, {"in": f"s3://{account.bucket}/copy/in/"}))
    assert answer["ProcessingJobStatus"] == "Completed", answer
    assert answer["ProcessingStartTime"] <= answer["ProcessingEndTime"]
    assert account.keys("out/copy/") == ["out/copy/a.txt", "out/copy/deep/b.txt"]
    assert account.get("out/copy/deep/b.txt") == b"B"


def test_child_sees_only_its_own_environment_and_the_keys_of_its_role(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PSEG_SECRET_OF_THE_SERVER", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = (
        "import boto3, json, os\n"
        "print(json.dumps([dict(os.environ), boto3.client('sts').get_caller_identity()['Arn']]))"
    )
    account.run("Processing", account.processing("env", code, Environment={"WHERE": "/opt/ml/x:/opt/mlflow", "A": "1"}))
    (line,) = account.lines("Processing", "env")
    environment, arn = json.loads(line)
    assert arn == account.role
    assert "PSEG_SECRET_OF_THE_SERVER" not in environment
    assert environment["A"] == "1"
    folder, untouched = environment["WHERE"].split(":")
    assert folder.endswith("/ml/x")
    assert untouched == "/opt/mlflow"
    assert environment["OMP_NUM_THREADS"] == str(os.cpu_count())


def test_job_reads_its_configuration_files(account: Account) -> None:
    code = (
        "import json, sys\nfor name in ('processingjobconfig', 'resourceconfig'):"
        " print(json.dumps(json.load(open(f'{sys.argv[1]}/config/{name}.json'))))"
    )
    account.run("Processing", account.processing("config", code))
    job, resources = map(json.loads, account.lines("Processing", "config"))
    assert job["ProcessingJobName"] == "config"
    assert resources == {"current_host": "algo-1", "hosts": ["algo-1"]}


def test_exit_code_and_message_of_a_failed_job_are_described(account: Account) -> None:
    code = (
        "import pathlib, sys\nml = pathlib.Path(sys.argv[1])\n(ml / 'output/message').write_text('no rows')\n"
        "(ml / 'processing/out/x').write_text('x')\nsys.exit(3)"
    )
    answer = account.run("Processing", account.processing("exit-3", code))
    assert answer["ProcessingJobStatus"] == "Failed"
    assert answer["ExitMessage"] == "no rows"
    assert answer["FailureReason"] == "AlgorithmError: no rows, exit code: 3"
    assert account.keys("out/exit-3/") == []


def test_killed_job_names_the_signal(account: Account) -> None:
    answer = account.run("Processing", account.processing("killed", "import os; os.kill(os.getpid(), 9)"))
    assert answer["FailureReason"] == "AlgorithmError: killed by SIGKILL, exit code: 137"


def test_missing_program_is_exit_127(account: Account) -> None:
    request = account.processing("no-program", "")
    request["AppSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    answer = account.run("Processing", request)
    assert answer["FailureReason"].endswith("No such file or directory, exit code: 127")


def test_empty_input_fails_and_names_the_address(account: Account) -> None:
    uri = f"s3://{account.bucket}/nothing/here"
    answer = account.run("Processing", account.processing("empty", COPY, {"in": uri}))
    assert answer["ProcessingJobStatus"] == "Failed"
    assert answer["FailureReason"].startswith("ClientError: ")
    assert uri in answer["FailureReason"]


def test_key_that_leaves_the_input_folder_fails_the_job(account: Account) -> None:
    account.put("evil/../../../x", "x")
    answer = account.run("Processing", account.processing("evil", COPY, {"in": f"s3://{account.bucket}/evil/"}))
    assert "leaves its input folder" in answer["FailureReason"]


def test_prefix_is_a_string_prefix_and_a_manifest_names_its_objects(account: Account) -> None:
    for key in ("pre/a/1", "pre/ab/2", "pre/c"):
        account.put(key, key)
    request = account.processing("prefix", COPY, {"in": f"s3://{account.bucket}/pre/a"})
    assert account.run("Processing", request)["ProcessingJobStatus"] == "Completed"
    assert account.keys("out/prefix/") == ["out/prefix/1", "out/prefix/ab/2"]
    manifest = account.put("manifest.json", json.dumps([{"prefix": f"s3://{account.bucket}/pre/"}, "c", "a/1"]))
    request = account.processing("manifest", COPY, {"in": manifest})
    request["ProcessingInputs"][-1]["S3Input"]["S3DataType"] = "ManifestFile"
    assert account.run("Processing", request)["ProcessingJobStatus"] == "Completed"
    assert account.keys("out/manifest/") == ["out/manifest/a/1", "out/manifest/c"]


@pytest.mark.parametrize("size", [3, 200_000], ids=["small", "large"])
def test_job_reads_what_lies_in_s3_now_not_what_an_earlier_job_read(account: Account, size: int) -> None:
    source = {"in": f"s3://{account.bucket}/changing-{size}/"}
    for number, text in enumerate(("a" * size, "b" * size)):
        account.put(f"changing-{size}/x", text)
        name = f"changing-{size}-{number}"
        assert account.run("Processing", account.processing(name, COPY, source))["ProcessingJobStatus"] == "Completed"
        assert account.get(f"out/{name}/x") == text.encode()
    account.s3.delete_object(Bucket=account.bucket, Key=f"changing-{size}/x")
    gone = account.run("Processing", account.processing(f"changing-{size}-2", COPY, source))
    assert "No S3 objects found" in gone["FailureReason"]


def test_several_instances_share_a_sharded_input(account: Account) -> None:
    for index in range(5):
        account.put(f"shards/{index}", str(index))
    code = COPY + "import json; json.dump(json.load(open(ml / 'config/resourceconfig.json')), sys.stdout)"
    request = account.processing("sharded", code, {"in": f"s3://{account.bucket}/shards/"})
    request["ProcessingInputs"][-1]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    assert account.run("Processing", request)["ProcessingJobStatus"] == "Completed"
    assert account.keys("out/sharded/") == [f"out/sharded/{index}" for index in range(5)]
    seen = [json.loads(line) for line in account.lines("Processing", "sharded")]
    assert {item["current_host"] for item in seen} == {"algo-1", "algo-2"}
    assert all(item["hosts"] == ["algo-1", "algo-2"] for item in seen)


def test_instance_without_an_object_of_a_sharded_input_runs_too(account: Account) -> None:
    account.put("one/only", "1")
    code = """
import json, pathlib, sys
ml = pathlib.Path(sys.argv[1])
host = json.loads((ml / "config/resourceconfig.json").read_text())["current_host"]
found = [path.name for path in (ml / "processing/in").iterdir()]
(ml / "processing/out" / host).write_text(json.dumps(found))
"""
    request = account.processing("half-empty", code, {"in": f"s3://{account.bucket}/one/"})
    request["ProcessingInputs"][-1]["S3Input"]["S3DataDistributionType"] = "ShardedByS3Key"
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    assert account.run("Processing", request)["ProcessingJobStatus"] == "Completed"
    assert account.keys("out/half-empty/") == ["out/half-empty/algo-1", "out/half-empty/algo-2"]
    assert [account.get(f"out/half-empty/algo-{number}") for number in (1, 2)] == [b'["only"]', b"[]"]


def test_one_failing_instance_ends_the_job(account: Account) -> None:
    code = (
        "import json, sys, time; host = json.load(open(sys.argv[1] + '/config/resourceconfig.json'))['current_host'];"
        " sys.exit(4) if host == 'algo-2' else time.sleep(60)"
    )
    request = account.processing("one-fails", code)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    answer = account.run("Processing", request)
    assert answer["FailureReason"].endswith("exit code: 4")


def test_stopped_job_gets_sigterm_and_uploads_nothing(account: Account) -> None:
    code = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('asked to stop'), sys.exit(0)));"
        " open(sys.argv[1] + '/processing/out/x', 'w'); print('ready'); time.sleep(60)"
    )
    account.sm.create_processing_job(**account.processing("stopped", code))
    account.wait_for_line("Processing", "stopped", "ready")
    account.sm.stop_processing_job(ProcessingJobName="stopped")
    assert account.wait("Processing", "stopped")["ProcessingJobStatus"] == "Stopped"
    assert account.lines("Processing", "stopped")[-1] == "asked to stop"
    assert account.keys("out/stopped/") == []
    refusal(lambda: account.sm.stop_processing_job(ProcessingJobName="stopped"), "ValidationException", "Stopped")


def test_job_that_ignores_sigterm_is_killed_with_all_that_it_started(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sagemaker_jobs, "GRACE_SECONDS", 0.2)
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid); time.sleep(60)"
    )
    account.sm.create_processing_job(**account.processing("stubborn", code))
    account.wait_for_line("Processing", "stubborn", "")
    child = int(account.lines("Processing", "stubborn")[0])
    account.sm.stop_processing_job(ProcessingJobName="stubborn")
    assert account.wait("Processing", "stubborn")["ProcessingJobStatus"] == "Stopped"
    assert not runs(child)


def runs(pid: int) -> bool:
    """Tell if a process is there and no zombie."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as handle:  # noqa: PTH123
                if handle.read().rsplit(")", 1)[-1].split()[0] == "Z":
                    return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.02)
    return True


def test_time_limit_stops_a_job(account: Account) -> None:
    request = account.processing(
        "too-long", "import time; time.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    answer = account.run("Processing", request)
    assert answer["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds" in answer["FailureReason"]


def test_role_must_exist_trust_sagemaker_and_belong_to_the_caller(aws: EmbeddedAws, account: Account) -> None:
    iam = aws.client("iam", aws.keys[PARTNER_ACCOUNT])
    foreign = iam.create_role(RoleName="foreign", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    for index, role in enumerate(("arn:aws:iam::111111111111:role/nobody", foreign)):
        request = account.processing(f"role-{index}", "", RoleArn=role)
        refusal(lambda request=request: account.sm.create_processing_job(**request), "ValidationException", role)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"AppSpecification": {"ImageUri": "x"}}, "ContainerEntrypoint"),
        ({"ProcessingJobName": "under_score"}, "regular expression"),
        ({"ProcessingInputs": [{"InputName": "d", "DatasetDefinition": {}}]}, "DatasetDefinition"),
        (
            {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.none", "VolumeSizeInGB": 1}}},
            "enum value set",
        ),
        (
            {"AppSpecification": {"ImageUri": "x", "ContainerEntrypoint": ["x"], "ContainerArguments": ["y" * 257]}},
            "length less than or equal to 256",
        ),
    ],
    ids=["no entrypoint", "name", "dataset definition", "instance type", "long argument"],
)
def test_wrong_requests_are_refused_by_name(account: Account, change: dict[str, Any], text: str) -> None:
    request = account.processing("refused", "") | change
    refusal(lambda: account.sm.create_processing_job(**request), "ValidationException", text)


def test_local_path_outside_opt_ml_processing_is_refused(account: Account) -> None:
    request = account.processing("path", "", {"in": "s3://data/x"})
    request["ProcessingInputs"][-1]["S3Input"]["LocalPath"] = "/opt/ml/processing/../../etc"
    refusal(lambda: account.sm.create_processing_job(**request), "LocalPath")


def test_names_are_unique_and_unknown_names_are_errors(account: Account) -> None:
    account.run("Processing", account.processing("twice", ""))
    refusal(lambda: account.sm.create_processing_job(**account.processing("twice", "")), "ResourceInUse")
    refusal(lambda: account.sm.describe_processing_job(ProcessingJobName="never"), "Could not find requested job")


def test_list_filters_sorts_and_pages(account: Account) -> None:
    for name in ("list-b", "list-a"):
        account.run("Processing", account.processing(name, ""))
    account.run("Processing", account.processing("list-c", "raise SystemExit(1)"))
    pages = account.sm.get_paginator("list_processing_jobs").paginate(
        NameContains="list-", SortBy="Name", SortOrder="Descending", PaginationConfig={"PageSize": 1}
    )
    assert [page["ProcessingJobSummaries"][0]["ProcessingJobName"] for page in pages] == ["list-c", "list-b", "list-a"]
    failed = account.sm.list_processing_jobs(StatusEquals="Failed", NameContains="list-")["ProcessingJobSummaries"]
    assert [job["ProcessingJobName"] for job in failed] == ["list-c"]
    refusal(lambda: account.sm.list_processing_jobs(NextToken="?"), "NextToken")


def test_accounts_do_not_see_each_others_jobs(aws: EmbeddedAws, account: Account) -> None:
    account.run("Processing", account.processing("mine", ""))
    partner = aws.client("sagemaker", aws.keys[PARTNER_ACCOUNT])
    assert partner.list_processing_jobs()["ProcessingJobSummaries"] == []
    refusal(lambda: partner.describe_processing_job(ProcessingJobName="mine"), "Could not find")


def test_closing_the_session_stops_running_jobs(tmp_path_factory: pytest.TempPathFactory) -> None:
    from pseg.local_aws.app import build
    from pseg.local_aws.wire import serve_in_thread

    own = build(tmp_path_factory.mktemp("closing"))
    server = serve_in_thread(own)
    account = Account.open(own, "closing")
    account.sm.create_processing_job(
        **account.processing("long", "import os, time; print(os.getpid()); time.sleep(60)")
    )
    account.wait_for_line("Processing", "long", "")
    child = int(account.lines("Processing", "long")[0])
    assert own.is_busy()
    own.close()
    assert not runs(child)
    assert not own.is_busy()
    server.shutdown()
    server.server_close()
