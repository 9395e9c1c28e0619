"""Holds the sensors of this project."""
