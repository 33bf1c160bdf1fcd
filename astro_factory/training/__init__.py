"""Thin adapters on TRL's trainers: data and masks, optimizers, resume, launch. Nothing here knows a stage."""
