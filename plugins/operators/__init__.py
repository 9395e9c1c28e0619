"""Operators of this project."""
