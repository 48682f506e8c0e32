-- counts and sums, grouped
-- verdict: allowed
SELECT gender, COUNT(*), COUNT(DISTINCT user_id), SUM(spend), AVG(spend), STDDEV(spend) FROM users GROUP BY gender

-- scalar functions inside and mathematics over aggregates
-- verdict: allowed
SELECT ROUND(SUM(ABS(spend)) / COUNT(*) * 100) FROM users ORDER BY 1 LIMIT 3

-- a join on the user identifier
-- verdict: allowed
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id

-- a join with a table that is not protected
-- verdict: allowed
SELECT p.gender, COUNT(*) FROM users u JOIN pets p ON u.name = p.owner_name GROUP BY p.gender

-- a CTE with rows of users
-- verdict: allowed
WITH q AS (SELECT user_id, SUM(seconds) AS total FROM visits GROUP BY user_id) SELECT AVG(total) FROM q

-- a window in a CTE with the user identifier in PARTITION BY
-- verdict: allowed
WITH q AS (SELECT user_id, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY day) AS n FROM visits)
SELECT COUNT(*) FROM q WHERE n = 1

-- a set operation in a CTE
-- verdict: allowed
WITH q AS (SELECT user_id FROM users UNION SELECT user_id FROM visits) SELECT COUNT(DISTINCT user_id) FROM q

-- rows
-- verdict: dp-needs-aggregate
SELECT gender FROM users

-- rows beside an aggregate
-- verdict: dp-not-grouped
SELECT gender, COUNT(*) FROM users

-- MAX in the final SELECT
-- verdict: dp-final-aggregate
SELECT MAX(spend), COUNT(*) FROM users

-- a window in the final SELECT
-- verdict: dp-window
SELECT COUNT(*) OVER (PARTITION BY user_id) FROM users

-- a CTE without the user identifier
-- verdict: dp-user-level
WITH q AS (SELECT gender, spend FROM users) SELECT SUM(spend) FROM q

-- a CTE grouped by another column
-- verdict: dp-user-level dp-user-level
WITH q AS (SELECT gender, SUM(spend) AS s FROM users GROUP BY gender) SELECT SUM(s) FROM q

-- a CTE whose identifier is computed
-- verdict: dp-user-level
WITH q AS (SELECT UPPER(user_id) AS user_id, spend FROM users) SELECT SUM(spend) FROM q

-- a CTE with LIMIT
-- verdict: dp-limit
WITH q AS (SELECT user_id, spend FROM users LIMIT 10) SELECT SUM(spend) FROM q

-- a window in a CTE over another key
-- verdict: dp-window
WITH q AS (SELECT user_id, ROW_NUMBER() OVER (PARTITION BY gender ORDER BY spend) AS n FROM users) SELECT COUNT(n) FROM q

-- a set operation at the end
-- verdict: dp-set-operation
SELECT COUNT(*) FROM users UNION ALL SELECT COUNT(*) FROM visits

-- EXISTS over a protected table
-- verdict: dp-subquery dp-user-level
SELECT COUNT(*) FROM users u WHERE EXISTS (SELECT v.page FROM visits v WHERE v.user_id = u.user_id)

-- IN over a protected table
-- verdict: dp-subquery
SELECT COUNT(*) FROM users WHERE user_id IN (SELECT user_id FROM visits)

-- a cross join of protected tables
-- verdict: dp-cross-join
SELECT COUNT(*) FROM users u CROSS JOIN visits v

-- a comma between protected tables
-- verdict: dp-cross-join
SELECT COUNT(*) FROM users u, visits v

-- a join of protected tables on another column
-- verdict: dp-join-key
SELECT COUNT(*) FROM users u JOIN visits v ON u.age = v.seconds

-- a join on the user identifier and more
-- verdict: dp-join-key
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id AND u.age > v.seconds

-- USING
-- verdict: dp-using
SELECT COUNT(*) FROM users u JOIN visits v USING (user_id)

-- ROLLUP
-- verdict: dp-group-by
SELECT gender, COUNT(*) FROM users GROUP BY ROLLUP (gender)

-- GROUPING SETS
-- verdict: dp-group-by
SELECT gender, COUNT(*) FROM users GROUP BY GROUPING SETS ((gender), ())

-- an array function
-- verdict: dp-array
SELECT COUNT(SIZE(SPLIT(name, ' '))) FROM users

-- two owners' protected tables
-- room: dp-two-owners
-- verdict: dp-two-owners
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id

-- the owner receives
-- runner: 222222222222
-- verdict: custom-provider-not-allowed dp-own-table receiver-not-allowed
SELECT COUNT(*) FROM users
