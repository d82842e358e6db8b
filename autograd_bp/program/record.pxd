# The C types of record.py: of growing instructions, and of the walks over arrays.

cimport cython

from autograd_bp.value cimport Value

cdef int SHIFT, BITS, CODE, CUSTOM
cdef long long KEPT
cdef list _TWO

cdef class Growing:
    cdef public int size
    cdef public short[::1] code
    cdef public int[::1] first, operand
    cdef public double[::1] number
    cdef public dict constants, marks

    cpdef int input(self) except -2
    cpdef int constant(self, double number) except -2

    @cython.locals(at=cython.int)
    cpdef int put(self, int i, int operand) except -2

    cdef _make_room(self)

    @cython.locals(i=cython.int)
    cpdef int append(self, int code, int count, double number) except -2

@cython.locals(growing=Growing, node=Value, captured=list, order=list, given=list, ends=list, nodes=list, marked=tuple)
cpdef record(inputs, outputs, trace=*)

cdef int _marked(Growing growing, Value node) except -2
cdef bint _is_of(trace, Value node) except -2
cdef int _mark(Growing growing, Value node, long long mark) except -2
@cython.locals(p=Value, count=cython.int, operands=tuple)
cdef _append(Growing growing, Value node, dict labels)
cdef _capture_operands(Growing growing, Value node, trace, list captured, dict labels)
cdef _capture(Growing growing, Value node, trace, list captured, dict labels)
cdef int _keep_label(Growing growing, Value node, dict labels) except -2

@cython.locals(p=Value)
cdef bint _any_marked(Growing growing, tuple operands) except -2

cdef int _index(Growing growing, x) except -2
cdef int _index_of(Growing growing, Value node, double number) except -2

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t)
cdef _mark_descendants(const int[::1] first, const int[::1] operand, const signed char[::1] keep, signed char[::1] mark)

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t)
cdef _mark_ancestors(const int[::1] first, const int[::1] operand, const signed char[::1] keep, signed char[::1] mark)

@cython.locals(i=cython.Py_ssize_t, e=cython.Py_ssize_t, top=cython.int)
cdef _set_levels(const int[::1] first, const int[::1] operand, int[::1] level)
