"""`python -m reproduce NAME`."""

import sys

EXTRA = {
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
    "jinja2": "Jinja2",
    "tabulate": "tabulate",
}  # module -> package


def main():
    try:
        from reproduce.command import run
    except ModuleNotFoundError as error:
        package = EXTRA.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        print(f"Error: python -m reproduce needs {package}. Install it with: pip install '.[reproduce]'", file=sys.stderr)
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
