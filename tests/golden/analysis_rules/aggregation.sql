-- one granted aggregate over a join
-- verdict: allowed
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- every granted aggregate
-- verdict: allowed
SELECT SUM(s.amount), SUM(s.units) AS units, AVG(s.amount), COUNT(s.hashed_id), COUNT(DISTINCT s.hashed_id),
COUNT(DISTINCT c.hashed_id), COUNT(c.hashed_id) FROM sales s INNER JOIN customers c ON s.hashed_id = c.hashed_id

-- grouped by dimension columns
-- verdict: allowed
SELECT c.region, s.product, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
GROUP BY c.region, s.product

-- grouped by an alias
-- verdict: allowed
SELECT c.region AS place, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY place

-- grouped by a scalar function
-- verdict: allowed
SELECT LOWER(c.region), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY LOWER(c.region)

-- literals beside aggregates
-- verdict: allowed
SELECT 'all' AS label, 1, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- TRUNC with one argument, as the documents show it
-- verdict: allowed
SELECT TRUNC(s.sold), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY TRUNC(s.sold)

-- CAST and EXTRACT
-- verdict: allowed
SELECT CAST(s.sold AS STRING), EXTRACT(YEAR FROM s.sold), COUNT(DISTINCT s.hashed_id)
FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY CAST(s.sold AS STRING), EXTRACT(YEAR FROM s.sold)

-- filters on dimension columns
-- verdict: allowed
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
WHERE c.region IN ('north', 'south') AND s.product NOT LIKE 'a%' AND (c.tier = 1 OR c.tier IS NULL) AND NOT c.tier = 2

-- a scalar function in a filter
-- verdict: allowed
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id WHERE UPPER(c.region) = 'NORTH'

-- mathematics in a filter
-- verdict: allowed
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id WHERE c.tier * 2 > 3

-- HAVING on a granted aggregate
-- verdict: allowed
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING COUNT(DISTINCT s.hashed_id) >= 500 AND (SUM(s.amount) > 10.5 OR AVG(s.amount) <> -1)

-- HAVING on an alias
-- verdict: allowed
SELECT c.region, SUM(s.amount) AS total FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING total > 10

-- ORDER BY what is selected
-- verdict: allowed
SELECT c.region, SUM(s.amount) AS total FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
ORDER BY total DESC, c.region ASC

-- ORDER BY an aggregate as selected
-- verdict: allowed
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
ORDER BY SUM(s.amount)

-- one table alone, where no join is required
-- verdict: allowed
SELECT product, SUM(amount) FROM free_sales GROUP BY product

-- one's own table alone
-- verdict: allowed
SELECT COUNT(DISTINCT hashed_id) FROM customers

-- no aggregate
-- verdict: aggregation-needs-aggregate
SELECT c.region FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region

-- an aggregate that is not granted for the column
-- verdict: aggregation-not-granted
SELECT AVG(s.units) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- an aggregate of a dimension column
-- verdict: aggregation-not-granted
SELECT COUNT(s.sold) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- COUNT is not COUNT DISTINCT
-- verdict: aggregation-not-granted
SELECT COUNT(s.product) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- SUM is not SUM DISTINCT
-- verdict: aggregation-not-granted
SELECT SUM(DISTINCT s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- MIN and MAX are never granted
-- verdict: aggregation-not-granted aggregation-not-granted
SELECT MIN(s.amount), MAX(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- an aggregate of an expression
-- verdict: aggregation-aggregate-of-expression
SELECT SUM(s.amount * 2) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- an aggregate of CASE
-- verdict: aggregation-aggregate-of-expression
SELECT SUM(CASE WHEN s.product = 'a' THEN s.amount END) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- COUNT of everything
-- verdict: aggregation-aggregate-of-expression
SELECT COUNT(*) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- COUNT of a literal
-- verdict: aggregation-aggregate-of-expression
SELECT COUNT(1) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- COUNT DISTINCT of two columns
-- verdict: aggregation-aggregate-of-expression
SELECT COUNT(DISTINCT s.hashed_id, s.product) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a FILTER on an aggregate
-- verdict: aggregation-expression
SELECT SUM(s.amount) FILTER (WHERE s.product = 'a') FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- mathematics over aggregates
-- verdict: aggregation-expression
SELECT SUM(s.amount) / COUNT(s.hashed_id) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a scalar function of an aggregate
-- verdict: ?aggregation-scalar-of-aggregate
SELECT ROUND(SUM(s.amount)) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a window function
-- verdict: aggregation-window
SELECT c.region, SUM(s.amount), SUM(s.amount) OVER (PARTITION BY c.region)
FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region

-- a join column selected
-- verdict: aggregation-select-join-column
SELECT s.hashed_id, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY s.hashed_id

-- an aggregate column selected
-- verdict: aggregation-select-not-dimension-column
SELECT s.amount, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY s.amount

-- a join column inside a function
-- verdict: aggregation-select-join-column
SELECT LOWER(s.hashed_id), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
GROUP BY LOWER(s.hashed_id)

-- a scalar function that one of the tables does not grant
-- verdict: aggregation-scalar
SELECT SUBSTRING(c.region, 1, 2), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
GROUP BY SUBSTRING(c.region, 1, 2)

-- a scalar function that no rule can grant
-- verdict: aggregation-scalar aggregation-scalar
SELECT MD5(c.region), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY MD5(c.region)

-- nested scalar functions
-- verdict: aggregation-scalar-nested
SELECT LOWER(UPPER(c.region)), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
GROUP BY LOWER(UPPER(c.region))

-- mathematics inside a scalar function
-- verdict: aggregation-scalar-nested
SELECT ABS(c.tier + 1), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY ABS(c.tier + 1)

-- RTRIM with other characters
-- verdict: aggregation-rtrim
SELECT RTRIM('x', c.region), SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
GROUP BY RTRIM('x', c.region)

-- mathematics in a grouping expression
-- verdict: aggregation-expression
SELECT c.tier + 1, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.tier + 1

-- a star
-- verdict: aggregation-star aggregation-not-grouped
SELECT c.*, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a dimension column left out of GROUP BY
-- verdict: aggregation-not-grouped
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- GROUP BY of what is not selected
-- verdict: aggregation-group-by
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region

-- GROUP BY a position
-- verdict: ?aggregation-position
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY 1

-- CUBE
-- verdict: aggregation-group-by aggregation-not-grouped
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY CUBE (c.region)

-- the required join is missing
-- verdict: aggregation-join-required
SELECT SUM(amount) FROM sales

-- the required join is one with the partner's other table
-- verdict: aggregation-join-required
SELECT SUM(s.amount) FROM sales s JOIN free_sales f ON s.hashed_id = f.hashed_id

-- a runner's own table that requires a join
-- room: aggregation-own
-- verdict: aggregation-join-required
SELECT COUNT(hashed_id) FROM customers

-- a runner's own table that requires a join, joined with another
-- room: aggregation-own
-- verdict: allowed
SELECT COUNT(a.hashed_id) FROM customers a JOIN customers b ON a.hashed_id = b.hashed_id

-- LEFT JOIN
-- verdict: aggregation-outer-join
SELECT SUM(s.amount) FROM customers c LEFT JOIN sales s ON s.hashed_id = c.hashed_id

-- CROSS JOIN
-- verdict: aggregation-cross-join
SELECT SUM(s.amount) FROM customers c CROSS JOIN sales s

-- a dimension column in ON
-- verdict: aggregation-on-not-join-column aggregation-on-not-join-column
SELECT SUM(s.amount) FROM customers c JOIN sales s ON c.region = s.product

-- OR in ON where one table does not allow it
-- verdict: aggregation-join-operator
SELECT SUM(s.amount) FROM customers c JOIN free_sales s ON c.hashed_id = s.hashed_id OR c.hashed_id = s.hashed_id

-- a literal in ON
-- verdict: aggregation-on-not-equality
SELECT SUM(s.amount) FROM customers c JOIN sales s ON c.hashed_id = 'a'

-- a filter by a join column
-- verdict: aggregation-where-join-column
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id WHERE c.hashed_id = 'a1'

-- a filter by an aggregate column
-- verdict: aggregation-where-not-dimension-column
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id WHERE s.amount > 10

-- BETWEEN in a filter
-- verdict: ?aggregation-where-operator
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id WHERE c.tier BETWEEN 1 AND 2

-- a subquery in a filter
-- verdict: aggregation-subquery
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id
WHERE EXISTS (SELECT SUM(amount) FROM free_sales)

-- HAVING of column against column
-- verdict: aggregation-having
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING SUM(s.amount) > SUM(s.units)

-- HAVING with a text
-- verdict: aggregation-having
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING SUM(s.amount) > '10'

-- HAVING on a column
-- verdict: aggregation-having
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING c.region = 'north'

-- HAVING on an aggregate that is not granted
-- verdict: aggregation-not-granted
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING MAX(s.amount) > 10

-- HAVING with IN
-- verdict: aggregation-having
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
HAVING SUM(s.amount) IN (1, 2)

-- ORDER BY what is not selected
-- verdict: aggregation-order-by
SELECT c.region, SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id GROUP BY c.region
ORDER BY c.tier

-- LIMIT
-- verdict: aggregation-limit
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id LIMIT 1

-- OFFSET
-- verdict: aggregation-limit aggregation-offset
SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id LIMIT 1 OFFSET 1

-- SELECT DISTINCT
-- verdict: aggregation-distinct
SELECT DISTINCT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a CTE
-- verdict: aggregation-cte
WITH q AS (SELECT 1) SELECT SUM(s.amount) FROM sales s JOIN customers c ON s.hashed_id = c.hashed_id

-- a derived table
-- verdict: aggregation-subquery
SELECT SUM(q.amount) FROM (SELECT amount FROM free_sales) q

-- UNION
-- verdict: aggregation-set-operation
SELECT SUM(amount) FROM free_sales UNION ALL SELECT SUM(amount) FROM free_sales

-- a function that nobody knows
-- verdict: ?unknown-function ?unknown-function aggregation-scalar
SELECT nope(product), SUM(amount) FROM free_sales GROUP BY nope(product)
