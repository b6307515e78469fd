"""The rules, pure: values in, values out. No await, no clock, no randomness, no logging."""
