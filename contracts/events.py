"""Doorway *events*: what customers did, one row per event. Written by the brand, read by processing."""

from contracts.table import Column, TableContract

EVENTS = TableContract(
    name="events",
    columns=(
        Column("customer_key", "text"),
        Column("event_type", "text"),
        Column("event_time", "time"),
        Column("amount", "number", is_required=False, may_be_null=True),
        Column("quantity", "number", is_required=False, may_be_null=True),
    ),
    remedy="events needs customer_key (text), event_type (text), event_time (timestamp, UTC), "
    "and may have amount (number, money) and quantity (number)",
)
