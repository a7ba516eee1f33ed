"""What a scenario describes, in the words of the system that is to run it: one file for each system.

Each `write(scenario, names)` is a function of the scenario alone and the inverse of what policy's presets read. What a
system cannot say is told (telling.py), never dropped; where it would say something else, the export is refused.
"""
