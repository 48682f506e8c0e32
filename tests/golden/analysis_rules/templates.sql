-- a value in the place of a literal
-- template: [{"name": "low", "type": "INTEGER"}]
-- parameters: {"low": "18"}
-- verdict: allowed
SELECT gender FROM pets WHERE age > :low

-- the default value
-- template: [{"name": "low", "type": "INTEGER", "defaultValue": "18"}]
-- verdict: allowed
SELECT gender FROM pets WHERE age > :low

-- neither value nor default
-- template: [{"name": "low", "type": "INTEGER"}]
-- verdict: parameter-missing
SELECT gender FROM pets WHERE age > :low

-- a value that is not declared
-- template: [{"name": "low", "type": "INTEGER"}]
-- parameters: {"low": "1", "high": "2"}
-- verdict: parameter-unknown
SELECT gender FROM pets WHERE age > :low

-- a name that is not declared
-- template: [{"name": "low", "type": "INTEGER"}]
-- parameters: {"low": "1"}
-- verdict: parameter-unknown
SELECT gender FROM pets WHERE age > :low AND age < :high

-- SQL in the place of a number
-- template: [{"name": "low", "type": "INTEGER"}]
-- parameters: {"low": "1 OR 1 = 1"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE age > :low

-- a quote in a text stays text
-- template: [{"name": "city", "type": "VARCHAR"}]
-- parameters: {"city": "x' OR '1' = '1"}
-- verdict: allowed
SELECT gender FROM pets WHERE gender = :city

-- too large for its type
-- template: [{"name": "low", "type": "TINYINT"}]
-- parameters: {"low": "128"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE age > :low

-- the largest of its type
-- template: [{"name": "low", "type": "BIGINT"}]
-- parameters: {"low": "9223372036854775807"}
-- verdict: allowed
SELECT gender FROM pets WHERE age > :low

-- decimals, floats, truth, dates, times, bytes
-- template: [{"name": "a", "type": "DECIMAL", "defaultValue": "1.50"}, {"name": "b", "type": "DOUBLE", "defaultValue": "1e-3"}, {"name": "c", "type": "BOOLEAN", "defaultValue": "true"}, {"name": "d", "type": "DATE", "defaultValue": "2026-01-31"}, {"name": "e", "type": "TIMESTAMP", "defaultValue": "2026-01-31 10:00:00"}, {"name": "f", "type": "BINARY", "defaultValue": "00ff"}]
-- verdict: allowed
SELECT gender FROM pets WHERE age > :a AND age < :b AND (age = 1) = :c AND CURRENT_DATE > :d AND NOW() > :e
AND UNHEX(gender) = :f

-- a day that the calendar has not
-- template: [{"name": "d", "type": "DATE"}]
-- parameters: {"d": "2026-02-30"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE CURRENT_DATE > :d

-- not a number at all
-- template: [{"name": "a", "type": "DECIMAL"}]
-- parameters: {"a": "NaN"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE age > :a

-- yes is no truth
-- template: [{"name": "c", "type": "BOOLEAN"}]
-- parameters: {"c": "yes"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE (age = 1) = :c

-- a type that parameters do not have
-- template: [{"name": "c", "type": "ARRAY"}]
-- parameters: {"c": "1"}
-- verdict: parameter-value
SELECT gender FROM pets WHERE age = :c

-- a number where the API takes texts
-- template: [{"name": "low", "type": "INTEGER"}]
-- parameters: {"low": 18}
-- verdict: parameter-value
SELECT gender FROM pets WHERE age > :low

-- the name of a table
-- template: [{"name": "t", "type": "STRING"}]
-- parameters: {"t": "pets"}
-- verdict: parameter-place table-function
SELECT gender FROM :t

-- an alias
-- template: [{"name": "t", "type": "STRING"}]
-- parameters: {"t": "pets"}
-- verdict: parameter-place
SELECT gender AS :t FROM pets

-- a limit
-- template: [{"name": "n", "type": "INTEGER"}]
-- parameters: {"n": "10"}
-- verdict: allowed
SELECT gender FROM pets LIMIT :n

-- a value that brings a disallowed column no nearer
-- template: [{"name": "x", "type": "STRING"}]
-- parameters: {"x": "age"}
-- verdict: ?bare-text
SELECT :x AS y FROM users

-- a parameter's name with spaces
-- template: [{"name": "my name", "type": "INTEGER", "defaultValue": "1"}]
-- verdict: parameter-name
SELECT gender FROM pets
