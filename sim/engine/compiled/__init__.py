"""The parts of the compiled engine: functions that Numba compiles, over rows of tables."""
