"""Cuts a day into chunks: a document outside the code says which there are and how each is transformed."""
