"""One file for each table and figure: the question, the trainings that answer it, and how the answer is shown."""

from reproduce.recipes import classes, cost, figure2, figure3, table1, table2, table3, table4, table5, table6

# In the order of the report.
RECIPES = {
    "table1": table1,
    "figure2": figure2,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "figure3": figure3,
    "cost": cost,
    "classes": classes,
}
