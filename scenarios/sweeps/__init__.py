"""Sweeps: a scenario with its parameters varied, from a laptop to a cluster.

spec reads a sweep file, parameters and designs say which values the cases have, plan makes scenarios of them, engine has
Snakemake run them (cases is what it runs), results collects, figures, emulator and page show.
"""
