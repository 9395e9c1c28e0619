"""Records failures and missed deadlines, and decides which of them people are told about."""
