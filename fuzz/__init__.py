"""A coverage-guided fuzzer (atheris) for all readers of untrusted files and for the CSV writer: `make fuzz`."""
