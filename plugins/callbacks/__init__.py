"""Callbacks of this project, importable by the triggerer."""
