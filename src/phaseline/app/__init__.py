"""The use-cases, which reach the world through ports."""
