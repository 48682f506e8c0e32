"""Processing and training jobs: each one runs as processes of its own, one per instance, with an /opt/ml of its own.

Comes in: Create*Job requests and the S3 objects that they name. Goes out: outputs in S3, log streams, Describe answers.
Refused: what cannot be run without an image (no entrypoint given), and members that would be ignored (REFUSED).

Unverified against AWS, and chosen here: a processing job that fails or is stopped uploads nothing; a training job that
is stopped, or runs into MaxRuntimeInSeconds, still uploads the model that it has saved; one failing host ends the job.
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pseg.local_aws import sagemaker_data as data
from pseg.local_aws.cloudwatch_logs import JobLogs, LogStream
from pseg.local_aws.sagemaker_data import JobFailed
from pseg.local_aws.sagemaker_records import Record, SageMaker, invalid, now, page
from pseg.local_aws.session import Credential
from pseg.local_aws.wire import AwsError, Call

logger = logging.getLogger(__name__)

ML_DIR = re.compile(r"(?<![\w.-])/opt/ml(?![\w.-])")
FINAL = frozenset({"Completed", "Failed", "Stopped"})
GRACE_SECONDS = 30.0  # between SIGTERM and SIGKILL; SageMaker gives training 120
DAY_SECONDS = 86_400
SEE_LOGS = "See job logs for more information"

# Given to every Python of a job with several hosts: their names lead to addresses of this machine.
HOSTS_HOOK = """\
import json, os, socket
hosts = json.loads(os.environ["PSEG_LOCAL_HOSTS"])
def through(function):
    return lambda host, *rest, **named: function(hosts.get(host, host), *rest, **named)
for name in ("gethostbyname", "gethostbyname_ex", "getaddrinfo"):
    setattr(socket, name, through(getattr(socket, name)))
socket.gethostname = lambda: os.environ["PSEG_LOCAL_HOST"]
"""


class JobStopped(Exception):
    """A job that ends as Stopped: it was asked to, or its time was over."""


@dataclass
class Job:
    """One job: its Describe record, its folder, the keys of its role, and what runs for it."""

    lead: str
    call: Call
    record: Record
    folder: Path
    key: Credential
    number: int
    stop: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    grace_seconds: float | None = None

    @property
    def name(self) -> str:
        """Name of the job."""
        return str(self.record[f"{self.lead}JobName"])

    def hosts(self, count: int) -> list[Host]:
        """Make the folders of ``count`` instances, named as SageMaker names them."""
        names = [f"algo-{index + 1}" for index in range(count)]
        return [Host(self, name, names, self.folder / name / "ml") for name in names]


@dataclass
class Host:
    """One instance of a job; ``ml`` stands for its /opt/ml."""

    job: Job
    name: str
    names: list[str]
    ml: Path
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None

    def __post_init__(self) -> None:
        for folder in ("input/config", "output/data", "model"):
            (self.ml / folder).mkdir(parents=True, exist_ok=True)

    def local(self, text: str) -> str:
        """Point every /opt/ml in a text to this host's folder."""
        return ML_DIR.sub(str(self.ml), text)

    def path(self, container_path: str) -> Path:
        """Where a path of the container lies here."""
        return Path(self.local(posixpath.normpath(container_path)))

    def write_json(self, name: str, document: Any) -> None:
        """Write one file of /opt/ml."""
        path = self.ml / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, default=lambda value: value.isoformat()))

    def read_text(self, name: str) -> str:
        """First 1024 characters of a file that the job may have written below /opt/ml."""
        try:
            return (self.ml / name).read_text(errors="replace")[:1024].strip()
        except OSError:
            return ""


class Jobs:
    """All jobs of one session."""

    def __init__(self, sagemaker: SageMaker, logs: JobLogs) -> None:
        self.sagemaker = sagemaker
        self.logs = logs
        self.running: dict[str, Job] = {}
        self.by_arn: dict[str, Job] = {}
        self.kept: dict[data.Source, bytes] = {}
        self.lock = threading.Lock()
        sagemaker.aws.on_close.append(self.close)
        sagemaker.aws.busy_checks.append(lambda: bool(self.running))

    def close(self) -> None:
        """Stop what still runs."""
        running = list(self.running.values())
        for job in running:
            job.grace_seconds = 2.0
            job.stop.set()
        for job in running:
            job.done.wait(10)

    def s3(self, job: Job) -> Any:
        """S3 as the job's role sees it."""
        return self.sagemaker.aws.client("s3", job.key, job.call.region)

    def stream(self, job: Job, host: str = "algo-1") -> LogStream:
        """Log stream of one host of a job."""
        return self.logs.stream(job.call, f"/aws/sagemaker/{job.lead}Jobs", f"{job.name}/{host}-0")

    # -- the four operations of a kind of job

    def provide(
        self,
        lead: str,
        order: str,
        prepare: Callable[[Call, dict[str, Any]], str],
        run: Callable[[Job], None],
    ) -> None:
        """Register Create, Describe, List and Stop of one kind of job.

        Parameters
        ----------
        lead : {"Processing", "Training", "Transform"}
            First part of its names in the API.
        order : {"Ascending", "Descending"}
            Default order of its List operation.
        prepare : callable
            Checks a request (it may add defaults) and returns the ARN of the role that the job runs as.
        run : callable
            Does the work in a thread; raises JobFailed or JobStopped.
        """
        operation = self.sagemaker.operation
        records = self.sagemaker.records(f"{lead.lower()}-job")
        name_key, arn_key, status_key = (f"{lead}Job{part}" for part in ("Name", "Arn", "Status"))

        @operation(f"Create{lead}Job")
        def create(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
            name = parameters[name_key]
            arn = records.arn(call, name)
            role = prepare(call, parameters)
            key = self.sagemaker.assume(call, role)
            times = {"CreationTime": now(), "LastModifiedTime": now()}
            with self.lock:
                if name in records.of(call):
                    raise AwsError(
                        "ResourceInUse",
                        f"Job name must be unique within an AWS account and region, and a {lead.lower()} job with this "
                        f"name already exists ({arn})",
                    )
                record = {**parameters, arn_key: arn, status_key: "InProgress", **times}
                records.of(call)[name] = record
                folder = self.sagemaker.work_dir / "jobs" / call.account / call.region / f"{lead.lower()}-{name}"
                job = Job(lead, call, record, folder, key, len(self.by_arn))
                self.running[arn] = self.by_arn[arn] = job
            self.sagemaker.tag(arn, parameters.get("Tags"))
            threading.Thread(target=self._work, args=(job, run), name=f"job-{name}", daemon=True).start()
            return {arn_key: arn}

        def find(call: Call, parameters: dict[str, Any]) -> Record:
            record = records.find(call, parameters[name_key])
            if record is None:
                raise invalid(f"Could not find requested job with name: {parameters[name_key]}")
            return record

        @operation(f"Describe{lead}Job")
        def describe(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
            return dict(find(call, parameters))

        @operation(f"List{lead}Jobs")
        def list_jobs(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
            found, more = page(
                list(records.of(call).values()), parameters, name=name_key, status=status_key, order=order
            )
            return {f"{lead}JobSummaries": found, **more}

        @operation(f"Stop{lead}Job")
        def stop(call: Call, parameters: dict[str, Any]) -> None:
            record = find(call, parameters)
            with self.lock:
                if record[status_key] in FINAL:
                    raise invalid(
                        f"The request was rejected because the {lead.lower()} job is in status {record[status_key]}"
                    )
                record[status_key] = "Stopping"
            self.by_arn[record[arn_key]].stop.set()

    def _work(self, job: Job, run: Callable[[Job], None]) -> None:
        job.record[f"{job.lead}StartTime"] = now()
        status, reason = "Completed", ""
        try:
            run(job)
        except JobStopped as stopped:
            status, reason = "Stopped", str(stopped)
        except JobFailed as failed:
            status, reason = "Failed", str(failed)
        except Exception:
            logger.exception("%s failed inside the embedded AWS", job.name)
            status, reason = "Failed", "InternalServerError: the embedded AWS failed; see its log"
        shutil.rmtree(job.folder, ignore_errors=True)  # the instances are gone; outputs are in S3, lines in the logs
        if reason:
            job.record["FailureReason"] = reason[:1024]
        with self.lock:
            job.record |= {f"{job.lead}EndTime": now(), "LastModifiedTime": now(), f"{job.lead}JobStatus": status}
            self.running.pop(job.record[f"{job.lead}JobArn"], None)
        job.done.set()

    # -- processes

    def environment(self, host: Host, variables: dict[str, str], *, network: bool = True) -> dict[str, str]:
        """Make a container's environment from nothing: the job's own variables, the endpoint, keys of its role."""
        job, root = host.job, host.ml.parent
        for folder in ("home", "tmp", "work"):
            (root / folder).mkdir(exist_ok=True)
        made = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1)),
            "OMP_WAIT_POLICY": "PASSIVE",  # jobs share this machine; threads that spin while they wait slow the others
            "PYTHONUNBUFFERED": "1",
            **{name: host.local(value) for name, value in variables.items()},
            "AWS_DEFAULT_REGION": job.call.region,
            "AWS_REGION": job.call.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if network:
            made |= {
                "AWS_ENDPOINT_URL": self.sagemaker.aws.endpoint,
                "AWS_ACCESS_KEY_ID": job.key.access_key_id,
                "AWS_SECRET_ACCESS_KEY": job.key.secret_access_key,
                "AWS_SESSION_TOKEN": job.key.session_token,
            }
        if len(host.names) > 1:
            hook = root / "hosts"
            hook.mkdir(exist_ok=True)
            (hook / "sitecustomize.py").write_text(HOSTS_HOOK)
            made["PYTHONPATH"] = os.pathsep.join(filter(None, [made.get("PYTHONPATH"), str(hook)]))
            made["PSEG_LOCAL_HOST"] = host.name
            made["PSEG_LOCAL_HOSTS"] = json.dumps({name: loopback(job, name) for name in host.names})
        return made

    def start(self, host: Host, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a host's process in a group of its own; its output goes to the host's log stream."""
        argv = [host.local(part) for part in command]
        if argv[0] in ("python", "python3"):
            argv[0] = sys.executable
        stream = self.stream(host.job, host.name)
        try:
            process = subprocess.Popen(
                argv,
                env=environment,
                cwd=host.ml.parent / "work",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            stream.write(f"exec {command[0]}: {error.strerror}")
            raise JobFailed(f"AlgorithmError: exec {command[0]}: {error.strerror}, exit code: 127") from error
        host.process = process
        host.reader = threading.Thread(target=pump, args=(process, stream), name=f"log-{host.job.name}", daemon=True)
        host.reader.start()
        return process

    def run_hosts(self, hosts: list[Host], limit_seconds: float | None, reason_file: str) -> None:
        """Wait for all hosts of a job; stop all of them when one fails, the job is stopped, or its time is over.

        Raises
        ------
        JobFailed
            With what the failed host wrote to ``reason_file``, else what another host wrote, and the exit code.
        JobStopped
            If the job was stopped or ran for more than ``limit_seconds``.
        """
        job = hosts[0].job
        processes = [host.process for host in hosts if host.process]
        deadline = time.monotonic() + (limit_seconds or float("inf"))
        failed: list[Host] = []
        try:
            while not failed and None in [process.poll() for process in processes]:
                if job.stop.wait(0.02):
                    raise JobStopped
                if time.monotonic() > deadline:
                    raise JobStopped(f"MaxRuntimeInSeconds of {limit_seconds} exceeded")
                failed = [host for host in hosts if host.process and host.process.returncode]
        finally:
            self.end_hosts(hosts)
        failed = failed or [host for host in hosts if host.process and host.process.returncode]
        if failed:
            texts = (host.read_text(reason_file) for host in [*failed, *hosts])
            silent = f"host {failed[0].name} was lost" if len(hosts) > 1 else ""
            raise JobFailed(exit_reason(failed[0].process, next(filter(None, texts), silent)))

    def end_hosts(self, hosts: list[Host]) -> None:
        """End the processes of a job's hosts and take in the last lines that they wrote."""
        grace = hosts[0].job.grace_seconds
        end_processes([host.process for host in hosts if host.process], GRACE_SECONDS if grace is None else grace)
        for host in hosts:
            if host.reader:
                host.reader.join(5)


def loopback(job: Job, host: str) -> str:
    """Address of one host: each job has its own on Linux; elsewhere only 127.0.0.1 can be used unasked."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{job.number // 250 % 250 + 1}.{job.number % 250 + 1}.{host.removeprefix('algo-')}"


def pump(process: subprocess.Popen[bytes], stream: LogStream) -> None:
    """Carry a process's output to its log, line by line."""
    if process.stdout is not None:
        with process.stdout as output:
            for line in output:
                stream.write(line.decode(errors="replace"))


def end_processes(processes: list[subprocess.Popen[bytes]], grace_seconds: float) -> None:
    """End process groups: SIGTERM to those whose leader still runs, SIGKILL to what is left after the grace period."""
    alive = [process for process in processes if process.poll() is None]
    for process in alive:
        signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for process in alive:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        signal_group(process, signal.SIGKILL)  # a container ends with its first process, whatever it started
        process.wait()


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def exit_reason(process: subprocess.Popen[bytes] | None, text: str) -> str:
    """FailureReason of a process that ended badly, cut to the 1024 characters that the API allows."""
    code = process.returncode if process else 1
    if code < 0:
        text = text or f"killed by {signal.Signals(-code).name}"
        code = 128 - code
    tail = f", exit code: {code}"
    return f"AlgorithmError: {text or SEE_LOGS}"[: 1024 - len(tail)] + tail


def install(sagemaker: SageMaker, logs: JobLogs) -> Jobs:
    """Register processing and training jobs."""
    jobs = Jobs(sagemaker, logs)
    jobs.provide("Processing", "Ascending", prepare_processing, lambda job: run_processing(jobs, job))
    jobs.provide("Training", "Ascending", prepare_training, lambda job: run_training(jobs, job))
    return jobs


# -- processing


def prepare_processing(_: Call, parameters: dict[str, Any]) -> str:
    """Check a processing job; its role."""
    if not parameters["AppSpecification"].get("ContainerEntrypoint"):
        raise invalid("the embedded AWS has no images: CreateProcessingJob needs AppSpecification.ContainerEntrypoint")
    outputs = parameters.get("ProcessingOutputConfig", {}).get("Outputs", [])
    named = [(item.get("InputName"), item.get("S3Input")) for item in parameters.get("ProcessingInputs", [])]
    for name, place in [*named, *((item["OutputName"], item.get("S3Output")) for item in outputs)]:
        path = (place or {}).get("LocalPath") or ""
        if not posixpath.normpath(path).startswith("/opt/ml/processing/"):
            raise invalid(f"LocalPath {path!r} of {name} is not a folder under /opt/ml/processing/")
    for names in ([name for name, _ in named], [item["OutputName"] for item in outputs]):
        if len(set(names)) != len(names):
            raise invalid("names of inputs and of outputs must be unique within a processing job")
    parameters.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": DAY_SECONDS})
    return str(parameters["RoleArn"])


def run_processing(jobs: Jobs, job: Job) -> None:
    """Download, run every instance, upload what they left in the output folders."""
    request, s3 = job.record, jobs.s3(job)
    hosts = job.hosts(request["ProcessingResources"]["ClusterConfig"].get("InstanceCount") or 1)
    outputs = [output["S3Output"] for output in request.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    for item in request.get("ProcessingInputs", []):
        source = item["S3Input"]
        found = data.sources(s3, source["S3Uri"], source["S3DataType"])
        for index, host in enumerate(hosts):
            part = data.shard(found, source.get("S3DataDistributionType"), index, len(hosts))
            data.download(s3, part, host.path(source["LocalPath"]), jobs.kept)
    network = not request.get("NetworkConfig", {}).get("EnableNetworkIsolation")
    specification = request["AppSpecification"]
    for host in hosts:
        for output in outputs:
            host.path(output["LocalPath"]).mkdir(parents=True, exist_ok=True)
        host.write_json("config/processingjobconfig.json", request)
        host.write_json("config/resourceconfig.json", {"current_host": host.name, "hosts": host.names})
        command = [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])]
        jobs.start(host, command, jobs.environment(host, request.get("Environment", {}), network=network))
    try:
        jobs.run_hosts(hosts, request["StoppingCondition"]["MaxRuntimeInSeconds"], "output/message")
    finally:
        if message := next(filter(None, (host.read_text("output/message") for host in hosts)), ""):
            request["ExitMessage"] = message
    for output in outputs:
        for host in hosts:
            data.upload_folder(s3, host.path(output["LocalPath"]), output["S3Uri"])


# -- training


def prepare_training(_: Call, parameters: dict[str, Any]) -> str:
    """Check a training job; its role."""
    specification = parameters.get("AlgorithmSpecification") or {}
    if not specification.get("ContainerEntrypoint"):
        raise invalid(
            "the embedded AWS has no images (neither their algorithms nor their script mode): CreateTrainingJob needs "
            "AlgorithmSpecification.ContainerEntrypoint"
        )
    if not (parameters.get("ResourceConfig") or {}).get("InstanceCount"):
        raise invalid("ResourceConfig with InstanceType and InstanceCount is required")
    channels = [channel["ChannelName"] for channel in parameters.get("InputDataConfig", [])]
    if len(set(channels)) != len(channels):
        raise invalid("Duplicate channel name in InputDataConfig")
    condition = parameters.setdefault("StoppingCondition", {})
    condition.setdefault("MaxRuntimeInSeconds", DAY_SECONDS)
    if parameters.get("EnableManagedSpotTraining"):
        if condition.get("MaxWaitTimeInSeconds", 0) < condition["MaxRuntimeInSeconds"]:
            raise invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif "MaxWaitTimeInSeconds" in condition:
        raise invalid("MaxWaitTimeInSeconds is only for jobs with EnableManagedSpotTraining")
    parameters.update(SecondaryStatus="Starting", SecondaryStatusTransitions=[])
    return str(parameters["RoleArn"])


def run_training(jobs: Jobs, job: Job) -> None:
    """Download the channels, run every instance, upload the model and other output."""
    request, s3 = job.record, jobs.s3(job)
    hosts = job.hosts(request["ResourceConfig"]["InstanceCount"])
    limit = request["StoppingCondition"]["MaxRuntimeInSeconds"]
    started, final = time.monotonic(), "Failed"
    try:
        enter(job, "Downloading", "Downloading input data")
        channels = download_channels(jobs, s3, request, hosts)
        download_checkpoints(s3, request, hosts)
        enter(job, "Training", "Training image runs")
        specification = request["AlgorithmSpecification"]
        for host in hosts:
            host.write_json("input/config/hyperparameters.json", request.get("HyperParameters") or {})
            host.write_json("input/config/resourceconfig.json", resource_config(host, request["ResourceConfig"]))
            host.write_json("input/config/inputdataconfig.json", channels)
            names = {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": request["TrainingJobArn"]}
            environment = jobs.environment(
                host, {**(request.get("Environment") or {}), **names}, network=not request.get("EnableNetworkIsolation")
            )
            jobs.start(
                host, [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])], environment
            )
        try:
            jobs.run_hosts(hosts, limit, "output/failure")
            final = "Completed"
        except JobStopped as stopped:
            final = "MaxRuntimeExceeded" if str(stopped) else "Stopped"
            raise
        finally:
            find_metrics(jobs, job, hosts)
            if final != "Failed":
                enter(job, "Uploading", "Uploading generated training model")
                upload_results(s3, request, hosts, final == "Completed")
            upload_checkpoints(s3, request, hosts)
    except JobFailed:
        final = "Failed"
        raise
    finally:
        enter(job, final, f"Training job {'completed' if final == 'Completed' else 'ended'}")
        request["TrainingTimeInSeconds"] = request["BillableTimeInSeconds"] = max(1, round(time.monotonic() - started))


def enter(job: Job, status: str, message: str) -> None:
    """Note the next secondary status of a training job."""
    moment = now()
    transitions = job.record["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1]["EndTime"] = moment
    entry: dict[str, str | datetime] = {"Status": status, "StartTime": moment, "StatusMessage": message}
    transitions.append(entry)
    job.record["SecondaryStatus"] = status


def download_channels(jobs: Jobs, s3: Any, request: Record, hosts: list[Host]) -> dict[str, dict[str, str]]:
    """Bring all channels to all hosts; the content of inputdataconfig.json."""
    described = {}
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"]["S3DataSource"]
        distribution = source.get("S3DataDistributionType") or "FullyReplicated"
        found = data.sources(s3, source["S3Uri"], source["S3DataType"])
        for index, host in enumerate(hosts):
            part = data.shard(found, distribution, index, len(hosts))
            data.download(s3, part, host.ml / "input" / "data" / channel["ChannelName"], jobs.kept)
        mode = channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"]
        described[channel["ChannelName"]] = {
            "TrainingInputMode": mode,
            "S3DistributionType": distribution,
            "RecordWrapperType": "None",
            **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
        }
    return described


def resource_config(host: Host, resources: dict[str, Any]) -> dict[str, Any]:
    """Content of resourceconfig.json on one host."""
    kind, group = resources.get("InstanceType"), "homogeneousCluster"
    return {
        "current_host": host.name,
        "current_instance_type": kind,
        "current_group_name": group,
        "hosts": host.names,
        "instance_groups": [{"instance_group_name": group, "instance_type": kind, "hosts": host.names}],
        "network_interface_name": "lo",
    }


def checkpoint_folder(request: Record, host: Host) -> Path | None:
    """Where a job keeps checkpoints, if it does."""
    config = request.get("CheckpointConfig")
    return host.path(config.get("LocalPath") or "/opt/ml/checkpoints") if config else None


def download_checkpoints(s3: Any, request: Record, hosts: list[Host]) -> None:
    """Bring back what an earlier job has left under the checkpoint address; nothing there is no error."""
    for host in hosts:
        if folder := checkpoint_folder(request, host):
            folder.mkdir(parents=True, exist_ok=True)
            uri = request["CheckpointConfig"]["S3Uri"].rstrip("/") + "/"
            data.download(s3, data.sources(s3, uri, required=False), folder, {})


def upload_checkpoints(s3: Any, request: Record, hosts: list[Host]) -> None:
    """Keep the checkpoints, however the job ended (SageMaker does so while it runs)."""
    for host in hosts:
        if folder := checkpoint_folder(request, host):
            data.upload_folder(s3, folder, request["CheckpointConfig"]["S3Uri"])


def upload_results(s3: Any, request: Record, hosts: list[Host], complete: bool) -> None:
    """Write model.tar.gz, and output.tar.gz if there is other output. An empty model folder gives no object."""
    base = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"
    parent = hosts[0].ml.parent
    if data.pack([host.ml / "model" for host in hosts], parent / "model.tar.gz"):
        data.upload(s3, parent / "model.tar.gz", f"{base}/model.tar.gz")
    if complete and data.pack([host.ml / "output" / "data" for host in hosts], parent / "output.tar.gz"):
        data.upload(s3, parent / "output.tar.gz", f"{base}/output.tar.gz")
    request["ModelArtifacts"] = {"S3ModelArtifacts": f"{base}/model.tar.gz"}


def find_metrics(jobs: Jobs, job: Job, hosts: list[Host]) -> None:
    """Take each metric's last value from the logs, by the regular expressions of the request."""
    found = {}
    for definition in job.record["AlgorithmSpecification"].get("MetricDefinitions", []):
        for host in hosts:
            for event in jobs.stream(job, host.name).events():
                for value in re.findall(definition["Regex"], event["message"]):
                    with suppress(TypeError, ValueError):
                        found[definition["Name"]] = float(value), event["timestamp"] / 1000
    if found:
        job.record["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": datetime.fromtimestamp(moment, now().tzinfo)}
            for name, (value, moment) in found.items()
        ]
