"""Engines that move simulated time: they ask policy what to do, and write down what happened."""
