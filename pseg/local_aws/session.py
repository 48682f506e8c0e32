"""One session of the embedded AWS: its address, its accounts and the keys that every request must carry.

The session file is the only thing that outlives a command; it is readable by its owner alone and goes with ``down``.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

BRAND_ACCOUNT = "111111111111"
PARTNER_ACCOUNT = "222222222222"
REGION = "us-east-1"


@dataclass(frozen=True)
class Credential:
    """One access key: who it speaks for. ``role_arn`` is empty for an account's own (root) key."""

    access_key_id: str
    secret_access_key: str
    account: str
    role_arn: str = ""
    session_token: str = ""


def new_credential(account: str, role_arn: str = "") -> Credential:
    """Make a random key pair; temporary keys (of a role) start with ``ASIA`` and carry a session token, as in AWS."""
    prefix = "ASIA" if role_arn else "AKIA"
    return Credential(
        access_key_id=prefix + secrets.token_hex(8).upper(),
        secret_access_key=secrets.token_urlsafe(30),
        account=account,
        role_arn=role_arn,
        session_token=secrets.token_urlsafe(48) if role_arn else "",
    )


@dataclass(frozen=True)
class SessionFile:
    """What a client needs to reach a running embedded AWS."""

    endpoint: str
    pid: int
    brand: Credential
    partner: Credential
    region: str = REGION

    def exports(self, party: str = "brand") -> dict[str, str]:
        """Environment variables that point any AWS client at the embedded AWS, as ``brand`` or as ``partner``."""
        key = self.partner if party == "partner" else self.brand
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SAGEMAKER_VALIDATE_ROLE": "false",
        }

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            json.dump(asdict(self), handle)
        temporary.replace(path)


def state_dir() -> Path:
    """Folder of the session file: ``$PSEG_STATE_DIR``, else the user's state folder."""
    if chosen := os.environ.get("PSEG_STATE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pseg"


def session_path() -> Path:
    """Where the running session is written down."""
    return state_dir() / "session.json"


def lock_path() -> Path:
    """Return the file that a running embedded AWS holds a lock on."""
    return state_dir() / "lock"


def is_running() -> bool:
    """Tell if an embedded AWS holds the lock."""
    try:
        with lock_path().open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def read_session() -> SessionFile | None:
    """Read the session of the embedded AWS that is up; None if none is."""
    if not is_running():
        return None
    try:
        document = json.loads(session_path().read_text())
    except FileNotFoundError:
        return None
    document["brand"] = Credential(**document["brand"])
    document["partner"] = Credential(**document["partner"])
    return SessionFile(**document)


@dataclass
class Keyring:
    """The keys that this session knows: one of each account, and those it gave out for assumed roles."""

    by_id: dict[str, Credential] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, account: str, role_arn: str = "") -> Credential:
        """Make a key and remember it."""
        credential = new_credential(account, role_arn)
        with self.lock:
            self.by_id[credential.access_key_id] = credential
        return credential

    def find(self, access_key_id: str) -> Credential | None:
        """Return the key of this id, None if this session did not issue it."""
        return self.by_id.get(access_key_id)
