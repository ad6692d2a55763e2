"""Names of pictures, each of which a data set gives to one picture alone."""

from collections import Counter
from collections.abc import Sequence


def tell_apart(names: Sequence[str], *longer: Sequence[str]) -> list[str]:
    """Replace names that occur more than once by longer ones; keep the others.

    longer: the names to use instead, of the same pictures in the same order; each further list is
    used for the names that still occur more than once.
    """
    told = [*names]
    for others in longer:
        counts = Counter(told)
        told = [one if counts[one] == 1 else other for one, other in zip(told, others)]
    return told
