"""Serves the Answers page: the questions, their proof and what the last runs left behind, inside Airflow's UI.

It is here and not in include/, because catalogue, anchors and results are answers/proof's, and a second reader of them would
be a second copy. plugins/answers_plugin.py imports it when the API server asks for its apps, and nowhere else: the one import
from plugins/ into answers/ that pyproject.toml allows. The image has answers/ as it has plugins/.
"""
