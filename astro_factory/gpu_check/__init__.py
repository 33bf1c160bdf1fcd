"""`gpu-check`: proves a machine, and this code on it, in minutes. Nothing is downloaded; models are made on the spot.

Each check is a function of the `Rig`, which holds the device and the models. A dry run calls the same functions on the
CPU with tiny sizes, so that what runs on a GPU has run before.
"""
