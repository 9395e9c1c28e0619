"""Triggers of this project: what waits in the triggerer."""
