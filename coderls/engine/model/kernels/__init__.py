"""GPU kernels of our own, in Triton, which these modules import at once: reach in only where it is installed.

Each kernel has a plain torch form that it is tested against: by Triton's interpreter where there is no card.
"""
