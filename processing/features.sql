-- One row per customer who had an event on or before $as_of. Nothing dated later is read.
-- Days are UTC days; an event on $as_of itself counts, with age 0.
WITH history AS (
    SELECT
        customer_key,
        amount,
        quantity,
        event_day,
        date_diff('day', event_day, $as_of::DATE) AS age
    FROM events
    WHERE event_day <= $as_of::DATE
),

gaps AS (
    SELECT
        customer_key,
        avg(gap) AS gap_days_mean,
        sqrt(greatest(avg(gap * gap) - avg(gap) * avg(gap), 0)) AS gap_days_std,
        max(gap) AS gap_days_max
    FROM (
        SELECT
            customer_key,
            date_diff('day', lag(event_day) OVER (PARTITION BY customer_key ORDER BY event_day), event_day) AS gap
        FROM (SELECT DISTINCT customer_key, event_day FROM history)
    )
    WHERE gap IS NOT NULL
    GROUP BY customer_key
),

totals AS (
    SELECT
        customer_key,
        min(age) AS recency_days,
        max(age) AS tenure_days,
        count(*) AS events_total,
        count(DISTINCT age) AS days_active,
        sum(amount) AS amount_total,
        avg(amount) AS amount_mean,
        max(amount) AS amount_max,
        arg_min(amount, (age, amount, quantity)) AS amount_last,
        sum(quantity) AS quantity_total,
        avg(quantity) AS quantity_mean,
        count(*) FILTER (age < 30) AS events_30d,
        count(*) FILTER (age < 90) AS events_90d,
        count(*) FILTER (age < 180) AS events_180d,
        count(*) FILTER (age < 365) AS events_365d,
        coalesce(sum(amount) FILTER (age < 30), 0) AS amount_30d,
        coalesce(sum(amount) FILTER (age < 90), 0) AS amount_90d,
        coalesce(sum(amount) FILTER (age < 180), 0) AS amount_180d,
        coalesce(sum(amount) FILTER (age < 365), 0) AS amount_365d,
        count(*) FILTER (age >= 90 AND age < 180) AS events_90d_before
    FROM history
    GROUP BY customer_key
)

SELECT
    totals.customer_key,
    recency_days::DOUBLE AS recency_days,
    tenure_days::DOUBLE AS tenure_days,
    events_total::DOUBLE AS events_total,
    days_active::DOUBLE AS days_active,
    amount_total::DOUBLE AS amount_total,
    amount_mean::DOUBLE AS amount_mean,
    amount_max::DOUBLE AS amount_max,
    amount_last::DOUBLE AS amount_last,
    quantity_total::DOUBLE AS quantity_total,
    quantity_mean::DOUBLE AS quantity_mean,
    events_30d::DOUBLE AS events_30d,
    events_90d::DOUBLE AS events_90d,
    events_180d::DOUBLE AS events_180d,
    events_365d::DOUBLE AS events_365d,
    amount_30d::DOUBLE AS amount_30d,
    amount_90d::DOUBLE AS amount_90d,
    amount_180d::DOUBLE AS amount_180d,
    amount_365d::DOUBLE AS amount_365d,
    (events_90d - events_90d_before)::DOUBLE AS events_trend_90d,
    (events_90d / events_total)::DOUBLE AS events_share_90d,
    gap_days_mean::DOUBLE AS gap_days_mean,
    gap_days_std::DOUBLE AS gap_days_std,
    gap_days_max::DOUBLE AS gap_days_max,
    (recency_days / gap_days_mean)::DOUBLE AS recency_in_gaps
FROM totals
LEFT JOIN gaps USING (customer_key)
ORDER BY totals.customer_key
