"""The reads of a real granule.

What h5py asked for when it averaged `gt1l/heights/h_ph` of one of ICESat-2's ATL03.

From the byte ranges that nsidc/cloud-optimized-icesat2 publishes with its notebooks. A line of
atl03-reads.csv.xz is a read: its distance from the end of the one before, and its length.
"""

import lzma
from pathlib import Path

# Bytes of the granule.
SIZE = 7_754_735_138


def reads():
    """The reads in their order: offset and length in bytes."""
    found, end = [], 0
    with lzma.open(Path(__file__).with_name("atl03-reads.csv.xz"), "rt") as lines:
        for line in lines:
            distance, length = map(int, line.split(","))
            found.append((end + distance, length))
            end += distance + length
    return found
