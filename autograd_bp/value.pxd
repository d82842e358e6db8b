# The C layout of value.py's classes, for the compiled modules that read nodes directly.

cdef class Value

cdef class _Details:
    cdef str label
    cdef str scope
    cdef tuple operands, others
    cdef double* partials
    cdef int has_node
    cdef bint is_inner
    cdef object rule
    cdef list hooks
    cdef Value grad_node

cdef class Value:
    cdef long long _code
    cdef double _data, _grad, _da, _db
    cdef Value _a
    cdef Value _b
    cdef _Details _details
