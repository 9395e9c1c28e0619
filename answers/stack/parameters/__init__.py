"""The parameter store that the stacks keep their connections and secret Variables in: names, contents, access."""
