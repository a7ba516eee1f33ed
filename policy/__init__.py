"""What to do now, given what is seen: every serving rule, written once, for both engines and for the server.

Standard library only. No clock, no dice, no I/O: the time and the dice are arguments, and every function is plain
integer code that Numba compiles as it stands (tests/policy/test_every_rule_compiles.py). Here belongs whatever two
drivers would otherwise both write; queues, clocks and devices belong to the drivers.
"""
