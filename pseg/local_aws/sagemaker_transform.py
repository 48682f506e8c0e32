"""Models and batch transform: a model server per instance, one request per object or per batch of lines.

Comes in: CreateModel and CreateTransformJob requests, model archives, objects. Goes out: ``<object>.out`` in S3.
Refused: RecordIO, TFRecord, filters and joins, several containers (REFUSED); too large payloads; archives that leave
their folder; model packages that are not approved. Unverified against AWS: that last refusal; which answers the agent
retries (here 5xx and broken connections, not 4xx); how long it waits for the first good ping (here PING_SECONDS, or
three answers of 500); that a line keeps its newline.
"""

from __future__ import annotations

import http.client
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pseg.local_aws import sagemaker_data as data
from pseg.local_aws.cloudwatch_logs import LogStream
from pseg.local_aws.sagemaker_data import JobFailed, Source
from pseg.local_aws.sagemaker_jobs import SEE_LOGS, Host, Job, Jobs, JobStopped
from pseg.local_aws.sagemaker_records import Record, SageMaker, invalid, now, page
from pseg.local_aws.wire import Call

MEGABYTE = 1024 * 1024
PING_SECONDS = 480.0
CONTAINER = "resolved container"  # member of our records that no answer shows
SERVING = Path(__file__).with_name("sagemaker_serving.py")


class ObjectFailed(Exception):
    """One input object without an output; the text says why."""


def install(sagemaker: SageMaker, jobs: Jobs) -> None:
    """Register models and transform jobs."""
    models = sagemaker.records("model")

    def find_model(call: Call, name: str) -> Record:
        record = models.find(call, name)
        if record is None:
            raise invalid(f'Could not find model "{models.arn(call, name)}".')
        return record

    @sagemaker.operation("CreateModel")
    def create_model(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        name = parameters["ModelName"]
        arn = models.arn(call, name)
        if models.find(call, name):
            raise invalid(f'Cannot create already existing model "{arn}".')
        if not parameters.get("ExecutionRoleArn") or not parameters.get("PrimaryContainer"):
            raise invalid("CreateModel needs ExecutionRoleArn and PrimaryContainer")
        role = sagemaker.assume(call, parameters["ExecutionRoleArn"])
        container = container_of(sagemaker, call, parameters["PrimaryContainer"])
        bucket, key = data.split_uri(container["ModelDataUrl"])
        try:
            sagemaker.aws.client("s3", role, call.region).head_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise invalid(f"Could not find model data at {container['ModelDataUrl']}.") from error
        models.of(call)[name] = {**parameters, "ModelArn": arn, "CreationTime": now(), CONTAINER: container}
        sagemaker.tag(arn, parameters.get("Tags"))
        return {"ModelArn": arn}

    @sagemaker.operation("DescribeModel")
    def describe_model(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return find_model(call, parameters["ModelName"])

    @sagemaker.operation("ListModels")
    def list_models(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        found, more = page(list(models.of(call).values()), parameters, name="ModelName")
        return {"Models": found, **more}

    @sagemaker.operation("DeleteModel")
    def delete_model(call: Call, parameters: dict[str, Any]) -> None:
        find_model(call, parameters["ModelName"])
        del models.of(call)[parameters["ModelName"]]

    def prepare(call: Call, parameters: dict[str, Any]) -> str:
        model = find_model(call, parameters["ModelName"])
        concurrent, payload = parameters.get("MaxConcurrentTransforms") or 1, parameters.get("MaxPayloadInMB", 6)
        if payload > 100 or concurrent * payload > 100:
            raise invalid(
                f"MaxConcurrentTransforms ({concurrent}) times MaxPayloadInMB ({payload}) must not be more than 100"
            )
        parameters[CONTAINER] = {**model[CONTAINER], "Isolated": model.get("EnableNetworkIsolation")}
        return str(model["ExecutionRoleArn"])

    jobs.provide("Transform", "Descending", prepare, lambda job: run_transform(jobs, job, job.record[CONTAINER]))


def container_of(sagemaker: SageMaker, call: Call, container: dict[str, Any]) -> dict[str, Any]:
    """Container of a model: as given, or that of its model package with the given environment on top.

    Raises
    ------
    AwsError
        ``ValidationException`` if the package does not exist or is not approved, or the model data is not named.
    """
    if package := container.get("ModelPackageName"):
        if container.get("Image") or container.get("ModelDataUrl"):
            raise invalid("A container with ModelPackageName has no Image or ModelDataUrl of its own")
        described = sagemaker.call(call, "DescribeModelPackage", {"ModelPackageName": package})
        if described.get("ModelApprovalStatus", "Approved") != "Approved":
            raise invalid(
                f"Model package {described['ModelPackageArn']} is not approved: {described['ModelApprovalStatus']}"
            )
        (packaged,) = described["InferenceSpecification"]["Containers"]
        container = {**packaged, "Environment": {**packaged.get("Environment", {}), **container.get("Environment", {})}}
    if not container.get("ModelDataUrl") or not container.get("Image"):
        raise invalid(
            "the embedded AWS needs Image and ModelDataUrl of the primary container (or a model package with both)"
        )
    return container


def run_transform(jobs: Jobs, job: Job, container: dict[str, Any]) -> None:
    """Start a server per instance, send every object through, upload what came out."""
    request, s3 = job.record, jobs.s3(job)
    hosts = job.hosts(request["TransformResources"]["InstanceCount"])
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    found = data.sources(s3, source["S3Uri"], source["S3DataType"])
    archive = [Source(*data.split_uri(container["ModelDataUrl"]), "model.tar.gz", 0)]
    variables = {"OMP_NUM_THREADS": "1", **container.get("Environment", {}), **(request.get("Environment") or {})}
    failed: dict[Source, str] = {}
    results = job.folder / "out"
    try:
        for host in hosts:
            data.download(s3, archive, host.ml.parent, {})
            data.unpack(host.ml.parent / "model.tar.gz", host.ml / "model", container["ModelDataUrl"])
            environment = jobs.environment(
                host, {**variables, "SAGEMAKER_BATCH": "true"}, network=not container["Isolated"]
            )
            jobs.start(host, ["python3", str(SERVING), str(host.ml)], environment)
        agents = []
        for host in hosts:
            stream = jobs.stream(job, host.name)
            agents.append(Agent(s3, job, await_ping(job, host, stream), stream, host.ml.parent / "tmp"))
        with ExitStack() as stack:
            pending: dict[Future[str], Source] = {}
            for index, agent in enumerate(agents):
                pool = stack.enter_context(ThreadPoolExecutor(agent.concurrent))
                for item in data.shard(found, "ShardedByS3Key", index, len(agents)):
                    pending[pool.submit(agent.transform, item, results / f"{item.relative}.out")] = item
            while wait(pending, 0.05).not_done:
                if job.stop.is_set():
                    jobs.end_hosts(hosts)  # breaks the requests under way
        if job.stop.is_set():
            raise JobStopped
        failed = {item: future.result() for future, item in pending.items() if future.result()}
    finally:
        jobs.end_hosts(hosts)
    data.upload_folder(s3, results, request["TransformOutput"]["S3OutputPath"])
    if failed:
        first, why = next(iter(failed.items()))
        raise JobFailed(f"AlgorithmError: {len(failed)} of {len(found)} objects failed. {first.uri}: {why}. {SEE_LOGS}")


def await_ping(job: Job, host: Host, stream: LogStream) -> int:
    """Wait until the server is ready; its port.

    Raises
    ------
    JobFailed
        If it ends, answers 500 to three pings, or is not ready within PING_SECONDS.
    """
    deadline, faults = time.monotonic() + PING_SECONDS, 0
    while time.monotonic() < deadline and faults < 3:
        if job.stop.wait(0.05):
            raise JobStopped
        if host.process is not None and host.process.poll() is not None:
            if host.reader:
                host.reader.join(5)
            lines = [event["message"] for event in stream.events()]
            last = lines[-1] if lines else "no output"
            raise JobFailed(
                f"AlgorithmError: the model server ended with {host.process.returncode} before the first ping: {last}"
            )
        try:
            port = int((host.ml / "port").read_text())
            status, _ = exchange(port, "GET", "/ping", timeout=PING_SECONDS)
        except (OSError, http.client.HTTPException):
            continue
        if status == 200:
            return port
        faults += 1
    raise JobFailed(f"AlgorithmError: Model server did not respond to /ping health check with 200. {SEE_LOGS}")


def exchange(
    port: int, method: str, path: str, body: bytes = b"", *, timeout: float, **headers: str
) -> tuple[int, bytes]:
    """One HTTP request to a model server."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Agent:
    """The batch agent of one instance: splits objects into payloads, sends them, assembles the answers."""

    def __init__(self, s3: Any, job: Job, port: int, log: LogStream, scratch: Path) -> None:
        request = job.record
        self.s3, self.job, self.port, self.log, self.scratch = s3, job, port, log, scratch
        self.by_line = request["TransformInput"].get("SplitType") == "Line"
        self.single = request.get("BatchStrategy") == "SingleRecord"
        self.separator = b"\n" if request["TransformOutput"].get("AssembleWith") == "Line" else b""
        self.megabytes = request.get("MaxPayloadInMB", 6)
        self.limit = self.megabytes * MEGABYTE or float("inf")
        self.concurrent = request.get("MaxConcurrentTransforms") or 1
        client = request.get("ModelClientConfig") or {}
        self.timeout = client.get("InvocationsTimeoutInSeconds") or 600
        self.retries = client.get("InvocationsMaxRetries", 3)
        self.content_type = request["TransformInput"].get("ContentType", "")
        self.accept = request["TransformOutput"].get("Accept", "")
        strategy = "SINGLE_RECORD" if self.single else "MULTI_RECORD"
        self.say(
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.megabytes}, BatchStrategy={strategy}"
        )

    def transform(self, source: Source, target: Path) -> str:
        """Transform one object; why it failed, or an empty text."""
        try:
            self.transform_object(source, target)
        except ObjectFailed as error:
            return str(error)
        return ""

    def transform_object(self, source: Source, target: Path) -> None:
        """Write the output of one object; nothing is left of it if any of its requests fails."""
        if self.job.stop.is_set():
            raise ObjectFailed("the job was stopped")
        if not target.resolve().is_relative_to(self.job.folder.resolve()):
            raise ObjectFailed("its key leaves the output folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as handle:
                for payload in self.payloads(source):
                    handle.write(self.invoke(source, payload) + self.separator)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def payloads(self, source: Source) -> Iterator[bytes]:
        """Bodies of the requests for one object."""
        if not self.by_line and source.size > self.limit:
            raise self.too_large(source, source.size)
        copy = self.scratch / uuid.uuid4().hex
        try:
            self.s3.download_file(source.bucket, source.key, str(copy))
            with copy.open("rb") as handle:
                yield from self.batches(source, handle) if self.by_line else [handle.read()]
        except (ClientError, BotoCoreError) as error:
            raise ObjectFailed(f"ClientError: {error}") from error
        finally:
            copy.unlink(missing_ok=True)

    def batches(self, source: Source, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Group lines (split at newline bytes, kept) into payloads: one each, or as many as fit."""
        batch: list[bytes] = []
        size = 0
        for line in lines:
            if len(line) > self.limit:
                raise self.too_large(source, len(line))
            if batch and (self.single or size + len(line) > self.limit):
                yield b"".join(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
        if batch:
            yield b"".join(batch)

    def too_large(self, source: Source, size: int) -> ObjectFailed:
        """Error for a payload over the limit."""
        self.say(f"{source.bucket}/{source.key}: ClientError: 413")
        return ObjectFailed(
            f"ClientError: a payload of {size} bytes is more than MaxPayloadInMB={self.megabytes} allows"
        )

    def invoke(self, source: Source, payload: bytes) -> bytes:
        """Send one payload; again after a fault of the server, as often as InvocationsMaxRetries allows."""
        why = ""
        for _ in range(self.retries + 1):
            if self.job.stop.is_set():
                raise ObjectFailed("the job was stopped")
            try:
                status, body = exchange(
                    self.port,
                    "POST",
                    "/invocations",
                    payload,
                    timeout=self.timeout,
                    Content_Type=self.content_type,
                    Accept=self.accept,
                )
            except TimeoutError:
                why = f"no answer within InvocationsTimeoutInSeconds={self.timeout}"
                self.say(f"{source.bucket}/{source.key}: {why}")
                continue
            except (OSError, http.client.HTTPException) as error:
                why = f"Unable to get response from algorithm ({type(error).__name__})"
                self.say(f"{source.bucket}/{source.key}: {why}")
                continue
            if 200 <= status < 300:
                return body
            why = f"Bad HTTP status received from algorithm: {status}"
            self.say(f"{source.bucket}/{source.key}: {why}")
            for line in ["Message:", *body.decode(errors="replace")[:4096].splitlines()]:
                self.say(f"{source.bucket}/{source.key}: {line}")
            if status < 500:
                break
        raise ObjectFailed(why)

    def say(self, text: str) -> None:
        """Write a line as the batch agent does."""
        self.log.write(f"[sagemaker logs]: {text}")
