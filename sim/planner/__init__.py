"""Answers that need several configurations: what if, which is the cheapest, how much more load."""
