"""`python -m youtube8m_distill` is the console command `yt8m`."""

from youtube8m_distill.cli.main import main

main()
