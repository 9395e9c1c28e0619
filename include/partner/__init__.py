"""Deliveries to a partner: the planes under pseudonyms, with a signed manifest."""
