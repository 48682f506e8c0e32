-- One row per customer who had an event on or before $as_of. Nothing dated later is read.
-- Days are UTC days; an event on $as_of itself counts, with age 0. Sums of decimals are exact, whatever their order.
WITH daily AS (
    SELECT
        customer_key,
        date_diff('day', event_day, $as_of::DATE) AS age,
        count(*) AS events,
        count(amount) AS amounts,
        sum(amount) AS amount,
        max(amount) AS amount_max,
        count(quantity) AS quantities,
        sum(quantity) AS quantity
    FROM events
    WHERE event_day <= $as_of::DATE
    GROUP BY ALL
),

gaps AS (
    SELECT
        customer_key,
        avg(gap) AS gap_days_mean,
        sqrt(greatest(avg(gap * gap) - avg(gap) * avg(gap), 0)) AS gap_days_std,
        max(gap) AS gap_days_max
    FROM (SELECT customer_key, lag(age) OVER (PARTITION BY customer_key ORDER BY age DESC) - age AS gap FROM daily)
    WHERE gap IS NOT NULL
    GROUP BY customer_key
),

totals AS (
    SELECT
        customer_key,
        min(age) AS recency_days,
        max(age) AS tenure_days,
        count(*) AS days_active,
        sum(events) AS events_total,
        sum(amount) AS amount_total,
        sum(amount) / nullif(sum(amounts), 0) AS amount_mean,
        max(amount_max) AS amount_max,
        arg_min(amount, age) AS amount_last_day,
        sum(quantity) AS quantity_total,
        sum(quantity) / nullif(sum(quantities), 0) AS quantity_mean,
        coalesce(sum(events) FILTER (age < 30), 0) AS events_30d,
        coalesce(sum(events) FILTER (age < 90), 0) AS events_90d,
        coalesce(sum(events) FILTER (age < 180), 0) AS events_180d,
        coalesce(sum(events) FILTER (age < 365), 0) AS events_365d,
        coalesce(sum(amount) FILTER (age < 30), 0) AS amount_30d,
        coalesce(sum(amount) FILTER (age < 90), 0) AS amount_90d,
        coalesce(sum(amount) FILTER (age < 180), 0) AS amount_180d,
        coalesce(sum(amount) FILTER (age < 365), 0) AS amount_365d,
        coalesce(sum(events) FILTER (age >= 90 AND age < 180), 0) AS events_90d_before
    FROM daily
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
    amount_last_day::DOUBLE AS amount_last_day,
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
