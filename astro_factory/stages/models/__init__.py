"""Models: each writes a Hugging Face model folder, or a pinned pointer to one."""
