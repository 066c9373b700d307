from youtube8m_distill.cli.inference import run

run()
