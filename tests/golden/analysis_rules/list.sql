-- list columns of both sides over one inner join
-- verdict: allowed
SELECT DISTINCT m.customer_key, p.age, p.city FROM match_keys m INNER JOIN people p ON m.hashed_id = p.hashed_id

-- JOIN alone means INNER JOIN
-- verdict: allowed
SELECT DISTINCT m.customer_key, p.age FROM match_keys AS m JOIN people AS p ON p.hashed_id = m.hashed_id

-- names without their source where they are unique
-- verdict: allowed
SELECT DISTINCT customer_key, age FROM match_keys JOIN people ON match_keys.hashed_id = people.hashed_id

-- aliases of outputs
-- verdict: allowed
SELECT DISTINCT m.customer_key AS who, p.age years FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- letters may be of either case
-- verdict: allowed
select distinct M.CUSTOMER_KEY, P.Age from MATCH_KEYS M join People P on M.Hashed_Id = P.HASHED_ID

-- names in backticks
-- verdict: allowed
SELECT DISTINCT m.`customer_key`, `p`.`age` FROM `match_keys` m JOIN people p ON m.hashed_id = p.hashed_id

-- brackets change nothing
-- verdict: allowed
SELECT DISTINCT (m.customer_key), ((p.age)) FROM match_keys m JOIN people p ON ((m.hashed_id) = (p.hashed_id))

-- join columns of different names
-- verdict: allowed
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p ON m.hashed_id = p.phone_hash

-- a chain of joins reaches the runner's table
-- verdict: allowed
SELECT DISTINCT m.customer_key, p.age, h.income
FROM people p JOIN households h ON p.hashed_id = h.hashed_id JOIN match_keys m ON m.hashed_id = h.hashed_id

-- the runner's own key need not be selected
-- verdict: allowed
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- two joins of the runner's own table
-- verdict: allowed
SELECT DISTINCT a.customer_key FROM match_keys a JOIN match_keys b ON a.hashed_id = b.hashed_id

-- filter: equality and inequality with numbers and texts
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.age >= 18 AND p.age < 65 AND p.city <> 'Bern' AND p.city != 'Basel' AND p.age > 1 AND p.age <= 99

-- filter: IN, NOT IN, LIKE, IS NULL, IS NOT NULL, OR, NOT, brackets
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE (p.city IN ('Bern', 'Basel') OR p.age NOT IN (1, 2)) AND p.city LIKE 'B%' AND p.age IS NOT NULL
AND NOT (p.joined IS NULL OR p.city NOT LIKE '%x')

-- filter: mathematics
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.age * 2 + 1 > 40 - p.age / 3 AND p.age % 2 = 0 AND -p.age < -3

-- filter: two list columns against each other
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE p.age = p.city

-- LIMIT with a positive whole number
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id LIMIT 1000

-- a semicolon at the end
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id;

-- comments anywhere
-- verdict: allowed
SELECT /* only */ DISTINCT m.customer_key -- theirs
FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- AND between join conditions is the default
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m
JOIN people p ON m.hashed_id = p.hashed_id AND m.phone_hash = p.phone_hash

-- OR between join conditions where both tables allow it
-- room: list-or
-- verdict: allowed
SELECT DISTINCT m.customer_key FROM match_keys m
JOIN people p ON m.hashed_id = p.hashed_id OR m.phone_hash = p.phone_hash

-- AND where one table lists OR alone
-- room: list-or
-- verdict: list-join-operator
SELECT DISTINCT m.customer_key FROM match_keys m
JOIN people p ON m.hashed_id = p.hashed_id AND m.phone_hash = p.phone_hash

-- OR where no table names an operator
-- verdict: list-join-operator list-join-operator
SELECT DISTINCT m.customer_key FROM match_keys m
JOIN people p ON m.hashed_id = p.hashed_id OR m.phone_hash = p.phone_hash

-- DISTINCT left out
-- verdict: list-needs-distinct
SELECT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- the partner's join column selected
-- verdict: list-select-join-column
SELECT DISTINCT m.customer_key, p.hashed_id FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- the runner's own join column selected
-- verdict: list-select-join-column
SELECT DISTINCT m.hashed_id FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a join column in capitals is the same column
-- verdict: list-select-join-column
SELECT DISTINCT P.HASHED_ID FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a join column under an alias
-- verdict: list-select-join-column
SELECT DISTINCT p.hashed_id AS age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a column in no list of the rule
-- verdict: list-select-not-list-column
SELECT DISTINCT m.customer_key, h.secret FROM match_keys m JOIN households h ON m.hashed_id = h.hashed_id

-- a star holds join columns
-- verdict: ?list-select-star list-select-join-column list-select-join-column list-select-join-column list-select-not-list-column
SELECT DISTINCT * FROM match_keys m JOIN households h ON m.hashed_id = h.hashed_id

-- a star of one source
-- verdict: ?list-select-star list-select-join-column list-select-join-column
SELECT DISTINCT m.* FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a function of a list column
-- verdict: list-function
SELECT DISTINCT m.customer_key, UPPER(p.city) FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a cast
-- verdict: list-function
SELECT DISTINCT CAST(p.age AS STRING) FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- an aggregate
-- verdict: list-function
SELECT DISTINCT COUNT(p.age) FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- COUNT of everything
-- verdict: list-function
SELECT DISTINCT COUNT(*) FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- mathematics in SELECT
-- verdict: list-select-expression
SELECT DISTINCT p.age + 1 FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- CASE in SELECT
-- verdict: list-select-expression
SELECT DISTINCT CASE WHEN p.age > 3 THEN 1 END FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a number in SELECT
-- verdict: list-select-literal
SELECT DISTINCT m.customer_key, 1 FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a text in SELECT
-- verdict: list-select-literal
SELECT DISTINCT m.customer_key, 'x' AS label FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- NULL in SELECT
-- verdict: list-select-literal
SELECT DISTINCT NULL FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a window function
-- verdict: list-select-expression
SELECT DISTINCT ROW_NUMBER() OVER (ORDER BY p.age) FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- no join
-- verdict: list-needs-join
SELECT DISTINCT p.age FROM people p

-- only partner tables
-- verdict: list-overlap list-overlap
SELECT DISTINCT p.age FROM people p JOIN households h ON p.hashed_id = h.hashed_id

-- OR could join without the runner's table
-- room: list-or
-- verdict: list-overlap
SELECT DISTINCT q.age FROM people q JOIN people p ON q.hashed_id = p.hashed_id
JOIN match_keys m ON m.hashed_id = q.hashed_id OR m.hashed_id = p.hashed_id

-- LEFT JOIN
-- verdict: list-outer-join
SELECT DISTINCT m.customer_key, p.age FROM match_keys m LEFT JOIN people p ON m.hashed_id = p.hashed_id

-- RIGHT JOIN
-- verdict: list-outer-join
SELECT DISTINCT m.customer_key, p.age FROM match_keys m RIGHT JOIN people p ON m.hashed_id = p.hashed_id

-- FULL OUTER JOIN
-- verdict: list-outer-join
SELECT DISTINCT m.customer_key, p.age FROM match_keys m FULL OUTER JOIN people p ON m.hashed_id = p.hashed_id

-- LEFT SEMI JOIN
-- verdict: list-outer-join
SELECT DISTINCT m.customer_key FROM match_keys m LEFT SEMI JOIN people p ON m.hashed_id = p.hashed_id

-- CROSS JOIN
-- verdict: list-cross-join
SELECT DISTINCT m.customer_key, p.age FROM match_keys m CROSS JOIN people p

-- a comma between sources
-- verdict: list-cross-join list-where-join-column list-where-join-column
SELECT DISTINCT m.customer_key, p.age FROM match_keys m, people p WHERE m.hashed_id = p.hashed_id

-- JOIN without ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p

-- NATURAL JOIN
-- verdict: list-natural-join
SELECT DISTINCT m.customer_key, p.age FROM match_keys m NATURAL JOIN people p

-- USING
-- verdict: ?list-using
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p USING (hashed_id)

-- another comparison in ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id > p.hashed_id

-- null-safe equality in ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id <=> p.hashed_id

-- a literal in ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id AND p.age = 3

-- a function in ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON LOWER(m.hashed_id) = p.hashed_id

-- NOT in ON
-- verdict: list-on-not-equality
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON NOT (m.hashed_id = p.hashed_id)

-- a list column in ON
-- verdict: list-on-not-join-column list-on-not-join-column
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.customer_key = p.city

-- both sides of ON from one table
-- verdict: list-on-same-side
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON p.hashed_id = p.phone_hash

-- a filter by a join column
-- verdict: list-where-join-column
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE p.hashed_id = 'a1'

-- a filter by a column in no list
-- verdict: list-where-not-list-column
SELECT DISTINCT m.customer_key FROM match_keys m JOIN households h ON m.hashed_id = h.hashed_id WHERE h.secret = 'x'

-- a function in WHERE
-- verdict: list-function
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE LOWER(p.city) = 'x'

-- a cast in WHERE
-- verdict: list-function
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.joined > CAST('2026-01-01' AS DATE)

-- BETWEEN is not listed, but an example of the documents has it
-- verdict: ?list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.age BETWEEN 18 AND 30

-- a typed literal is neither text nor number
-- verdict: ?list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.joined > DATE '2026-01-01'

-- TRUE in WHERE
-- verdict: ?list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE TRUE

-- RLIKE in WHERE
-- verdict: list-function
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE p.city RLIKE 'x'

-- CASE in WHERE
-- verdict: list-where-operator list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE CASE WHEN p.age > 3 THEN 1 END = 1

-- text concatenation in WHERE
-- verdict: list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id WHERE p.city || 'x' = 'yx'

-- a subquery in WHERE
-- verdict: list-subquery list-where-operator
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE p.age IN (SELECT age FROM people)

-- EXISTS in WHERE
-- verdict: list-subquery
SELECT DISTINCT m.customer_key FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
WHERE EXISTS (SELECT age FROM people)

-- GROUP BY
-- verdict: list-group-by
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id GROUP BY p.age

-- HAVING
-- verdict: list-having
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id HAVING p.age > 3

-- ORDER BY
-- verdict: list-order-by
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id ORDER BY p.age

-- OFFSET
-- verdict: list-offset
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id LIMIT 3 OFFSET 2

-- LIMIT 0
-- verdict: list-limit
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id LIMIT 0

-- LIMIT of an expression
-- verdict: list-limit
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id LIMIT 1 + 1

-- TOP went with the old engine
-- verdict: sql-does-not-parse
SELECT DISTINCT TOP 10 p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a CTE
-- verdict: list-cte
WITH q AS (SELECT age, hashed_id FROM people)
SELECT DISTINCT q.age FROM match_keys m JOIN q ON m.hashed_id = q.hashed_id

-- a derived table
-- verdict: list-subquery
SELECT DISTINCT p.age FROM match_keys m JOIN (SELECT * FROM people) p ON m.hashed_id = p.hashed_id

-- a list of values
-- verdict: list-subquery
SELECT DISTINCT m.customer_key FROM match_keys m JOIN (VALUES ('a1')) v(id) ON m.hashed_id = v.id

-- UNION
-- verdict: list-set-operation
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id
UNION SELECT DISTINCT p.city FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a hint
-- verdict: ?list-hint
SELECT /*+ BROADCAST(p) */ DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- double quotes are text to Spark
-- verdict: ?double-quotes list-select-literal
SELECT DISTINCT "customer_key" FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a nested type under a LIST rule
-- room: list-nested
-- verdict: nested-type
SELECT DISTINCT p.tags FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a column that is not allowed at all
-- verdict: unknown-column
SELECT DISTINCT p.ssn FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a name that two sources have
-- verdict: ambiguous-column list-select-join-column list-select-join-column
SELECT DISTINCT hashed_id FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- a receiver that no owner named
-- receivers: 333333333333
-- verdict: receiver-not-allowed receiver-not-allowed
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- one receiver more than allowed
-- receivers: 111111111111 222222222222
-- verdict: receiver-not-allowed receiver-not-allowed
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- the partner runs: the brand's tables are then the others'
-- runner: 222222222222
-- receivers: 111111111111
-- verdict: allowed
SELECT DISTINCT m.customer_key, p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- the whole query in brackets
-- verdict: ?list-brackets
(SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id)

-- a query in brackets with a limit
-- verdict: list-set-operation
(SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id) LIMIT 3

-- DISTINCT ON
-- verdict: ?unknown-syntax
SELECT DISTINCT ON (p.age) p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id

-- LATERAL VIEW
-- verdict: ?unknown-function list-lateral-view
SELECT DISTINCT p.age FROM match_keys m JOIN people p ON m.hashed_id = p.hashed_id LATERAL VIEW INLINE(p.city) t AS x
