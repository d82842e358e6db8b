# The C layout of value.py's classes, for the compiled modules that read nodes directly.

# The elements of a list or tuple, read without a reference to them being counted: that took half
# of the time. And the number in a float without a look at whether an exception was raised.
cdef extern from *:
    """
    #define ITEM(row, i) (row)[i]
    """
    ctypedef struct PyObject
    PyObject** items "PySequence_Fast_ITEMS"(object row)
    PyObject* item "ITEM"(PyObject** row, Py_ssize_t i)
    double number_of "PyFloat_AS_DOUBLE"(object x)

ctypedef PyObject** Items

# While nodes have marks nothing may run Python code, and up to Python 3.11 the garbage collector
# does so where memory is asked for.
cdef extern from "Python.h":
    bint PyGC_Disable()
    bint PyGC_Enable()

# The rows of one or two operands as C, written by headers.py at build time.
cdef extern from "engine_rows.h":
    int TABLE_IN_C
    ctypedef struct Row:
        bint known
        double y, da, db
    Row row_in_c(int code, int mask, double a, double b) noexcept

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
    cdef object passes

cdef class Value:
    cdef long long _code
    cdef double _data, _grad, _da, _db
    cdef Value _a
    cdef Value _b
    cdef _Details _details

# What `nary.py` makes its nodes with.
cdef _Details _new_details(Py_ssize_t n)
cdef Value _node_of_many(short code, double data, _Details details, object bias)
cdef double _data(object x, str name)
cdef object _sequence(object x, str name)
cdef Value _unary(str name, Value x)
