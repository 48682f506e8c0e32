-- two statements
-- verdict: several-statements
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id; SELECT 1

-- no statement
-- verdict: not-a-select
;

-- only a comment
-- verdict: not-a-select
/* SELECT 1 */

-- DROP
-- verdict: not-a-select
DROP TABLE people

-- INSERT
-- verdict: not-a-select
INSERT INTO people VALUES (1)

-- INSERT behind a CTE
-- verdict: not-a-select
WITH q AS (SELECT 1) INSERT INTO people SELECT * FROM q

-- CREATE TABLE AS
-- verdict: not-a-select
CREATE TABLE copy AS SELECT * FROM people

-- SET
-- verdict: not-a-select
SET spark.sql.ansi.enabled = false

-- DESCRIBE
-- verdict: not-a-select
DESCRIBE people

-- EXPLAIN
-- verdict: not-a-select
EXPLAIN SELECT DISTINCT age FROM people

-- USE
-- verdict: not-a-select
USE other

-- FROM first
-- verdict: not-a-select
FROM people SELECT age

-- nonsense
-- verdict: not-a-select
selec distinct x

-- half a query
-- verdict: sql-does-not-parse
SELECT DISTINCT (p.age FROM people p

-- an open text
-- verdict: sql-does-not-parse
SELECT DISTINCT 'x FROM people p

-- a table that is not associated
-- verdict: unknown-table
SELECT DISTINCT m.customer_key FROM match_keys m JOIN strangers s ON m.hashed_id = s.hashed_id

-- a table with a database
-- verdict: qualified-table
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN glue_db.people p ON m.hashed_id = p.hashed_id

-- a file
-- verdict: qualified-table
SELECT DISTINCT a FROM parquet.`/etc/passwd`

-- a file's name in backticks
-- verdict: unknown-table
SELECT DISTINCT a FROM `/etc/passwd`

-- a function that reads files
-- verdict: table-function ?unknown-function
SELECT DISTINCT a FROM read_parquet('/etc/passwd')

-- a function that makes rows
-- verdict: table-function ?unknown-function
SELECT DISTINCT id FROM range(10)

-- settings of an engine
-- verdict: table-function ?unknown-function
SELECT DISTINCT name FROM duckdb_settings()

-- the information schema
-- verdict: qualified-table
SELECT DISTINCT table_name FROM information_schema.tables

-- no table at all
-- verdict: no-table
SELECT DISTINCT 1

-- a sample
-- verdict: ?unknown-syntax ?unknown-syntax list-needs-join
SELECT DISTINCT age FROM people TABLESAMPLE (10 PERCENT)

-- time travel
-- verdict: ?sql-not-understood ?sql-not-understood ?unknown-syntax ?unknown-syntax list-needs-join
SELECT DISTINCT age FROM people VERSION AS OF 3

-- a script
-- verdict: ?unknown-syntax list-needs-distinct list-needs-join list-select-expression
SELECT TRANSFORM(age) USING 'cat' FROM people

-- a Java method
-- verdict: ?unknown-function list-function list-needs-join
SELECT DISTINCT java_method('java.lang.System', 'exit', 0) FROM people

-- reflection
-- verdict: ?unknown-function list-function list-needs-join
SELECT DISTINCT reflect('java.util.UUID', 'randomUUID') FROM people

-- QUALIFY
-- verdict: ?unknown-syntax ?unknown-syntax list-needs-join
SELECT DISTINCT age FROM people QUALIFY age = 1

-- FOR UPDATE
-- verdict: ?unknown-syntax ?unknown-syntax list-needs-join
SELECT DISTINCT age FROM people FOR UPDATE

-- a path into JSON by colon is a parameter in the wrong place
-- verdict: parameter-place list-needs-join
SELECT DISTINCT age:b FROM people

-- CACHE TABLE
-- verdict: ?cache-table
CACHE TABLE q AS SELECT age FROM people

-- a parameter without a template
-- verdict: parameter-unknown
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE p.age > :age

-- a variable of the shell
-- verdict: ?sql-not-understood ?sql-not-understood ?unknown-syntax list-needs-join list-select-expression
SELECT DISTINCT ${age} FROM people

-- a table without a rule
-- room: odd
-- verdict: no-rule
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN without_rule t ON m.hashed_id = t.hashed_id

-- a table that the service calls not ready
-- room: odd
-- verdict: table-not-ready
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN not_ready t ON m.hashed_id = t.hashed_id

-- a table for jobs
-- room: odd
-- verdict: no-direct-query
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN for_jobs t ON m.hashed_id = t.hashed_id

-- a table for jobs and queries
-- room: odd
-- verdict: allowed
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN both t ON m.hashed_id = t.hashed_id

-- a table whose rule requires a further analysis
-- room: odd
-- verdict: no-direct-result
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN for_models t ON m.hashed_id = t.hashed_id

-- a table without the collaboration's rule
-- room: odd
-- verdict: no-receivers
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN unshared t ON m.hashed_id = t.hashed_id

-- a table whose results nobody may receive
-- room: odd
-- verdict: no-receivers
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN for_nobody t ON m.hashed_id = t.hashed_id

-- a table whose results another account may receive
-- room: odd
-- verdict: receiver-not-allowed
SELECT DISTINCT m.customer_key, t.age FROM match_keys m JOIN for_others t ON m.hashed_id = t.hashed_id

-- an ID mapping table
-- room: odd
-- verdict: mixed-rule-types ?unknown-rule-type
SELECT DISTINCT m.customer_key FROM match_keys m JOIN mapping t ON m.hashed_id = t.hashed_id

-- tables under different rules
-- room: mixed
-- verdict: mixed-rule-types
SELECT DISTINCT m.customer_key, u.age FROM match_keys m JOIN users u ON m.hashed_id = u.user_id

-- a template under a LIST rule
-- template: yes
-- verdict: template-needs-custom
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
