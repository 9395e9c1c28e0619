"""Measures: each benchmark compares two things in one run and reports a ratio, recorded in bench/results."""
