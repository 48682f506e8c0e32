"""Events and the partner's answer become features: the query step and the feature step. Runs in containers."""
