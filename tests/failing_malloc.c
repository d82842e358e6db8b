/* malloc and its kin with a number of calls after which they fail, for tests/oom.py. Loaded before the
   C library, and imported by Python as a module. It needs glibc, whose own functions it calls.

   Python, NumPy and optree have failures of their own that they do not bear: they leave references
   behind, or read null pointers. So what fails is what the project's compiled modules ask for, be
   it through Python's functions, and the larger arrays that NumPy allocates; not what the loop of the
   interpreter asks for, which runs our plain Python. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdatomic.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static atomic_long armed, forever, left, refused, live;

enum { MODULES = 16, LARGE = 4096 };
static struct { uintptr_t begin, end; int is_numpy; } modules[MODULES];
static int found;
static uintptr_t loop_begin, loop_end; /* of the interpreter */

static void find_the_loop(void)
{
    Dl_info info;
    ElfW(Sym) *symbol = NULL;
    void *loop = dlsym(RTLD_DEFAULT, "_PyEval_EvalFrameDefault");
    if (!loop || !dladdr1(loop, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) abort();
    loop_begin = (uintptr_t)loop;
    loop_end = loop_begin + symbol->st_size;
}

static int find(struct dl_phdr_info *info, size_t size, void *unused)
{
    int is_numpy = strstr(info->dlpi_name, "_multiarray_umath") != NULL;
    if (found == MODULES || (!is_numpy && !strstr(info->dlpi_name, "/autograd_bp/"))) return 0;
    modules[found].begin = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD) modules[found].end = end;
    }
    modules[found++].is_numpy = is_numpy;
    return 0;
}

static int is_in(void *address, int numpy)
{
    for (int i = 0; i < found; i++)
        if (modules[i].is_numpy == numpy && (uintptr_t)address >= modules[i].begin
            && (uintptr_t)address < modules[i].end) return 1;
    return 0;
}

/* Whether one of our modules asks for the memory, a few calls above. */
static int is_asked_by_us(void)
{
    void *calls[10];
    int n = backtrace(calls, 10);
    for (int i = 2; i < n && !is_in(calls[i], 1); i++) {
        if (is_in(calls[i], 0)) return 1;
        if ((uintptr_t)calls[i] >= loop_begin && (uintptr_t)calls[i] < loop_end) return 0;
    }
    return 0;
}

static int fails(void *caller, size_t size)
{
    if (!atomic_load(&armed)) return 0;
    if (!(size >= LARGE && is_in(caller, 1)) && !is_asked_by_us()) return 0;
    long n = atomic_fetch_sub(&left, 1);
    if (n > 0 || (n < 0 && !atomic_load(&forever))) return 0;
    atomic_fetch_add(&refused, 1);
    errno = ENOMEM;
    return 1;
}

static void *counted(void *block)
{
    if (block) atomic_fetch_add(&live, 1);
    return block;
}

void *malloc(size_t size) { return fails(__builtin_return_address(0), size) ? NULL : counted(__libc_malloc(size)); }
void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0), n * size) ? NULL : counted(__libc_calloc(n, size)); }
void *memalign(size_t to, size_t size) { return fails(__builtin_return_address(0), size) ? NULL : counted(__libc_memalign(to, size)); }
void *aligned_alloc(size_t to, size_t size) { return memalign(to, size); }

int posix_memalign(void **block, size_t to, size_t size)
{
    void *found = memalign(to, size);
    if (!found) return ENOMEM;
    *block = found;
    return 0;
}

void *realloc(void *block, size_t size)
{
    if (fails(__builtin_return_address(0), size)) return NULL;
    void *moved = __libc_realloc(block, size);
    if (block && !size) atomic_fetch_sub(&live, 1);
    if (!block) counted(moved);
    return moved;
}

void free(void *block)
{
    if (block) atomic_fetch_sub(&live, 1);
    __libc_free(block);
}

/* fail_after(n): allocation n, counted from 0, fails; if n < 0, number -1 - n and all after it. */
static PyObject *fail_after(PyObject *self, PyObject *number)
{
    long n = PyLong_AsLong(number);
    if (!found) dl_iterate_phdr(find, NULL);
    find_the_loop();
    is_asked_by_us(); /* which loads a library when it is first called */
    if (n == -1 && PyErr_Occurred()) return NULL;
    atomic_store(&refused, 0);
    atomic_store(&forever, n < 0);
    atomic_store(&left, n < 0 ? -1 - n : n);
    atomic_store(&armed, 1);
    Py_RETURN_NONE;
}

static PyObject *fail_no_more(PyObject *self, PyObject *unused)
{
    atomic_store(&armed, 0);
    Py_RETURN_NONE;
}

static PyObject *refusals(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(atomic_load(&refused));
}

static PyObject *blocks(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(atomic_load(&live));
}

static PyMethodDef methods[] = {
    {"fail_after", fail_after, METH_O, NULL},
    {"fail_no_more", fail_no_more, METH_NOARGS, NULL},
    {"refusals", refusals, METH_NOARGS, NULL},
    {"blocks", blocks, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "failing_malloc", NULL, -1, methods};

PyMODINIT_FUNC PyInit_failing_malloc(void) { return PyModule_Create(&module); }
