"""One file for each table and figure: the question, the trainings that answer it, and how the answer is shown."""

from youtube8m_distill.experiments.recipes import classes
from youtube8m_distill.experiments.recipes import cost
from youtube8m_distill.experiments.recipes import figure2
from youtube8m_distill.experiments.recipes import figure3
from youtube8m_distill.experiments.recipes import table1
from youtube8m_distill.experiments.recipes import table2
from youtube8m_distill.experiments.recipes import table3
from youtube8m_distill.experiments.recipes import table4
from youtube8m_distill.experiments.recipes import table5
from youtube8m_distill.experiments.recipes import table6

# In the order of the report.
RECIPES = {"table1": table1, "figure2": figure2, "table2": table2, "table3": table3, "table4": table4, "table5": table5,
           "table6": table6, "figure3": figure3, "cost": cost, "classes": classes}
