from youtube8m_distill.cli.eval import run

run()
