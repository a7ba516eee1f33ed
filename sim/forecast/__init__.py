"""From a scenario to figures with intervals: replications, warm-up, estimates, goals, and what is refused."""
