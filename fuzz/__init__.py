"""A coverage-guided fuzzer (atheris) of all readers of foreign files and of the CSV writer: `make fuzz`."""
