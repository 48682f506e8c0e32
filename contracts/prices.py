"""What AWS bills for, in US dollars: the one table of prices, dated, and the sizes that prices depend on.

Nothing here is asked of AWS: prices change, differ by region and by contract. Whoever knows better changes this table.
"""

from __future__ import annotations

from contracts.errors import SettingsError

CLEAN_ROOMS_DATE = "2026-08-13"  # aws.amazon.com/clean-rooms/pricing, as cited by api-evangelist/amazon-clean-rooms
CRPU_HOUR = 2.00  # SQL; differential privacy costs as much again
MINIMUM_SECONDS = 60  # of a query
CRPU_PER_WORKER = {"CR.1X": 2, "CR.4X": 8, "CR.8X": 16}  # 16 of CR.1X are 32; user guide, running SQL queries

SAGEMAKER_DATE = "2024-12"  # us-east-1, on demand; as quoted by public cost tools, not read at first hand
INSTANCE_HOUR = {  # processing, training and batch transform cost the same
    "ml.t3.medium": 0.05,
    "ml.t3.large": 0.10,
    "ml.t3.xlarge": 0.20,
    "ml.t3.2xlarge": 0.40,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.m5.12xlarge": 2.765,
    "ml.m5.24xlarge": 5.53,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.c5.9xlarge": 1.836,
}
STORAGE_GB_MONTH = 0.023  # S3 Standard, the first 50 TB
PUT_1000 = 0.005  # S3 Standard: PUT and LIST requests


def instance_hour(instance: str) -> float:
    """Return what an hour of an instance costs.

    Raises
    ------
    SettingsError
        If the table does not have it: a guess would be no estimate.
    """
    if instance not in INSTANCE_HOUR:
        raise SettingsError(
            f"there is no price of {instance}",
            where="contracts/prices.py",
            why=f"it has {', '.join(INSTANCE_HOUR)}",
            fix="add its price per hour there, or choose another instance in project.toml [aws]",
        )
    return INSTANCE_HOUR[instance]


def query_dollars(worker_type: str, workers: int, seconds: float, has_differential_privacy: bool = False) -> float:
    """Return what a protected query costs: workers by time, a minute at least, twice with differential privacy."""
    hours = max(float(MINIMUM_SECONDS), seconds) / 3600
    return CRPU_PER_WORKER[worker_type] * workers * hours * CRPU_HOUR * (2 if has_differential_privacy else 1)
