"""Words of contracts
==================

Arguments that several functions share, with their meanings.
"""

from subbit.reference.errors import MOST_GROUP
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import SignOfZero

from .kinds import Flags, Numbers, Part, Places, matrix, symmetric
from .scalars import Choice, Real, Share, Text, Whole, choice

WEIGHTS = matrix("n", "k")
HESSIAN = symmetric("m")
UNDAMPED = symmetric("m", definite="after damping")
PERCDAMP = Real(0.0, 1e6, text="Damping relative to the mean diagonal.")
GRAM = symmetric("k", "Gram matrix of the inputs.")
ENTRIES = Flags(("n", "k"), text="The group's entries; all by default.")
ORDER = Choice((1, 2), text="Number of sign planes.")
NAME = Text(text="Name of the group in the record.")
SIGN_ZERO = choice(SignOfZero, "Sign of zero.")
EPS = Share(text='Number added to a denominator, or with ``eps_kind="relative"`` its share.')
EPS_KIND = choice(
    EpsKind, "Whether `eps` is absolute, or relative to the mean denominator of all rows."
)
CENTER = choice(bool, "Subtract the masked row mean at every order (released code) or not (paper).")
TARGET = matrix("n", "k", text="Values that errors are measured on.")
CUT_TARGET = TARGET.says("Values that errors are measured on; their magnitudes are cut.")
KEY = matrix("n", "k", text="Magnitudes that are cut; ``|target|`` by default.")
MAGNITUDES = matrix("n", "k", text="Magnitudes.")
COLUMNS = Part(("n", "k"), text="Columns or entries that take part.")
THRESHOLDS = Numbers(("c",), few=True, text="Candidates.")
FACTOR = Real(1.0, text="The upper magnitude divided by the lower one.")
RANKING = Places(
    ("a",),
    "k",
    distinct=True,
    text=(
        "Distinct columns in decreasing order of importance; columns that are not listed "
        "belong to neither group."
    ),
)
COUNTS = Places(("c",), "a", text="Candidate numbers of salient columns, each from 0 to a.")
COUNTED = Flags(
    ("n", "k"),
    text="Entries that belong to any group; all by default.",
    whole=False,
)
SCORES = matrix("n", "k", text="Saliency scores.")
KEEP = Whole(1, "group", text="Number to keep per group, N, from 1 to M.")
GROUP_SIZE = Whole(1, MOST_GROUP, text="Consecutive columns per group, M, counted from the first.")
NORMS = Numbers(("m",), positive=True, text="Lengths of the inputs, see :func:`input_norms`.")
SPARSITY = Share(below=True, text="Share to prune, in [0, 1).")
EXPONENT = Share(text="Power of the norms, from 0 to 1.")
REPAIR = choice(bool, "Whether the mean must be N.")
DAMPED = symmetric("m", "Damped Hessian, positive definite.", definite="as given")
REMOVAL = Flags(("n", "m"), text="Weights that become zero.", whole=False)
LAYER = matrix("n", "m")
PROXY = symmetric("m", "Proxy Hessian ``2/N Σ XᵀX``, not damped.", definite="after damping")
BLOCK = matrix("n", "k", text="Weights of the block.")
ALIVE = Flags(("k",), text="Columns to quantize; the others decode to zero.", whole=False)
SALIENT = Flags(
    ("k",), text="Salient columns; found by search by default.", whole=False, chosen=True
)
START = Whole(0, text="The block's first column in the layer.")
LEVELS = Whole(1, 2**20, text="Number of candidates in a grid.")
ROUNDS = Whole(0, 2**20, text="Number of rounds.")
PARTS = Whole(1, 2**12, text="Number of steps.")
BITS = Whole(1, 8, text="Bits per code, 1 to 8.")
