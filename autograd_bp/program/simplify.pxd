# The C types of simplify.py, where the making of a large program spends its time.

cimport cython

from autograd_bp.program.record cimport Growing

cdef int ADD, SUB, MUL, DIV, POW, NEG, DOT, SUM_OF, WHERE, SQRT, CARRY, CARRY_DOT
cdef int NUMBER, INPUT, NONE
cdef const unsigned char[::1] IS_NARY

@cython.final
cdef class Writer(Growing):
    cdef public int[::1] table

    cpdef int add(self, int code, int a, int b=*, int c=*) except -2

    @cython.locals(i=cython.int)
    cpdef int add_row(self, int code, const int[::1] row, int n) except -2

    @cython.locals(start=cython.int, e=cython.int, at=cython.Py_ssize_t, found=cython.int)
    cdef int _close(self, int code, int count) except -2

    @cython.locals(mask=cython.ulonglong, at=cython.ulonglong, e=cython.int)
    cdef Py_ssize_t _find(self, int code, int start, int count) except -2

    @cython.locals(first=cython.int, e=cython.int)
    cdef bint _is_like(self, int i, int code, int start, int count) except -2

    @cython.locals(i=cython.int, start=cython.int)
    cdef int _rehash(self) except -2

cdef unsigned long long _scattered(unsigned long long i) noexcept

@cython.locals(i=cython.Py_ssize_t)
cdef int _rewrite(Writer writer, const short[::1] code, const int[::1] first, const int[::1] operand, const double[::1] number, int[::1] row, int[::1] new) except -2

@cython.locals(start=cython.int, count=cython.int, e=cython.int)
cdef int _rewritten(Writer writer, Py_ssize_t i, const short[::1] code, const int[::1] first, const int[::1] operand, const double[::1] number, int[::1] row, int[::1] new) except -2

cdef int _identity(Writer writer, int code, int a, int b, int c) except -2
@cython.locals(kind=cython.int, own=cython.double)
cdef bint _is(Writer writer, int i, double number) noexcept
cdef bint _is_minus_zero(Writer writer, int i) noexcept
cdef int _negated(Writer writer, int i) noexcept
cdef int _unit(Writer writer, int i) noexcept

cdef int add_zero(Writer writer, int a, int b) except -2
cdef int subtract_zero(Writer writer, int a, int b) except -2
cdef int multiply_by_one(Writer writer, int a, int b) except -2
cdef int carry(Writer writer, int a, int b) except -2
@cython.locals(e=cython.int)
cdef bint _has_zeros(Writer writer, const int[::1] row, int count) noexcept
@cython.locals(kept=list, n=cython.int, e=cython.int, bias=cython.int)
cdef object _without_zeros(Writer writer, const int[::1] row, int count)
@cython.locals(kind=cython.int, own=cython.double)
cdef bint _is_finite(Writer writer, int i) noexcept
@cython.locals(n=cython.int, i=cython.int)
cdef bint _all_finite(Writer writer, const int[::1] row, int count) noexcept
@cython.locals(number=cython.double)
cdef int divide_by_one(Writer writer, int x, int divisor) except -2
cdef int double_negation(Writer writer, int x) except -2
@cython.locals(root=cython.int)
cdef int small_power(Writer writer, int x, int power) except -2
cdef int settled_choice(Writer writer, int c, int a, int b) except -2
@cython.locals(n=cython.int, bias=cython.int)
cdef int short_dot(Writer writer, int code, const int[::1] row, int count) except -2
@cython.locals(i=cython.int)
cdef bint _all_ones(Writer writer, const int[::1] row, int start, int n) noexcept
@cython.locals(plus_a=cython.int, plus_b=cython.int, a=cython.int, b=cython.int)
cdef int short_sum(Writer writer, const int[::1] row) except -2

@cython.locals(i=cython.Py_ssize_t, e=cython.int, j=cython.int)
cdef int _mark_inside(const short[::1] code, const int[::1] first, const int[::1] operand, const int[::1] uses, signed char[::1] inside) except -2

@cython.locals(i=cython.Py_ssize_t)
cdef int _collect(Writer writer, const short[::1] code, const int[::1] first, const int[::1] operand, const double[::1] number, int[::1] row, const signed char[::1] inside, int[::1] new) except -2

@cython.locals(zeros=list, j=cython.int, bias=cython.int, product=cython.int)
cdef int _sum_of_products(Writer writer, int code, list w, list x, list others) except -2

@cython.locals(w=list, x=list, carried_w=list, carried_x=list, others=list, stack=list, i=cython.int, n=cython.int, e=cython.int, start=cython.int, stop=cython.int, carries=cython.bint)
cdef int _collected(Writer writer, int top, const short[::1] code, const int[::1] first, const int[::1] operand, const signed char[::1] inside, const int[::1] new) except -2

cdef int _total(Writer writer, list terms) except -2
