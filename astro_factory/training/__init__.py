"""Thin adapters for TRL's trainers: data and masks, optimizers, resume, launch. Independent of stages."""
