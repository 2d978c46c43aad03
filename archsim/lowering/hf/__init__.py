"""Hugging Face `config.json`: each file knows the fields of one model type."""
