"""The session that a definition makes for itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from sagemaker.core.common_utils import resolve_value_from_config
from sagemaker.core.config.config_schema import TELEMETRY_OPT_OUT_PATH

from pipelines import quiet_session
from tests.embedded_aws import TwoAccounts


def test_session_of_our_own_sends_no_telemetry(accounts: TwoAccounts) -> None:
    session = quiet_session("code-bucket")
    assert resolve_value_from_config(config_path=TELEMETRY_OPT_OUT_PATH, sagemaker_session=session) is True
    assert session.default_bucket() == "code-bucket"


def test_configuration_of_the_sdk_stays(accounts: TwoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {Session: {DefaultS3ObjectKeyPrefix: x}}}}")
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(path))
    assert quiet_session("code-bucket").default_bucket_prefix == "x"
