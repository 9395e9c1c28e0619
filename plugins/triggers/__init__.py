"""Holds the triggers of this project: what waits in the triggerer."""
