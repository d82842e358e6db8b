/* The compiled kernel: runs the steps of a Plan (plan.py says what they are).

   kernel_loops.h is compiled once for each set of instructions that the processor may have, and
   the widest one that it does have is chosen when the module is loaded. So one binary is as fast
   as one built for the machine that it runs on. The interpreter's lock is released meanwhile. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_codes.h"

/* For any processor, and so without fused operations: it rounds as Python does. */
#ifdef __GNUC__
static __attribute__((noinline)) double polygamma(double n, double x);
#endif
#include "special.h"

enum { COPY = 200, LAYER = 201, OUTER = 202, PRODUCT = 203, CARRY_LAYER = 205, CARRY_OUTER = 206,
       CARRY_PRODUCT = 207, TILE = 4, LARGEST = 256, PART = 64,
       MANY_PRODUCTS = 1024 };

typedef struct { int32_t op, n, k, out, args, extra; } Step;

static inline uint64_t bits_of(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
static inline double number_of(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }

/* Of an operation on sequences. */
static inline int operands_of(const Step *step)
{
    return step->op == DOT || step->op == CARRY_DOT ? 2 * step->k + 1 : step->k;
}

/* Memory that a caller lends to work in: numbers from its begin on, pointers before its end. While
   steps run nothing is allocated, so they cannot fail; when they are done, nothing stays. */
typedef struct { double *numbers; const double **end; } Room;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t whole_vectors(size_t n) { return (n + 7) & ~(size_t)7; }

/* How many numbers steps need of it, in slots or, with so many lanes in a block, in rows. */
static size_t room_of(const Step *step, const Step *end, size_t block)
{
    size_t numbers = 0, pointers = 0;
    for (; step < end; step++) {
        size_t n = step->n, k = step->k, count = operands_of(step);
        if (step->op == PRODUCT || step->op == CARRY_PRODUCT) {
            numbers = larger(numbers, (n + whole_vectors(step->extra)) * k);
        } else if (step->op == OUTER || step->op == CARRY_OUTER) {
            numbers = larger(numbers, whole_vectors(k) * block);
        } else if (is_nary(step->op)) {
            pointers = larger(pointers, count);
            if (!block) numbers = larger(numbers, count * whole_vectors(n < PART ? n : PART));
        }
    }
    return numbers + pointers;
}

/* Rows a power of two apart would fall on the same lines of the cache. */
static long stride_of(long lanes) { return (long)whole_vectors(lanes) + 8; }

#if defined(__x86_64__) && defined(__GNUC__)
#define MANY_VERSIONS 1
#endif

#define V(name) name##_plain
#define WIDTH 2
#include "kernel_loops.h"
#undef V
#undef WIDTH

#ifdef MANY_VERSIONS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2")
#endif
#define V(name) name##_avx2
#define WIDTH 4
#include "kernel_loops.h"
#undef V
#undef WIDTH
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512dq,avx512vl,avx512bw,avx512cd,avx2,fma,bmi,bmi2,prefer-vector-width=512"))), \
    apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512dq,avx512vl,avx512bw,avx512cd,avx2,fma,bmi,bmi2,prefer-vector-width=512")
#endif
#define V(name) name##_avx512
#define WIDTH 8
#include "kernel_loops.h"
#undef V
#undef WIDTH
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

typedef struct {
    const char *name;
    void (*slots)(const Step *, const Step *, const int32_t *, double *, Room);
    void (*rows)(const Step *, const Step *, const int32_t *, const double *, double *, double *,
                 int, int, Room);
} Version;

static const Version versions[] = {
    {"plain", run_slots_plain, run_rows_plain},
#ifdef MANY_VERSIONS
    {"avx2", run_slots_avx2, run_rows_avx2},
    {"avx512", run_slots_avx512, run_rows_avx512},
#endif
};
enum { VERSIONS = sizeof versions / sizeof *versions };
static const Version *version = versions;

static int supported(int i)
{
#ifdef MANY_VERSIONS
    __builtin_cpu_init();
    if (i >= 1 && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                    && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))) return 0;
    if (i >= 2 && !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
                    && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
                    && __builtin_cpu_supports("avx512cd"))) return 0;
#endif
    return i < VERSIONS;
}

/* --- Python's side: arguments are arrays, checked by engine.py, which alone calls these ------ */

/* kinds: 'w' is written to, 'r' is not, 's' may have its numbers apart; the last holds for the rest */
static int open_arrays(PyObject *const *args, Py_buffer *views, Py_ssize_t count, const char *kinds)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        int flags = *kinds == 'w' ? PyBUF_CONTIG : *kinds == 's' ? PyBUF_STRIDED_RO
                                                                 : PyBUF_CONTIG_RO;
        if (PyObject_GetBuffer(args[i], &views[i], flags)) {
            while (i--) PyBuffer_Release(&views[i]);
            return 0;
        }
        if (kinds[1]) kinds++;
    }
    return 1;
}

/* room(rows, block, slot_steps, row_steps): how long the array must be that runs are lent */
static PyObject *py_room(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer v[2];
    if (nargs != 4) return PyErr_Format(PyExc_TypeError, "room takes 2 numbers and 2 arrays");
    long rows = PyLong_AsLong(args[0]), block = PyLong_AsLong(args[1]);
    if (PyErr_Occurred() || !open_arrays(args + 2, v, 2, "r")) return NULL;
    const Step *slots = v[0].buf, *steps = v[1].buf;
    size_t in_slots = room_of(slots, slots + v[0].len / sizeof(Step), 0);
    size_t in_rows = room_of(steps, steps + v[1].len / sizeof(Step), block);
    size_t size = larger(in_slots, in_rows + (size_t)rows * stride_of(block));
    for (int i = 0; i < 2; i++) PyBuffer_Release(&v[i]);
    return PyLong_FromSize_t(size ? size + 8 : 0); /* some are lost by aligning */
}

static Room room_in(const Py_buffer *lent)
{
    double *begin = (double *)(((uintptr_t)lent->buf + 63) & ~(uintptr_t)63);
    return (Room){begin, (const double **)lent->buf + lent->len / 8};
}

static PyObject *py_run_slots(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer v[4];
    if (nargs != 4) return PyErr_Format(PyExc_TypeError, "run_slots takes 4 arrays");
    if (!open_arrays(args, v, 4, "rrww")) return NULL;
    const Step *step = v[0].buf;
    Py_BEGIN_ALLOW_THREADS
    version->slots(step, step + v[0].len / sizeof(Step), v[1].buf, v[2].buf, room_in(&v[3]));
    Py_END_ALLOW_THREADS
    for (int i = 0; i < 4; i++) PyBuffer_Release(&v[i]);
    Py_RETURN_NONE;
}

/* The lanes of a block from arrays of shape (lanes, inputs): a row for each input. */
static void fill_rows(const Py_buffer *x, const Py_buffer *end, Py_ssize_t begin, int size,
                      double *row, long stride)
{
    int whole = (size + 7) & ~7;
    for (; x < end; x++)
        for (Py_ssize_t i = 0; i < x->shape[1]; i++, row += stride) {
            const char *from = (const char *)x->buf + begin * x->strides[0] + i * x->strides[1];
            for (int l = 0; l < size; l++, from += x->strides[0]) row[l] = *(const double *)from;
            for (int l = size; l < whole; l++) row[l] = row[size - 1];
        }
}

/* run_rows(rows, block, first, last, slot_steps, steps, indices, splats, slots, out, sums, room,
   output_row, x, ...) with an array x for each argument that is lanes */
static PyObject *py_run_rows(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    enum { NUMBERS = 4, ARRAYS = 9 };
    if (nargs <= NUMBERS + ARRAYS) return PyErr_Format(PyExc_TypeError, "run_rows lacks arrays");
    long row_count = PyLong_AsLong(args[0]), block = PyLong_AsLong(args[1]);
    long first = PyLong_AsLong(args[2]), last = PyLong_AsLong(args[3]);
    if (PyErr_Occurred()) return NULL;
    Py_ssize_t arrays = nargs - NUMBERS;
    Py_buffer *v = PyMem_Malloc(arrays * sizeof *v);
    if (!v) return PyErr_NoMemory();
    if (!open_arrays(args + NUMBERS, v, arrays, "rrrrwwwwrs")) {
        PyMem_Free(v);
        return NULL;
    }
    const Step *slot_step = v[0].buf, *step = v[1].buf, *end = step + v[1].len / sizeof(Step);
    const int32_t *indices = v[2].buf, *splats = v[3].buf, *output_row = v[8].buf;
    double *slots = v[4].buf, *out = v[5].buf, *sums = v[6].buf;
    Py_ssize_t splat_count = v[3].len / 8, outputs = v[8].len / 4;
    Py_ssize_t kept = v[5].shape[0], lanes = v[ARRAYS].shape[0], inputs = 0;
    for (Py_ssize_t i = ARRAYS; i < arrays; i++)
        inputs += v[i].ndim == 2 && v[i].shape[0] == lanes ? v[i].shape[1] : row_count + 1;
    if (inputs > row_count) {
        PyErr_SetString(PyExc_ValueError, "the lanes do not fit the plan");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    Room room = room_in(&v[7]);
    version->slots(slot_step, slot_step + v[0].len / sizeof(Step), indices, slots, room);
    long stride = stride_of(lanes < block ? (long)lanes : block), width = stride - 8;
    double *rows = room.numbers;
    room.numbers += (size_t)row_count * stride;
    for (Py_ssize_t i = 0; i < splat_count; i++) {
        double *row = rows + splats[2 * i] * stride, number = slots[splats[2 * i + 1]];
        for (long l = 0; l < width; l++) row[l] = number;
    }
    for (long b = first; b < last; b++) {
        Py_ssize_t begin = b * block;
        int size = lanes - begin < block ? (int)(lanes - begin) : (int)block;
        fill_rows(v + ARRAYS, v + arrays, begin, size, rows, stride);
        version->rows(step, end, indices, slots, rows, sums + b * outputs, size, (int)stride,
                      room);
        for (Py_ssize_t i = 0; i < kept; i++)
            if (output_row[i] >= 0)
                memcpy(out + i * lanes + begin, rows + (size_t)output_row[i] * stride, size * 8);
    }
    Py_END_ALLOW_THREADS
done:
    for (Py_ssize_t i = 0; i < arrays; i++) PyBuffer_Release(&v[i]);
    PyMem_Free(v);
    return inputs > row_count ? NULL : Py_NewRef(Py_None);
}

static PyObject *py_use(PyObject *self, PyObject *name)
{
    const char *wanted = PyUnicode_AsUTF8(name);
    if (!wanted) return NULL;
    for (int i = 0; i < VERSIONS; i++)
        if (!strcmp(versions[i].name, wanted) && supported(i)) {
            version = &versions[i];
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "the kernel has no version %R that this machine runs",
                        name);
}

static PyObject *py_available(PyObject *self, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < VERSIONS; i++) {
        PyObject *name = supported(i) ? PyUnicode_FromString(versions[i].name) : NULL;
        if (name && PyList_Append(list, name)) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyMethodDef methods[] = {
    {"room", (PyCFunction)(void (*)(void))py_room, METH_FASTCALL,
     "room(rows, block, slot_steps, row_steps): how long an array the runs need to work in."},
    {"run_slots", (PyCFunction)(void (*)(void))py_run_slots, METH_FASTCALL,
     "run_slots(steps, indices, slots, room): compute what depends on no lane."},
    {"run_rows", (PyCFunction)(void (*)(void))py_run_rows, METH_FASTCALL,
     "run_rows(rows, block, first, last, slot_steps, row_steps, indices, splats, slots, out, sums, "
     "room, output_row, *lanes): compute slots, then the blocks of lanes from first to last."},
    {"use", py_use, METH_O, "Choose a version by name, one of available()."},
    {"available", py_available, METH_NOARGS, "The versions that this machine runs, widest last."},
    {NULL, NULL, 0, NULL}};

static int begin(PyObject *module)
{
    for (int i = 0; i < VERSIONS; i++)
        if (supported(i)) version = &versions[i]; /* the widest is the last */
    return PyModule_AddIntConstant(module, "edition", TABLE_IN_C);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, begin},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "kernel", "Runs the steps of a Plan.", 0,
                             methods, module_slots};

PyMODINIT_FUNC PyInit_kernel(void) { return PyModuleDef_Init(&module); }
