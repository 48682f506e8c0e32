-- aggregates of columns
-- verdict: allowed
SELECT gender, COUNT(DISTINCT user_id), SUM(spend), AVG(age) FROM users GROUP BY gender

-- an aggregate of a constant
-- verdict: allowed
SELECT gender, COUNT(1), SUM(2) FROM users GROUP BY gender

-- an aggregate of an expression where columns only are allowed
-- verdict: threshold-columns-only
SELECT SUM(spend * 2) FROM users

-- an aggregate of CASE where columns only are allowed
-- verdict: threshold-columns-only
SELECT SUM(CASE WHEN age > 3 THEN spend END) FROM users

-- an aggregate of a function where columns only are allowed
-- verdict: threshold-columns-only
SELECT SUM(ROUND(spend)) FROM users

-- a window's aggregate of an expression where columns only are allowed
-- verdict: threshold-columns-only
SELECT gender, SUM(spend * 2) OVER (PARTITION BY gender) FROM users

-- an expression under an alias, aggregated outside
-- verdict: ?threshold-columns-only
SELECT SUM(twice) FROM (SELECT spend * 2 AS twice FROM users)

-- a column under an alias, aggregated outside
-- verdict: allowed
SELECT SUM(amount) FROM (SELECT spend AS amount FROM users)

-- an aggregate of an expression where any is allowed
-- room: thresholds-any
-- verdict: allowed
SELECT SUM(spend * 2) FROM users

-- the identity column against a literal
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(spend) FROM users WHERE user_id = 'u1'

-- the identity column in IN
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(spend) FROM users WHERE user_id IN ('u1', 'u2')

-- the identity column in LIKE
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(spend) FROM users WHERE user_id LIKE 'u1%'

-- the identity column in BETWEEN
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(spend) FROM users WHERE user_id BETWEEN 'a' AND 'b'

-- the identity column in CASE
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(CASE user_id WHEN 'u1' THEN spend END) FROM users

-- the identity column under an alias
-- room: thresholds-any
-- verdict: identity-literal
WITH q AS (SELECT user_id AS u, spend FROM users) SELECT SUM(spend) FROM q WHERE u = 'u1'

-- the identity column against a literal that comes from VALUES
-- room: thresholds-any
-- verdict: identity-literal
SELECT SUM(spend) FROM users u JOIN (VALUES ('u1')) AS v(id) ON u.user_id = v.id

-- the identity column in a function of comparison
-- room: thresholds-any
-- verdict: ?identity-literal
SELECT SUM(spend) FROM users WHERE NULLIF(user_id, 'u1') IS NULL

-- the count of identities against a number
-- room: thresholds-any
-- verdict: ?identity-literal
SELECT gender, SUM(spend) FROM users GROUP BY gender HAVING COUNT(DISTINCT user_id) > 500

-- another column against a literal
-- room: thresholds-any
-- verdict: allowed
SELECT SUM(spend) FROM users WHERE age > 30

-- the identity column against a column
-- verdict: allowed
SELECT SUM(u.spend) FROM users u JOIN visits v ON u.user_id = v.user_id

-- MIN alone in the final SELECT
-- verdict: threshold-needs-aggregate
SELECT gender, MIN(spend) FROM users GROUP BY gender

-- MIN next to COUNT
-- verdict: allowed
SELECT gender, MIN(spend), MAX(spend), COUNT(*) FROM users GROUP BY gender

-- MEDIAN alone
-- verdict: threshold-needs-aggregate
SELECT MEDIAN(spend) FROM users

-- LAG alone
-- verdict: threshold-needs-aggregate
SELECT LAG(spend) OVER (PARTITION BY gender ORDER BY age) FROM users

-- MAX in a CTE, rows counted outside
-- verdict: allowed
WITH q AS (SELECT gender, MAX(spend) AS most FROM users GROUP BY gender) SELECT COUNT(*) FROM q

-- MAX in a CTE, aggregated outside
-- verdict: ?threshold-columns-only
WITH q AS (SELECT gender, MAX(spend) AS most FROM users GROUP BY gender) SELECT COUNT(most) FROM q

-- MIN alone, handed on by a CTE
-- verdict: threshold-needs-aggregate
WITH q AS (SELECT gender, MIN(spend) AS least FROM users GROUP BY gender) SELECT * FROM q

-- CUBE
-- verdict: controls-syntax
SELECT gender, COUNT(*) FROM users GROUP BY CUBE (gender)

-- GROUP BY WITH ROLLUP
-- verdict: controls-syntax
SELECT gender, COUNT(*) FROM users GROUP BY gender WITH ROLLUP

-- GROUPING SETS
-- verdict: controls-syntax
SELECT gender, COUNT(*) FROM users GROUP BY GROUPING SETS ((gender))

-- EXISTS
-- verdict: controls-syntax
SELECT COUNT(*) FROM users u WHERE EXISTS (SELECT 1 FROM visits v WHERE v.user_id = u.user_id)

-- LEFT SEMI JOIN
-- verdict: controls-syntax
SELECT COUNT(*) FROM users u LEFT SEMI JOIN visits v ON v.user_id = u.user_id

-- LEFT ANTI JOIN
-- verdict: controls-syntax
SELECT COUNT(*) FROM users u LEFT ANTI JOIN visits v ON v.user_id = u.user_id

-- EXCEPT
-- verdict: controls-syntax
SELECT COUNT(*) FROM (SELECT user_id FROM users EXCEPT SELECT user_id FROM visits)

-- INTERSECT
-- verdict: controls-syntax
SELECT COUNT(*) FROM (SELECT user_id FROM users INTERSECT SELECT user_id FROM visits)

-- UNION
-- verdict: allowed
SELECT COUNT(*) FROM (SELECT user_id FROM users UNION SELECT user_id FROM visits)

-- OFFSET
-- verdict: controls-syntax
SELECT gender, COUNT(*) FROM users GROUP BY gender LIMIT 10 OFFSET 1

-- LIMIT, ORDER BY, HAVING, DISTINCT
-- verdict: allowed
SELECT DISTINCT gender, COUNT(*) AS n FROM users GROUP BY gender HAVING COUNT(*) > 1 ORDER BY n LIMIT 10

-- SORT BY
-- verdict: controls-syntax
SELECT gender, COUNT(*) FROM users GROUP BY gender SORT BY gender

-- LATERAL VIEW
-- verdict: controls-syntax
SELECT e.word, COUNT(*) FROM users LATERAL VIEW EXPLODE(SPLIT(name, ' ')) e AS word GROUP BY e.word

-- null-safe equality
-- verdict: controls-syntax
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id <=> v.user_id

-- IS NOT DISTINCT FROM is the same by another name
-- verdict: ?controls-syntax
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id IS NOT DISTINCT FROM v.user_id

-- IS DISTINCT FROM
-- verdict: allowed
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id IS DISTINCT FROM v.user_id

-- functions that are not supported
-- verdict: controls-function controls-function controls-function
SELECT COUNT(*), ANY_VALUE(gender), REVERSE(gender), TRANSLATE(gender, 'a', 'b') FROM users GROUP BY gender

-- window functions that are not supported
-- verdict: controls-function
SELECT COUNT(*) OVER (PARTITION BY gender), NTILE(4) OVER (PARTITION BY gender ORDER BY age) FROM users

-- with differential privacy in one query
-- room: dp-and-thresholds
-- verdict: controls-with-dp
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id
