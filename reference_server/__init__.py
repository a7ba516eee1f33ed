"""The reference server: serves a model over HTTP by the rules in policy; a forecast is checked against it."""
