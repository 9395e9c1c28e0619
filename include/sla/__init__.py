"""Judges how many of the scheduled runs were on time."""
