"""The embedded AWS: one loopback process that answers the AWS calls of this project for two accounts.

Comes in: signed AWS requests. Goes out: answers in the real wire protocols. Refused: everything not on a list, by name.
"""
