"""Experts: rule-based planners that see ground truth; they give demonstrations and a reference."""
