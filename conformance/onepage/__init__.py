"""Each method on one page
=======================

The paper's form of each method from top to bottom, in plain NumPy and by no function of the
project. The theorems compare every port's layers with them.
"""
