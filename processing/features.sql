-- One row per customer who had an event on or before $as_of. Nothing dated later is read.
-- Days are UTC days; an event on $as_of itself counts, with age 0. Sums of decimals are exact, whatever their order.
WITH totals AS (
    SELECT
        customer_key,
        list_sort(list(age)) AS ages,
        count(*) AS events_total,
        sum(amount) AS amount_total,
        avg(amount) AS amount_mean,
        max(amount) AS amount_max,
        sum(quantity) AS quantity_total,
        avg(quantity) AS quantity_mean,
        count(*) FILTER (age < 30) AS events_30d,
        count(*) FILTER (age < 90) AS events_90d,
        count(*) FILTER (age < 180) AS events_180d,
        count(*) FILTER (age < 365) AS events_365d,
        coalesce(sum(amount) FILTER (age < 30), 0) AS amount_30d,
        coalesce(sum(amount) FILTER (age < 90), 0) AS amount_90d,
        coalesce(sum(amount) FILTER (age < 180), 0) AS amount_180d,
        coalesce(sum(amount) FILTER (age < 365), 0) AS amount_365d
    FROM (SELECT *, date_diff('day', event_day, $as_of::DATE) AS age FROM events WHERE event_day <= $as_of::DATE)
    GROUP BY customer_key
),

paced AS (  -- gaps between the days on which a customer was active
    SELECT
        *,
        list_filter(list_transform(range(1, len(ages)), lambda i: ages[i + 1] - ages[i]), lambda gap: gap > 0) AS gaps
    FROM totals
)

SELECT
    customer_key,
    ages[1]::DOUBLE AS recency_days,
    ages[-1]::DOUBLE AS tenure_days,
    events_total::DOUBLE AS events_total,
    (len(gaps) + 1)::DOUBLE AS days_active,
    amount_total::DOUBLE AS amount_total,
    amount_mean::DOUBLE AS amount_mean,
    amount_max::DOUBLE AS amount_max,
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
    (events_90d - (events_180d - events_90d))::DOUBLE AS events_trend_90d,
    (events_90d / events_total)::DOUBLE AS events_share_90d,
    list_avg(gaps)::DOUBLE AS gap_days_mean,
    list_stddev_pop(gaps)::DOUBLE AS gap_days_std,
    list_max(gaps)::DOUBLE AS gap_days_max,
    (ages[1] / list_avg(gaps))::DOUBLE AS recency_in_gaps
FROM paced
