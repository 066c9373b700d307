from youtube8m_distill.cli.train import run

run()
