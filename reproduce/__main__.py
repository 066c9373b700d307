"""`python -m reproduce NAME`."""

from reproduce.command import run

if __name__ == "__main__":
    run()
