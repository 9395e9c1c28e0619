"""Keeps the connections and secret Variables of the stacks in a parameter store: names, contents, access."""
