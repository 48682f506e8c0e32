-- a column that is not disallowed
-- verdict: allowed
SELECT gender FROM users

-- a disallowed column
-- verdict: custom-disallowed-output
SELECT age FROM users

-- a disallowed column in capitals
-- verdict: custom-disallowed-output
SELECT U.AGE FROM USERS U

-- a disallowed column inside a star
-- verdict: custom-disallowed-output custom-disallowed-output
SELECT * FROM users

-- a star of the other source
-- verdict: allowed
SELECT p.* FROM users u JOIN pets p ON u.name = p.owner_name

-- a disallowed column under an alias
-- verdict: custom-disallowed-output
SELECT age AS gender FROM users

-- a disallowed column in mathematics
-- verdict: custom-disallowed-output
SELECT age * 0 FROM users

-- a disallowed column in a function
-- verdict: custom-disallowed-output
SELECT CONCAT(name, email) FROM users

-- a disallowed column under a hash
-- verdict: custom-disallowed-output
SELECT SHA2(name, 256) FROM users

-- a disallowed column counted
-- verdict: custom-disallowed-output
SELECT COUNT(age) FROM users

-- a disallowed column counted without repeats
-- verdict: custom-disallowed-output
SELECT COUNT(DISTINCT age) FROM users

-- everything counted
-- verdict: allowed
SELECT COUNT(*) FROM users

-- every column counted by a star of the source
-- verdict: custom-disallowed-output custom-disallowed-output
SELECT COUNT(u.*) FROM users u

-- a disallowed column through a derived table's alias
-- verdict: custom-disallowed-output
SELECT count_age FROM (SELECT COUNT(age) AS count_age FROM users)

-- a disallowed column through a CTE's alias
-- verdict: custom-disallowed-output
WITH q AS (SELECT age AS years FROM users) SELECT years FROM q

-- a disallowed column through the names of a CTE
-- verdict: custom-disallowed-output
WITH q(a, b) AS (SELECT gender, age FROM users) SELECT b FROM q

-- the other column of the same CTE
-- verdict: allowed
WITH q(a, b) AS (SELECT gender, age FROM users) SELECT a FROM q

-- a disallowed column through the names of a derived table
-- verdict: custom-disallowed-output
SELECT t.x FROM (SELECT age FROM users) AS t(x)

-- a disallowed column through two CTEs and a star
-- verdict: custom-disallowed-output
WITH a AS (SELECT * FROM users), b AS (SELECT age + 1 AS next, email FROM a) SELECT * FROM b

-- a disallowed column in an intermediate projection only
-- verdict: allowed
WITH q AS (SELECT * FROM users) SELECT email FROM q WHERE age > 30

-- a CTE hides a table of the same name
-- verdict: allowed
WITH users AS (SELECT gender FROM pets) SELECT * FROM users

-- a disallowed column as a join key
-- verdict: allowed
SELECT p.gender, p.age FROM users u JOIN pets p ON u.name = p.owner_name

-- a disallowed column as a filter
-- verdict: allowed
SELECT email FROM users WHERE name = 'x' AND age > 3

-- a disallowed column as a sort key
-- verdict: allowed
SELECT email, gender FROM users ORDER BY name

-- a disallowed column as a grouping key that is not shown
-- verdict: allowed
SELECT COUNT(*) FROM users GROUP BY age

-- a disallowed column in HAVING
-- verdict: allowed
SELECT gender FROM users GROUP BY gender HAVING MAX(age) > 3

-- a disallowed column as a partition key of a window
-- verdict: custom-disallowed-output
SELECT SUM(spend) OVER (PARTITION BY age) FROM users

-- a disallowed column as a sort key of a window
-- verdict: custom-disallowed-output
SELECT ROW_NUMBER() OVER (ORDER BY age) FROM users

-- a disallowed column in a named window
-- verdict: custom-disallowed-output
SELECT SUM(spend) OVER w FROM users WINDOW w AS (PARTITION BY age)

-- a disallowed column as the sort key of LISTAGG
-- verdict: custom-disallowed-output
SELECT LISTAGG(gender) WITHIN GROUP (ORDER BY age) FROM users

-- a disallowed column in FILTER
-- verdict: custom-disallowed-output
SELECT SUM(spend) FILTER (WHERE age > 30) FROM users

-- a window key in a CTE whose number is used as a filter only
-- verdict: allowed
WITH q AS (SELECT email, ROW_NUMBER() OVER (PARTITION BY name ORDER BY age) AS n FROM users)
SELECT email FROM q WHERE n = 1

-- a window key in a CTE whose number is shown
-- verdict: custom-disallowed-output custom-disallowed-output
WITH q AS (SELECT email, ROW_NUMBER() OVER (PARTITION BY name ORDER BY age) AS n FROM users) SELECT n FROM q

-- a disallowed column as a condition of CASE
-- verdict: custom-disallowed-output
SELECT CASE WHEN age > 30 THEN 1 ELSE 0 END FROM users

-- a disallowed column as the operand of CASE
-- verdict: custom-disallowed-output
SELECT CASE age WHEN 30 THEN 1 END FROM users

-- a disallowed column compared in SELECT
-- verdict: custom-disallowed-output
SELECT age > 30 FROM users

-- a disallowed column in IN
-- verdict: custom-disallowed-output
SELECT age IN (1, 2) FROM users

-- a disallowed column in BETWEEN
-- verdict: custom-disallowed-output
SELECT age BETWEEN 1 AND 2 FROM users

-- a disallowed column in IS NULL
-- verdict: custom-disallowed-output
SELECT age IS NULL FROM users

-- a disallowed column in LIKE
-- verdict: custom-disallowed-output
SELECT name LIKE 'A%' FROM users

-- a disallowed column in IF, COALESCE and NULLIF
-- verdict: custom-disallowed-output custom-disallowed-output custom-disallowed-output
SELECT IF(age > 3, 1, 2), COALESCE(spend, age), NULLIF(1, age) FROM users

-- a disallowed column in a struct
-- verdict: custom-disallowed-output
SELECT NAMED_STRUCT('a', age) FROM users

-- a disallowed column in an array
-- verdict: custom-disallowed-output
SELECT ARRAY(age, 1) FROM users

-- a disallowed column in a scalar subquery
-- verdict: custom-disallowed-output
SELECT (SELECT MAX(age) FROM users) FROM pets

-- a disallowed column as the filter of a scalar subquery, which tells its value
-- verdict: custom-disallowed-output
SELECT (SELECT COUNT(*) FROM users u WHERE u.age = p.age) FROM pets p

-- a disallowed column of the query around a scalar subquery
-- verdict: custom-disallowed-output
SELECT (SELECT MAX(p.gender) FROM pets p WHERE p.age = u.age) FROM users u

-- EXISTS in SELECT over a disallowed column
-- verdict: custom-disallowed-output
SELECT EXISTS (SELECT 1 FROM users u WHERE u.age = p.age) FROM pets p

-- a disallowed column in a subquery of WHERE
-- verdict: allowed
SELECT gender FROM pets WHERE age IN (SELECT age FROM users)

-- UNION: the second side
-- verdict: custom-disallowed-output
SELECT gender FROM pets UNION ALL SELECT name FROM users

-- UNION in a CTE
-- verdict: custom-disallowed-output
WITH q AS (SELECT gender AS g FROM users UNION SELECT name FROM users) SELECT g FROM q

-- INTERSECT
-- verdict: custom-disallowed-output
SELECT owner_name FROM pets INTERSECT SELECT name FROM users

-- EXCEPT
-- verdict: custom-disallowed-output
SELECT owner_name FROM pets EXCEPT SELECT name FROM users

-- an alias of the same SELECT used again
-- verdict: custom-disallowed-output custom-disallowed-output
SELECT age AS a, a + 1 AS b FROM users

-- a column goes before an alias of its name
-- verdict: custom-disallowed-output
SELECT age AS gender, gender FROM users

-- USING merges a disallowed column into one name
-- verdict: custom-disallowed-output
SELECT gender FROM users JOIN visits USING (user_id) WHERE user_id = 'x' GROUP BY gender, user_id HAVING MAX(user_id) > 'a'
UNION ALL SELECT user_id FROM users JOIN visits USING (user_id)

-- NATURAL JOIN with a star
-- verdict: custom-disallowed-output custom-disallowed-output custom-disallowed-output
SELECT * FROM users NATURAL JOIN visits

-- an outer join
-- verdict: allowed
SELECT v.page, COUNT(*) FROM users u LEFT JOIN visits v ON u.user_id = v.user_id GROUP BY v.page

-- a full and a cross join
-- verdict: allowed
SELECT u.email, p.gender FROM users u FULL OUTER JOIN visits v ON u.user_id = v.user_id CROSS JOIN pets p

-- a semi join
-- verdict: allowed
SELECT u.email FROM users u LEFT SEMI JOIN visits v ON u.user_id = v.user_id

-- an anti join with a star shows the left side only
-- verdict: allowed
SELECT * FROM pets p LEFT ANTI JOIN users u ON u.name = p.owner_name

-- a column of the right side of a semi join is out of reach
-- verdict: unknown-column
SELECT v.page FROM users u LEFT SEMI JOIN visits v ON u.user_id = v.user_id

-- LATERAL VIEW of a joined table
-- verdict: allowed
SELECT u.email, e.word FROM users u JOIN visits v ON u.user_id = v.user_id LATERAL VIEW EXPLODE(SPLIT(v.page, '/')) e AS word

-- a whole row by the name of its source
-- verdict: unknown-column
SELECT u FROM users u

-- a star with a list of exceptions
-- verdict: ?unknown-syntax custom-disallowed-output custom-disallowed-output
SELECT * EXCEPT (age) FROM users

-- UNION BY NAME
-- verdict: ?sql-not-understood ?sql-not-understood ?unknown-syntax
SELECT gender FROM users UNION BY NAME SELECT gender FROM pets

-- a WITH inside a subquery
-- verdict: custom-disallowed-output
SELECT q.z FROM (WITH i AS (SELECT age AS z FROM users) SELECT z FROM i) q

-- a name of an outer CTE taken by an inner one
-- verdict: allowed
WITH q AS (SELECT age AS z FROM users) SELECT r.z FROM (WITH q AS (SELECT gender AS z FROM users) SELECT z FROM q) r

-- the names of a table's own columns given anew
-- verdict: custom-disallowed-output
SELECT u.e FROM users AS u(a, b, e, d, f, g)

-- an argument that a parser might drop
-- verdict: custom-disallowed-output
SELECT PERCENTILE_APPROX(spend, 0.5, age) FROM users

-- LATERAL VIEW of a disallowed column
-- verdict: custom-disallowed-output
SELECT e.word FROM users u LATERAL VIEW EXPLODE(SPLIT(u.name, ' ')) e AS word

-- a LATERAL subquery
-- verdict: custom-disallowed-output
SELECT q.x FROM users u, LATERAL (SELECT u.age AS x) q

-- VALUES
-- verdict: allowed
SELECT u.email, v.label FROM users u JOIN (VALUES ('m', 1), ('f', 2)) AS v(gender, label) ON u.gender = v.gender

-- windows, frames and null treatment
-- verdict: allowed
SELECT user_id IS NULL AS missing, LAG(spend, 1) OVER (PARTITION BY gender ORDER BY spend DESC NULLS LAST) AS before,
SUM(spend) OVER (PARTITION BY gender ORDER BY spend ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS sum3,
FIRST_VALUE(spend) IGNORE NULLS OVER (PARTITION BY gender ORDER BY spend) AS first_spend FROM users

-- features: CASE, dates, hashes, casts, intervals
-- verdict: allowed
SELECT u.email, SUM(CASE WHEN v.seconds > 30 THEN 1 ELSE 0 END) AS long_visits, MAX(v.day) AS last_day,
DATE_TRUNC('MONTH', MAX(v.day)) AS month, DATEDIFF(CURRENT_DATE, MAX(v.day)) AS days, SHA2(u.email, 256) AS hashed,
CAST(AVG(v.seconds) AS DECIMAL(10, 2)) AS mean_seconds, CONVERT(INT, MAX(v.seconds)) AS most
FROM users u JOIN visits v ON u.user_id = v.user_id WHERE v.day > CURRENT_DATE - INTERVAL 30 DAYS GROUP BY u.email

-- GROUPING SETS, CUBE, ROLLUP
-- verdict: allowed
SELECT gender, COUNT(*) FROM users GROUP BY GROUPING SETS ((gender), ())

-- LIMIT and OFFSET
-- verdict: allowed
SELECT gender FROM pets ORDER BY gender LIMIT 10 OFFSET 5

-- join hints
-- verdict: allowed
SELECT /*+ BROADCAST(p) */ u.email FROM users u JOIN pets p ON u.name = p.owner_name

-- another hint
-- verdict: ?unknown-syntax
SELECT /*+ REPARTITION(3) */ email FROM users

-- text alone in a SELECT list
-- verdict: ?bare-text
SELECT 'new' AS label, gender FROM pets

-- text in a cast
-- verdict: allowed
SELECT CAST('new' AS STRING) AS label, gender FROM pets

-- a function that the checker does not know
-- verdict: ?unknown-function
SELECT UUID() FROM pets

-- a lambda is not documented
-- verdict: ?unknown-function
SELECT FILTER(SPLIT(gender, ','), x -> x > 'a') FROM pets

-- PIVOT
-- verdict: ?unknown-syntax ?unknown-syntax
SELECT * FROM pets PIVOT (COUNT(age) FOR gender IN ('f', 'm'))

-- a recursive CTE
-- verdict: ?recursion ?unknown-syntax unknown-table
WITH RECURSIVE q AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM q) SELECT n FROM q, pets

-- GROUP BY ALL
-- verdict: ?unknown-syntax
SELECT gender, COUNT(*) FROM pets GROUP BY ALL

-- a unit that is a column
-- verdict: ?sql-not-understood ?sql-not-understood custom-disallowed-output
SELECT DATE_TRUNC(name, email) FROM users

-- the columns of both sides of UNION must match
-- verdict: columns-do-not-match
SELECT gender, age FROM pets UNION SELECT gender FROM users

-- two sources of one name
-- verdict: name-used-twice
SELECT x.gender FROM pets x JOIN pets x ON x.age = x.age

-- a window that is not defined
-- verdict: unknown-window
SELECT SUM(age) OVER w FROM pets

-- a position in ORDER BY that is not there
-- verdict: unknown-column
SELECT gender FROM pets ORDER BY 2

-- templates only
-- room: custom-templates
-- verdict: custom-query-not-allowed
SELECT u.email FROM users u JOIN pets p ON u.name = p.owner_name

-- the allowed template
-- room: custom-templates
-- template: yes
-- verdict: allowed
SELECT u.email FROM users u

-- a template whose author may send any query
-- template: yes
-- verdict: allowed
SELECT email FROM users

-- a template that is not allowed
-- room: custom-others
-- template: yes
-- verdict: custom-template-not-allowed
SELECT email FROM users

-- no analysis allowed
-- room: custom-nobody
-- verdict: custom-no-analyses
SELECT email FROM users

-- another account may query
-- room: custom-others
-- verdict: custom-provider-not-allowed
SELECT email FROM users

-- that other account queries
-- room: custom-others
-- runner: 333333333333
-- receivers: 111111111111
-- verdict: allowed
SELECT email FROM users

-- a template's rule binds its output, too
-- room: custom
-- template: yes
-- verdict: custom-disallowed-output
SELECT age FROM users

-- a table in brackets
-- verdict: ?sql-not-understood
SELECT gender FROM (pets)

-- a join in brackets
-- verdict: ?sql-not-understood ?unknown-syntax
SELECT x.gender FROM (pets p JOIN users u ON p.owner_name = u.name) x

-- the number of different values of a disallowed column, as rows of a subquery
-- verdict: allowed
SELECT COUNT(*) FROM (SELECT DISTINCT age FROM users)

-- a call with too few arguments, at which the parser stumbles
-- verdict: ?sql-not-understood
SELECT MAP('x') FROM pets

-- FROM before SELECT inside a CTE
-- verdict: ?from-first
WITH q AS (FROM pets SELECT gender) SELECT gender FROM q

-- FROM before SELECT after UNION
-- verdict: ?from-first
SELECT gender FROM pets UNION ALL FROM pets SELECT gender
