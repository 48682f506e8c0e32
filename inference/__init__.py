"""Model and score shard to Pinpoint CSV. Runs in AWS's XGBoost image."""
