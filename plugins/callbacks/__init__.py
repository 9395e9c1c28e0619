"""Holds the callbacks of this project, importable by the triggerer."""
