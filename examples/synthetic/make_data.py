"""Make customers whose true propensity is known; the same size, rate and seed always give the same customers.

Each column is drawn first, then the true log-odds are computed from what can be seen of it, and the label is drawn with
that probability. The truth is neither a line nor a tree: counts count by their logarithm, age has its best years,
customers come back around their anniversary, discounts work on recent buyers, messages on those who use the app.
Missing values, rare regions and columns without any meaning are among them. What the partner knows does not depend on
what the brand knows, so the best possible score without the partner's data is known as well.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"
PARTNER_KNOWS = 0.65
REFERENCE_SIZE = 50_000  # customers of whom intercepts and means over the partner's data are taken
REGIONS = tuple(f"r{number:02d}" for number in range(1, 31))
REGION_SHARES = 1 / np.arange(1, len(REGIONS) + 1) ** 1.3
REGION_EFFECTS = dict(zip(REGIONS, np.random.default_rng(30).normal(0, 0.4, len(REGIONS)), strict=True))
CHANNELS = {"web": 0.45, "app": 0.30, "store": 0.20, "phone": 0.05}
LIFESTYLES = {"families": 0.30, "retired": 0.25, "singles": 0.20, "students": 0.15, "collectors": 0.08, "nomads": 0.02}
LIFESTYLE_EFFECTS = {"collectors": 0.9, "students": -0.5}


@dataclass(frozen=True)
class Customers:
    """Customers with what brand and partner know of them, the true propensities, and what they did.

    ``own_propensity`` is the probability given the brand's columns alone: no score without the partner's data ranks
    better than it.
    """

    own: dict[str, Array]
    partner: dict[str, Array]
    propensity: Floats
    own_propensity: Floats
    label: npt.NDArray[np.int8]


def draw_customers(size: int, rate: float, partner_informs: bool, seed: int) -> Customers:
    """Draw customers.

    Parameters
    ----------
    rate : float
        Share of positives over all possible customers, in (0, 1).
    partner_informs : bool
        If not, the partner's columns look the same and mean nothing. The brand's columns are the same in both cases.
    """
    own_rng, partner_rng, label_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    own, partner = draw_own(size, own_rng), draw_partner(size, partner_rng)
    own_log_odds = effect_of_own(own) + intercept(rate, partner_informs)
    log_odds = own_log_odds + effect_of_partner(partner, partner_informs)
    propensity = logistic(log_odds)
    label = (label_rng.random(size) < propensity).astype(np.int8)
    return Customers(own, partner, propensity, mean_over_partner(own_log_odds, partner_informs), label)


def draw_own(size: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw the brand's columns; NaN is missing. How active a customer is moves several of them and is no column."""
    activity = rng.normal(size=size)
    orders = rng.poisson(np.exp(0.5 + 0.8 * activity + 0.3 * rng.normal(size=size))).astype(float)
    return {
        "age": missing(rng, 0.05, np.clip(np.round(rng.normal(45, 16, size)), 18, 95)),
        "recency_days": np.minimum(np.floor(rng.exponential(60, size) * np.exp(-0.5 * activity)), 730.0),
        "tenure_days": np.floor(rng.uniform(30, 760, size)),
        "orders": orders,
        "spend": np.round(orders * np.exp(rng.normal(3.3, 0.6, size)), 2),
        "discount_share": np.where(orders > 0, np.round(rng.beta(1.2, 2.5, size), 2), np.nan),
        "messages_opened": missing(rng, 0.15, rng.poisson(np.exp(0.4 + 0.5 * activity)).astype(float)),
        "satisfaction": missing(rng, 0.60, rng.integers(1, 6, size).astype(float)),
        "channel": rng.choice(list(CHANNELS), size, p=list(CHANNELS.values())),
        "region": rng.choice(REGIONS, size, p=REGION_SHARES / REGION_SHARES.sum()),
        "shoe_size": np.round(rng.normal(41, 3, size)),
        "page_views": np.floor(rng.lognormal(2, 1.2, size)),
        "last_basket": missing(rng, 0.25, np.round(rng.lognormal(3, 0.8, size), 2)),
        "favourite_colour": rng.choice(["blue", "green", "red", "white", "black"], size),
    }


def draw_partner(size: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw the partner's columns; those of customers whom the partner does not know are missing (NaN, None)."""
    is_known = rng.random(size) < PARTNER_KNOWS
    lifestyle = rng.choice(list(LIFESTYLES), size, p=list(LIFESTYLES.values())).astype(object)
    return {
        "affinity": np.where(is_known, np.round(rng.normal(size=size), 3), np.nan),
        "income": np.where(is_known, missing(rng, 0.10, np.round(rng.lognormal(10.4, 0.5, size))), np.nan),
        "household": np.where(is_known, rng.integers(1, 7, size), np.nan),
        "lifestyle": np.where(is_known, lifestyle, None),
    }


def effect_of_own(own: dict[str, Array]) -> Floats:
    """Return the part of the true log-odds that comes from the brand's columns."""
    orders, recency = np.log1p(own["orders"]), own["recency_days"]
    age = np.nan_to_num(np.minimum(((own["age"] - 42) / 16) ** 2, 4.0), nan=1.5)
    opened = np.nan_to_num(np.log1p(own["messages_opened"]) - 0.9, nan=-0.4)
    discount = np.nan_to_num(own["discount_share"], nan=0.0) > 0.45
    return np.asarray(
        0.7 * orders
        - 1.2 * np.tanh(recency / 70)
        - 0.4 * age
        + 0.25 * np.cos(2 * np.pi * own["tenure_days"] / 365)
        + np.where(own["channel"] == "app", 0.8, 0.15) * opened
        + np.where(discount, np.where(recency < 45, 0.7, -0.3), 0.0)
        + 0.25 * np.nan_to_num(own["satisfaction"] - 3, nan=-0.4)
        + np.array([REGION_EFFECTS[region] for region in REGIONS])[np.searchsorted(REGIONS, own["region"])],
        dtype=float,
    )


def effect_of_partner(partner: dict[str, Array], partner_informs: bool) -> Floats:
    """Return the part of the true log-odds that comes from the partner's columns, 0 for those it does not know."""
    affinity = partner["affinity"]
    if not partner_informs:
        return np.zeros(len(affinity))
    rich = np.nan_to_num(partner["income"], nan=0.0) > 40_000
    lifestyle = sum(effect * (partner["lifestyle"] == name) for name, effect in LIFESTYLE_EFFECTS.items())
    return np.asarray(np.nan_to_num(np.where(rich, 0.7, 0.4) * affinity, nan=0.0) + lifestyle, dtype=float)


@cache
def reference_effects(partner_informs: bool) -> tuple[Floats, Floats]:
    """Return the effects of both parties' columns over many customers."""
    own = effect_of_own(draw_own(REFERENCE_SIZE, np.random.default_rng(1)))
    return own, effect_of_partner(draw_partner(REFERENCE_SIZE, np.random.default_rng(2)), partner_informs)


@cache
def intercept(rate: float, partner_informs: bool) -> float:
    """Find, by halving, the constant in the log-odds at which that share of customers is positive."""
    effects = np.add(*reference_effects(partner_informs))
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if logistic(effects + middle).mean() < rate else (low, middle)
    return low


@cache
def partner_means(partner_informs: bool) -> tuple[Floats, Floats]:
    """Return a grid of the brand's log-odds, and at each the probability in the mean over what the partner may know."""
    grid = np.linspace(-16, 16, 321)
    _, effects = reference_effects(partner_informs)
    return grid, np.array([logistic(effects + value).mean() for value in grid])


def mean_over_partner(own_log_odds: Floats, partner_informs: bool) -> Floats:
    """Return the probability given the brand's columns alone."""
    return np.interp(own_log_odds, *partner_means(partner_informs))


def missing(rng: np.random.Generator, share: float, values: Array) -> Floats:
    """Make a share of the values missing."""
    return np.where(rng.random(len(values)) < share, np.nan, values)


def logistic(log_odds: Floats) -> Floats:
    """Turn log-odds into probabilities."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def write_tables(customers: Customers, folder: Path) -> None:
    """Write the brand's table, with the true propensity beside it, and the partner's."""
    keys = pd.Series([f"c{number:07d}" for number in range(len(customers.label))])
    hashed = keys.map(lambda key: hashlib.sha256(f"{key}@example.com".encode()).hexdigest())
    brand = pd.DataFrame({"customer_key": keys, "hashed_id": hashed, **customers.own})
    brand = brand.assign(true_propensity=customers.propensity, buys=customers.label)
    partner = pd.DataFrame({"hashed_id": hashed, **customers.partner}).dropna(subset=["affinity"])
    folder.mkdir(exist_ok=True)
    brand.to_parquet(folder / "customers.parquet", index=False, compression="zstd")
    partner.sort_values("hashed_id").to_parquet(folder / "partner.parquet", index=False, compression="zstd")


def main() -> None:
    """Write the tables of as many customers as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=30_000)
    parser.add_argument("--rate", type=float, default=0.10, help="share of positives")
    parser.add_argument("--useless-partner", action="store_true", help="the partner's columns mean nothing")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_tables(
        draw_customers(arguments.customers, arguments.rate, not arguments.useless_partner, arguments.seed), DATA
    )


if __name__ == "__main__":
    main()
