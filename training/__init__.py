"""Feature table to model: training and honest evaluation. Runs in AWS's XGBoost image."""
