# The C types of the walks over arrays in record.py.

cimport cython

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t)
cpdef descendants(const int[::1] first, const int[::1] operand, const signed char[::1] keep, signed char[::1] mark)

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t)
cpdef ancestors(const int[::1] first, const int[::1] operand, const signed char[::1] keep, signed char[::1] mark)

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t, top=cython.int)
cpdef levels(const int[::1] first, const int[::1] operand, int[::1] level)
