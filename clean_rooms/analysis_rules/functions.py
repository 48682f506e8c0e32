"""The functions of Clean Rooms' Spark SQL by the name written, and what the rules ask about them.

Sources: AWS Clean Rooms SQL Reference, "Spark SQL functions" (its pages by kind); User Guide, "SQL capabilities for
minimum aggregation and comparison controls". A function that is not listed is not known to the checker.
"""

from __future__ import annotations

from sqlglot import exp

from clean_rooms.analysis_rules.dialect import NAME

AGGREGATES = frozenset(
    "ANY_VALUE APPROX_COUNT_DISTINCT APPROX_PERCENTILE AVG BOOL_AND BOOL_OR COLLECT_LIST COLLECT_SET COUNT"
    " HLL_SKETCH_AGG HLL_UNION_AGG LISTAGG MAX MEAN MEDIAN MIN PERCENTILE PERCENTILE_APPROX PERCENTILE_CONT"
    " PERCENTILE_DISC SKEWNESS STDDEV STDDEV_POP STDDEV_SAMP SUM VAR_POP VAR_SAMP VARIANCE".split()
)
WINDOWS = frozenset(
    "CUME_DIST DENSE_RANK FIRST FIRST_VALUE LAG LAST LAST_VALUE LEAD NTH_VALUE NTILE PERCENT_RANK RANK"
    " ROW_NUMBER".split()
)
ARRAYS = frozenset(
    "ARRAY ARRAY_CONTAINS ARRAY_DISTINCT ARRAY_EXCEPT ARRAY_INTERSECT ARRAY_JOIN ARRAY_REMOVE ARRAY_UNION CARDINALITY"
    " EXPLODE FLATTEN SIZE".split()
)
SCALARS = frozenset(
    # conditions, constructors, formats
    "COALESCE GREATEST IF IFNULL LEAST NULLIF NVL NVL2 MAP NAMED_STRUCT STRUCT BASE64 BIGINT CAST CONVERT DECODE ENCODE"
    " HEX STR_TO_MAP TO_CHAR TO_DATE TO_NUMBER TO_TIMESTAMP TRY_CAST UNBASE64 UNHEX"
    # dates and times
    " ADD_MONTHS CONVERT_TIMEZONE CURRENT_DATE CURRENT_TIMESTAMP DATEADD DATEDIFF DATE_ADD DATE_DIFF DATE_PART DATE_SUB"
    " DATE_TRUNC DAY DAYOFMONTH DAYOFWEEK DAYOFYEAR EXTRACT FROM_UTC_TIMESTAMP GETDATE HOUR LAST_DAY MINUTE MONTH"
    " MONTHS_BETWEEN NOW QUARTER SECOND TO_UTC_TIMESTAMP TRUNC UNIX_TIMESTAMP WEEKOFYEAR YEAR"
    # encryption, hashes, sketches, JSON
    " AES_DECRYPT AES_ENCRYPT MD5 SHA SHA1 SHA2 XXHASH64 HLL_SKETCH_ESTIMATE HLL_UNION GET_JSON_OBJECT TO_JSON"
    # numbers
    " ABS ACOS ASIN ATAN ATAN2 CBRT CEIL CEILING COS COT DEGREES DIV EXP FLOOR LN LOG LOG10 LOG2 MOD PI POW POWER"
    " RADIANS ROUND SIGN SIN SQRT TAN TRUNCATE"
    # texts
    " BTRIM CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS CONTAINS ENDSWITH INITCAP INSTR LEFT LEN LENGTH LOWER LPAD"
    " LTRIM POSITION REGEXP REGEXP_COUNT REGEXP_EXTRACT REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR REPEAT"
    " REPLACE REVERSE RIGHT RLIKE RPAD RTRIM SPLIT SPLIT_PART STARTSWITH SUBSTR SUBSTRING TRANSLATE TRIM UPPER".split()
)
KNOWN = AGGREGATES | WINDOWS | ARRAYS | SCALARS

# Functions whose answer is, or hides, a comparison of their arguments.
COMPARING = frozenset(
    "ARRAY_CONTAINS ARRAY_EXCEPT ARRAY_INTERSECT ARRAY_REMOVE CONTAINS DECODE ENDSWITH GREATEST INSTR LEAST NULLIF"
    " POSITION REGEXP REGEXP_COUNT REGEXP_EXTRACT REGEXP_INSTR REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR REPLACE RLIKE"
    " SPLIT SPLIT_PART STARTSWITH TRANSLATE".split()
)
# User Guide, "SQL capabilities for minimum aggregation and comparison controls": not supported.
NOT_UNDER_CONTROLS = frozenset(
    "ACOS ADD_MONTHS AES_DECRYPT AES_ENCRYPT ANY_VALUE ARRAY_EXCEPT ASIN ATAN ATAN2 BOOL_AND BOOL_OR CBRT COS COT"
    " CUME_DIST DATE_ADD DAYOFYEAR FIRST FIRST_VALUE HLL_SKETCH_AGG HLL_SKETCH_ESTIMATE HLL_UNION HLL_UNION_AGG LAST"
    " LAST_VALUE NTH_VALUE NTILE PERCENT_RANK PI REGEXP_COUNT REGEXP_INSTR REVERSE SIN SPLIT_PART TAN TO_CHAR TO_NUMBER"
    " TRANSLATE TRUNCATE".split()
)
# User Guide, "Minimum aggregation thresholds": in the final SELECT these stand only next to AVG, COUNT or SUM.
NEEDS_COMPANY = frozenset(
    "APPROX_PERCENTILE COLLECT_LIST COLLECT_SET LAG LEAD MAX MEDIAN MIN PERCENTILE PERCENTILE_APPROX PERCENTILE_CONT"
    " PERCENTILE_DISC".split()
)
COMPANY = frozenset({"AVG", "COUNT", "SUM"})

UNNAMED: dict[type[exp.Expr], str] = {  # the parser keeps no name for these
    exp.ApproxQuantile: "APPROX_PERCENTILE",
    exp.Cast: "CAST",
    exp.Ceil: "CEIL",
    exp.CurrentDate: "CURRENT_DATE",
    exp.CurrentTimestamp: "CURRENT_TIMESTAMP",
    exp.Decode: "DECODE",
    exp.DecodeCase: "DECODE",
    exp.Extract: "EXTRACT",
    exp.Floor: "FLOOR",
    exp.GroupConcat: "LISTAGG",
    exp.If: "IF",
    exp.Initcap: "INITCAP",
    exp.Quantile: "PERCENTILE",
    exp.RegexpLike: "RLIKE",
    exp.StrPosition: "POSITION",
    exp.Substring: "SUBSTRING",
    exp.Trim: "TRIM",
    exp.TryCast: "TRY_CAST",
}
INVISIBLE = (exp.TsOrDsToDate, exp.TsOrDsToTimestamp)  # the parser wraps arguments in these: nobody wrote them
NOT_CALLS = (exp.Case, exp.And, exp.Or, exp.Xor, exp.Exists, exp.Connector)


def function_name(node: exp.Expr) -> str | None:
    """Name of the function as it was written, upper case; None if the node is no call."""
    if isinstance(node, NOT_CALLS) or not isinstance(node, exp.Func) or isinstance(node, INVISIBLE):
        return None
    if isinstance(node, exp.If) and isinstance(node.parent, exp.Case):
        return None
    if name := node.meta.get(NAME):
        return str(name).upper()
    if isinstance(node, exp.Anonymous):
        return node.name.upper()
    if isinstance(node, exp.Array) and isinstance(node.parent, exp.VarMap | exp.Map):
        return None
    return UNNAMED.get(type(node), type(node).__name__.upper())
