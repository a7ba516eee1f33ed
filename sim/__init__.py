"""The forecast: scenario -> integer tables -> engine -> timeline -> figures with intervals."""
