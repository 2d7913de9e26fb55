"""Seeds hashed per role, so that changing one part of an experiment never moves another."""

import hashlib

LARGEST_SEED = 2**63 - 1
"""What torch takes, and YAML and JSON carry anywhere."""


def seed_for(base: int, role: str) -> int:
    """Return the seed of one role in an experiment.

    Args:
        base: The experiment's seed (or the split's).
        role: What the random numbers are for, for example ``"plan"`` or ``"order/3"``.

    Returns:
        An integer in ``[0, 2**63)``, the same on every machine.
    """
    digest = hashlib.sha256(f"{base}/{role}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
