"""The command of this room: `python -m youtube8m_distill.experiments NAME`."""

from youtube8m_distill.cli.experiments import run

if __name__ == "__main__":
    run()
