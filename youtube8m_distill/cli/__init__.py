"""The command line. `main` finds the command, `commands` describes each, and one module for each does the work."""
