"""Doorway *match keys*: the brand's only table in the collaboration. Written by processing, read by Clean Rooms.

One row per hashed identifier; a customer may have several. Nothing else of the brand's enters the collaboration.
"""

import pyarrow as pa

from contracts.table import Column, TableContract

SCHEMA = pa.schema([("hashed_id", pa.string()), ("customer_key", pa.string())])

MATCH_KEYS = TableContract(
    name="match_keys",
    columns=(Column("hashed_id", "text"), Column("customer_key", "text")),
    remedy="match keys are written by the query step from contacts; check may_match and the addresses there",
)
