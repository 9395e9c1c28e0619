"""Holds the `answers` command and what it operates: the embedded stack, deploys, the proof, the demonstration."""
