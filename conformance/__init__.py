"""Do two ports agree, and what does a method do to a real language model?

The property tests of this package take a *port*, any object with the functions of
:mod:`subbit.reference`. Its models take one too, and let it quantize the layers.
"""
