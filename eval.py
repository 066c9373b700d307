from youtube8m_distill.cli.main import run

run("eval")
