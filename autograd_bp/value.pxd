# The C layout of value.py's classes, for the compiled modules that read nodes directly.

# An element of a row without a reference to it being counted: that took half of the time. And
# the number in a float without a look at whether an exception was raised.
cdef extern from "Python.h":
    ctypedef struct PyObject
    PyObject* item "PyTuple_GET_ITEM"(object row, Py_ssize_t i)
    double number_of "PyFloat_AS_DOUBLE"(object x)

cdef class Value

cdef class _Details:
    cdef str label
    cdef str scope
    cdef tuple operands, others
    cdef double* partials
    cdef long long has
    cdef object rule
    cdef list hooks
    cdef Value grad_node

cdef class Value:
    cdef long long _code
    cdef double _data, _grad, _da, _db
    cdef Value _a
    cdef Value _b
    cdef _Details _details
