"""Ports that are programs, in any language.

:mod:`~subbit.conformance.programs.forms` writes values in JSON, ``calls`` what a call carries,
``process`` runs a program, ``port`` makes a port of it, and ``serve`` a program of a port.
"""
