"""Bounds
======

How far a correct port may deviate from the reference. No algorithm imports a bound; each
file is named after the module that it bounds, and stands in the room of the same name.

Every function takes the operation's arguments and how the port computes, and returns
:class:`~subbit.reference.bounds.rounding.Rounded` arrays: ``value`` is the reference's answer
and ``error`` the bound. In a ``..._margin``, ``value`` is how far a decision lies from
its tie and ``error`` how far rounding can carry it: a port may decide otherwise only
where ``value <= error``. Inputs may be Rounded themselves, so bounds compose.

No higher-order terms are dropped, since magnitudes include their errors; the exceptions
are the factor's bounds in ``hessian`` and the allowance for running sums in
``zones.candidates``, whose constants are generous instead, and the fits of rows and columns
in ``groups.arb_rc_fits``, which say so. The rules for one operation are in ``rounding``.
"""
