"""Notifiers of this project."""
