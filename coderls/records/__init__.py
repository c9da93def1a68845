"""Records of completions: written while the user wants it, read again to see whether the same comes of them.

A record is one file of JSON that holds all that a completion was made from. It is a bug report, and can be made into a
test. Nothing is recorded unless the user said so on the command line.
"""
