"""Measures a live server over HTTP, fits the model to what it saw, and checks forecasts on other load points."""
