"""What a finished run amounts to: quantiles, shares, where the time goes, and the theory that says what is right."""
