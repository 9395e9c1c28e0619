"""Holds the notifiers of this project."""
