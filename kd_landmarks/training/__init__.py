"""Training: recipes, run folders, stages, teachers, pseudo-labels and the loop."""
