"""A coverage-guided fuzzer (atheris) over what reads strangers' files and what writes for other programs: `make fuzz`."""
