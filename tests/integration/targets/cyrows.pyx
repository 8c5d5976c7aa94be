# cython: language_level=3
"""As rows.c, in Cython."""


cdef make_row(long number):
    return bytearray(300 + number % 8)  # allocates


def make(long count):
    rows = []
    for number in range(count):
        rows.append(make_row(number))  # calls
    return rows
