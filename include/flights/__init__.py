"""Defines the domain: one feed of flights, its contract, its Spark job and its warehouse."""
