"""Would AWS Clean Rooms allow this query? A pure checker of analysis rules: AGGREGATION, LIST and CUSTOM.

Comes in: SQL and what the AWS API says of the tables. Goes out: ``check(...)`` answers a ``Verdict``. It is an
allow-list over the syntax tree: what it does not know it refuses, and says so.
"""

from clean_rooms.analysis_rules.checker import check
from clean_rooms.analysis_rules.verdict import OutputConstraint, Place, Verdict, Violation

__all__ = ["OutputConstraint", "Place", "Verdict", "Violation", "check"]
