"""Doorway *events*: what customers did, one row per event. Written by the brand, read by processing."""

from contracts.table import Column, TableContract

LIMIT = 1e12  # amounts and quantities are summed exactly, as decimals of 18 digits with six after the point

EVENTS = TableContract(
    name="events",
    columns=(
        Column("customer_key", "text"),
        Column("event_type", "text"),
        Column("event_time", "time"),
        Column("amount", "number", is_required=False, may_be_null=True, below=LIMIT),
        Column("quantity", "number", is_required=False, may_be_null=True, below=LIMIT),
    ),
    remedy="events needs customer_key (text), event_type (text), event_time (timestamp, UTC), "
    "and may have amount (number, money) and quantity (number)",
)
