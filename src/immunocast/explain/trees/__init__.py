"""Exact SHAP values of tree ensembles, tabulated by tree and looked up by patient."""
