"""The model server of one batch transform instance: what the XGBoost image does in script mode, without the image.

Run by its path as a process of its own, with the job's environment; it imports nothing of this project. It behaves as
the image's own code was seen to behave: code/ of the model is copied to /opt/ml/code and imported as a dotted module;
one process per worker, each loading the model on its first ping or request; an exception is a generic 500 and its text
goes to the log only; a request over SAGEMAKER_MODEL_SERVER_TIMEOUT ends its worker. Refused, before the first
ping: SAGEMAKER_SUBMIT_DIRECTORY elsewhere, a build that would need a package index (PIP_NO_BUILD_ISOLATION not 0 or
false, or a requirements.txt), a handler without model_fn and transform_fn.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from werkzeug.wrappers import Response

logger = logging.getLogger("serving")
TEXT_TYPES = ("text/", "application/json")
FAULT_PAGE = "<!doctype html><title>500 Internal Server Error</title><h1>Internal Server Error</h1>"


def prepare_code(ml_dir: Path) -> Path:
    """Put the model's code where the image puts it, and refuse what the image could not install offline.

    Raises
    ------
    SystemExit
        With the reason, as the image's ``serve`` exits with 1.
    """
    if os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY") != str(ml_dir / "model" / "code"):
        sys.exit("SAGEMAKER_SUBMIT_DIRECTORY must be /opt/ml/model/code: the embedded AWS runs script mode only")
    if not os.environ.get("SAGEMAKER_PROGRAM"):
        sys.exit("SAGEMAKER_PROGRAM is not set")
    if os.environ.get("PIP_NO_BUILD_ISOLATION", "").lower() not in ("0", "false"):
        sys.exit("pip install . failed: without PIP_NO_BUILD_ISOLATION=0 it fetches setuptools from a package index")
    source, target = ml_dir / "model" / "code", ml_dir / "code"
    if not source.is_dir():
        sys.exit("the model archive has no code/ folder")
    if (source / "requirements.txt").exists():
        sys.exit("pip install -r requirements.txt failed: there is no package index")
    shutil.copytree(source, target)
    return target


def load_handler(code: Path) -> ModuleType:
    """Import SAGEMAKER_PROGRAM from the code folder. Only a trailing ``.py`` is cut off, so a path is no module."""
    os.chdir(code)
    sys.path.insert(0, str(code))
    module = importlib.import_module(os.environ["SAGEMAKER_PROGRAM"].removesuffix(".py"))
    missing = [name for name in ("model_fn", "transform_fn") if not hasattr(module, name)]
    if missing:
        raise AttributeError(f"{module.__name__} has no {' and no '.join(missing)}")
    return module


def answer(module: ModuleType, model: Any, body: bytes, content_type: str, accept: str) -> Response:
    """Call transform_fn and make its result a response."""
    text = content_type.startswith(TEXT_TYPES)
    result = module.transform_fn(model, body.decode() if text else body, content_type, accept)
    if isinstance(result, Response):
        return result
    if isinstance(result, tuple) and len(result) == 2:
        return Response(result[0], mimetype=result[1])
    if isinstance(result, str | bytes):
        return Response(result, mimetype="text/html")
    raise TypeError(f"transform_fn returned {type(result).__name__}, not (data, content type)")


def make_request_handler(module: ModuleType, model_dir: Path, timeout_seconds: int) -> type[BaseHTTPRequestHandler]:
    """Make the class that answers /ping and /invocations with one model."""
    loaded: list[Any] = []

    class RequestHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(self._guarded(b"", "ping") if self.path == "/ping" else Response("", 404))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._respond(self._guarded(body, "invocations") if self.path == "/invocations" else Response("", 404))

        def _guarded(self, body: bytes, what: str) -> Response:
            signal.alarm(timeout_seconds)
            try:
                if not loaded:
                    loaded.append(module.model_fn(str(model_dir)))
                if what == "ping":
                    return Response("", 200)
                accept = self.headers.get("Accept") or "*/*"
                if accept == "*/*":
                    accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json")
                return answer(module, loaded[0], body, self.headers.get("Content-Type") or "application/json", accept)
            except Exception:
                logger.exception("exception on /%s", what)
                return Response(FAULT_PAGE, 500, mimetype="text/html")
            finally:
                signal.alarm(0)

        def _respond(self, response: Response) -> None:
            data = response.get_data()
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers.get("Content-Type", "text/html"))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            logger.debug(format, *args)

    return RequestHandler


def work(listening: socket.socket, code: Path, ml_dir: Path) -> None:
    """Serve requests one at a time in this worker process; never returns."""
    try:
        module = load_handler(code)
    except Exception:
        logger.exception("cannot import %s", os.environ["SAGEMAKER_PROGRAM"])
        os._exit(3)
    # SIGALRM ends the worker: a request that takes longer is cut off, as the image's server does
    timeout = int(os.environ.get("SAGEMAKER_MODEL_SERVER_TIMEOUT", "60"))
    server = HTTPServer(
        ("127.0.0.1", 0), make_request_handler(module, ml_dir / "model", timeout), bind_and_activate=False
    )
    server.socket.close()
    server.socket = listening
    server.serve_forever()


def main(ml_dir: Path) -> int:
    """Start the workers and keep their number; 1 if the handler cannot be imported."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    code = prepare_code(ml_dir)
    count = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        (ml_dir / "port").with_suffix(".new").write_text(str(listening.getsockname()[1]))
        (ml_dir / "port").with_suffix(".new").rename(ml_dir / "port")
        workers: set[int] = set()
        while True:
            while len(workers) < count:
                child = os.fork()
                if child == 0:
                    work(listening, code, ml_dir)
                workers.add(child)
            ended, status = os.wait()
            workers.discard(ended)
            if os.waitstatus_to_exitcode(status) == 3:
                return 1
            logger.error("worker %d ended (%s); another is started", ended, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
