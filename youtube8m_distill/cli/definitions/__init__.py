"""What --helpshort shows of every command: a function that defines its flags, and whose docstring describes it."""
