"""Doorway *query result*: what the partner knows about matched customers. Written by Clean Rooms, read by processing.

``customer_key``, the partner's columns that the project asks for, and ``attribute_date`` where the partner has one.
"""

from __future__ import annotations

from contracts.table import LARGEST, Column, TableContract

KEY = "customer_key"
DATE = "attribute_date"


def query_result_contract(partner_columns: tuple[str, ...]) -> TableContract:
    """Build the contract of one project's result: key, columns asked for, the date where the partner has one."""
    columns = [Column(KEY, "text")]
    columns += [Column(name, "value", may_be_null=True, below=LARGEST) for name in partner_columns if name != DATE]
    if DATE in partner_columns:
        columns.append(Column(DATE, "date"))
    return TableContract(
        name="query result",
        columns=tuple(columns),
        remedy="the result must hold what [query].columns in project.toml asks for; did the partner change a column?",
    )
