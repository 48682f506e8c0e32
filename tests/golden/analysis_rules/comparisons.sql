-- a listed column against a literal
-- verdict: allowed
SELECT COUNT(*) FROM users WHERE age > 30

-- a column that is not listed against a literal
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE spend > 30

-- the literal on the left
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE 30 < spend

-- mathematics around the column
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE spend + 1 > 30 * 2

-- a function around the column
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE UPPER(name) = 'X'

-- inside CASE in SELECT
-- verdict: comparison-literal
SELECT SUM(CASE WHEN spend > 3 THEN 1 END) FROM users

-- in IF
-- verdict: comparison-literal
SELECT SUM(IF(spend = 3, 1, 0)) FROM users

-- in HAVING on the bare column
-- verdict: comparison-literal
SELECT spend FROM users HAVING spend > 3

-- in a join's condition
-- verdict: comparison-literal
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id AND u.email = 'x'

-- in a FILTER
-- verdict: comparison-literal
SELECT COUNT(*) FILTER (WHERE spend > 3) FROM users

-- in a subquery
-- verdict: comparison-literal
SELECT COUNT(*) FROM (SELECT gender FROM users WHERE name = 'x')

-- under an alias
-- verdict: comparison-literal
SELECT COUNT(*) FROM (SELECT spend AS age FROM users) WHERE age > 3

-- a computed column under an alias
-- verdict: ?comparison-literal
SELECT COUNT(*) FROM (SELECT spend * 2 AS twice FROM users) WHERE twice > 3

-- an aggregate against a number
-- verdict: ?comparison-literal
SELECT gender, COUNT(*) FROM users GROUP BY gender HAVING SUM(spend) > 3

-- a count of rows against a number
-- verdict: allowed
SELECT gender, COUNT(*) FROM users GROUP BY gender HAVING COUNT(*) > 3

-- LIKE, RLIKE, IN, BETWEEN on a listed column
-- verdict: allowed
SELECT COUNT(*) FROM users WHERE gender LIKE 'f%' OR gender RLIKE 'x' OR age IN (1, 2) OR age BETWEEN 3 AND 4

-- RLIKE on a column that is not listed
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE email RLIKE '@x'

-- IS TRUE
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE name IS TRUE

-- a column alone as a condition
-- verdict: ?comparison-literal
SELECT COUNT(*) FROM users WHERE spend

-- a parameter's value is a literal
-- template: [{"name": "n", "type": "INTEGER", "defaultValue": "3"}]
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE spend > :n

-- a join on a listed column
-- verdict: allowed
SELECT COUNT(*) FROM users u JOIN visits v ON u.user_id = v.user_id

-- a join on a column that is not listed
-- verdict: comparison-column
SELECT COUNT(*) FROM users u JOIN visits v ON u.email = v.page

-- a column listed for literals only, against a column
-- verdict: comparison-column
SELECT COUNT(*) FROM users u JOIN visits v ON u.age = v.seconds

-- two columns of one table
-- verdict: comparison-column comparison-column
SELECT COUNT(*) FROM users WHERE name = email

-- USING
-- verdict: allowed
SELECT COUNT(*) FROM users JOIN visits USING (user_id)

-- USING where nothing is listed
-- room: comparisons-none
-- verdict: comparison-column
SELECT COUNT(*) FROM users a JOIN users b USING (email)

-- NATURAL where nothing is listed
-- room: comparisons-none
-- verdict: comparison-column comparison-column comparison-column comparison-column comparison-column comparison-column
SELECT COUNT(*) FROM users a NATURAL JOIN users b

-- a column against a subquery
-- verdict: comparison-column
SELECT COUNT(*) FROM users WHERE age IN (SELECT seconds FROM visits)

-- a column against a subquery of literals
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE spend IN (SELECT 1 FROM visits)

-- empty lists block every comparison
-- room: comparisons-none
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE age > 3

-- no comparison at all
-- room: comparisons-none
-- verdict: allowed
SELECT COUNT(*) FROM users

-- grouping by a column in both lists
-- verdict: allowed
SELECT gender, COUNT(*) FROM users GROUP BY gender

-- grouping by a column listed for literals only
-- verdict: ?comparison-grouping
SELECT age, COUNT(*) FROM users GROUP BY age

-- grouping by a column in no list
-- verdict: comparison-grouping
SELECT spend, COUNT(*) FROM users GROUP BY spend

-- grouping by position
-- verdict: comparison-grouping
SELECT spend, COUNT(*) FROM users GROUP BY 1

-- a window over a column in no list
-- verdict: comparison-grouping
SELECT COUNT(*) OVER (PARTITION BY spend) FROM users

-- a map looked up by a column
-- verdict: ?comparison-literal
SELECT SUM(MAP('x', 1)[name]) FROM users

-- a list of functions that compare
-- verdict: ?comparison-literal ?comparison-literal ?comparison-literal
SELECT SUM(INSTR(name, 'x')), MAX(DECODE(email, 'a', 1)), MIN(LEAST(spend, 3)) FROM users

-- rows against rows
-- verdict: comparison-literal
SELECT COUNT(*) FROM users WHERE (age, spend) IN ((1, 2), (3, 4))
