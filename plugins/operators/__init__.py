"""Holds the operators of this project."""
