"""Proves the claims: finds their tests, runs them, and removes their mechanisms to see the tests notice."""
