"""Delivers the planes under pseudonyms to a partner, with a signed manifest."""
