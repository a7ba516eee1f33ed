"""What is asked: a scenario file -> checked settings -> the integer tables of one run."""
