# The C types of simplify.py, where the making of a large program spends its time.

cimport cython

cdef class Writer:
    cdef public list code, operands, number
    cdef dict _constants, _written

    @cython.locals(i=cython.Py_ssize_t, folded=cython.bint)
    cpdef add(self, code, tuple operands)

    cdef _append(self, code, tuple operands, number)

cdef bint _is(Writer writer, Py_ssize_t i, double number) except -1
cdef bint _is_minus_zero(Writer writer, Py_ssize_t i) except -1

@cython.locals(a=cython.Py_ssize_t, b=cython.Py_ssize_t)
cpdef add_zero(Writer writer, tuple operands)

@cython.locals(a=cython.Py_ssize_t, b=cython.Py_ssize_t)
cpdef multiply_by_one(Writer writer, tuple operands)

@cython.locals(n=cython.Py_ssize_t)
cpdef short_dot(Writer writer, tuple operands)

@cython.locals(writer=Writer, new=list, operand=list, first=list, number=list, taken=tuple, i=cython.Py_ssize_t, j=cython.Py_ssize_t, at=cython.Py_ssize_t)
cpdef simplify(program)

@cython.locals(new=list, operand=list, first=list, number=list, code=list, uses=list, inside=list, i=cython.Py_ssize_t, j=cython.Py_ssize_t, c=cython.int)
cpdef collect_sums(program)

@cython.locals(code=list, operand=list, first=list, inside=list, w=list, x=list, others=list, stack=list, taken=list, i=cython.Py_ssize_t, n=cython.Py_ssize_t)
cdef _collected(Writer writer, program, Py_ssize_t top, tuple lists, list new)

cdef _total(Writer writer, list terms)
