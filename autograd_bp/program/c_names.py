"""Names that C and C++ keep for themselves, and names that are free.

The list is of what C89 to C23 and C++98 to C++26 reserve, of what POSIX, BSD and GNU put into
<math.h> besides, and of what compilers know without being told. Of names that are only reserved
for what may come, such as those that begin with str, it has those that have come.
"""

from __future__ import annotations

import re
from collections.abc import Container

__all__ = ["free_name", "is_reserved"]

KEYWORDS = """
alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor
bool break case catch char char16_t char32_t char8_t class co_await co_return co_yield compl
concept const const_cast consteval constexpr constinit continue contract_assert decltype default
delete do double dynamic_cast else enum errno explicit export extern false final float for
fortran friend goto i386 if import inline int linux long main module mutable namespace new
noexcept not not_eq nullptr operator or or_eq override private protected public reflexpr
register reinterpret_cast requires restrict return short signed sizeof static static_assert
static_cast std struct switch synchronized template this thread_local throw true try typedef
typeid typename typeof typeof_unqual union unix unsigned using virtual void volatile wchar_t
while xor xor_eq
"""
"""The keywords of both languages, and what a compiler defines or finds special."""

MATHEMATICS = """
acos acosh acospi asin asinh asinpi atan atan2 atan2pi atanh atanpi cabs cacos cacosh
canonicalize carg casin casinh catan catanh cbrt ccos ccosh ceil cexp cimag clog clog10
compoundn conj copysign cos cosh cospi cpow cproj creal csin csinh csqrt ctan ctanh drem erf
erfc exp exp10 exp10m1 exp2 exp2m1 expm1 fabs fdim finite floor fma fmax fmaximum
fmaximum_mag fmaximum_mag_num fmaximum_num fmaxmag fmin fminimum fminimum_mag
fminimum_mag_num fminimum_num fminmag fmod frexp fromfp fromfpx gamma getpayload hypot ilogb
isinf isnan j0 j1 jn ldexp lgamma llogb llrint llround log log10 log10p1 log1p log2 log2p1
logb logp1 lrint lround modf nan nearbyint nextafter nextdown nexttoward nextup pow pow10
pown powr remainder remquo rint rootn round roundeven rsqrt scalb scalbln scalbn setpayload
setpayloadsig significand sin sincos sinh sinpi sqrt strfrom strto tan tanh tanpi tgamma
totalorder totalordermag trunc ufromfp ufromfpx y0 y1 yn
"""
"""The functions of <math.h> and <complex.h>, each with one name for each type of number."""

LIBRARY = """
BUFSIZ CLOCKS_PER_SEC CMPLX CMPLXF CMPLXL DECIMAL_DIG FILE FILENAME_MAX FOPEN_MAX HUGE HUGE_VAL
HUGE_VALF HUGE_VALL I INFINITY L_tmpnam MB_CUR_MAX MB_LEN_MAX NAN NULL ONCE_FLAG_INIT RAND_MAX
TMP_MAX TSS_DTOR_ITERATIONS WEOF abort abs aligned_alloc alloca asctime assert at_quick_exit
atexit atof atoi atol atoll bcmp bcopy bfill bsearch btowc bzero c16rtomb c32rtomb c8rtomb
call_once calloc clearerr clock clock_t complex ctime dcgettext dgettext difftime div div_t
double_t execl execle execlp execv execve execvp exit fclose feclearexcept fegetenv
fegetexceptflag fegetmode fegetround feholdexcept femode_t fenv_t feof feraiseexcept ferror
fesetenv fesetexcept fesetexceptflag fesetmode fesetround fetestexcept fetestexceptflag
feupdateenv fexcept_t fflush ffs ffsl ffsll fgetc fgetpos fgets fgetwc fgetws float_t fopen fork
fpclassify fpos_t fprintf fprintf_unlocked fputc fputc_unlocked fputs fputs_unlocked fputwc
fputws fread free free_aligned_sized free_sized freopen fscanf fseek fsetpos ftell fwide
fwprintf fwrite fwrite_unlocked fwscanf getc getchar getenv gets gettext getwc getwchar gmtime
gmtime_r imaginary imaxabs imaxdiv imaxdiv_t index isalnum isalpha isascii isblank iscntrl
isdigit isgraph islower isprint ispunct isspace isupper iswalnum iswalpha iswblank iswcntrl
iswctype iswdigit iswgraph iswlower iswprint iswpunct iswspace iswupper iswxdigit isxdigit
kill_dependency labs ldiv ldiv_t llabs lldiv lldiv_t localeconv localtime localtime_r longjmp
malloc math_errhandling matherr max_align_t mblen mbrlen mbrtoc16 mbrtoc32 mbrtoc8 mbrtowc
mbsinit mbsrtowcs mbstate_t mbstowcs mbtowc memalignment memccpy memchr memcmp memcpy memmove
memory_order mempcpy memset memset_explicit mktime noreturn offsetof once_flag perror
posix_memalign printf printf_unlocked ptrdiff_t putc putc_unlocked putchar putchar_unlocked puts
puts_unlocked putwc putwchar qsort quick_exit raise rand realloc remove rename rewind rindex
scanf setbuf setjmp setlocale setvbuf sig_atomic_t signal signbit signgam size_t snprintf
sprintf srand sscanf stderr stdin stdout stpcpy stpncpy strcasecmp strcat strchr strcmp strcoll
strcpy strcspn strdup strerror strfmon strfromd strftime strlen strncasecmp strncat strncmp
strncpy strndup strnlen strpbrk strrchr strspn strstr strtod strtoimax strtok strtold strtoll
strtoul strtoull strtoumax strxfrm swab swprintf swscanf system time time_t timegm timespec_get
timespec_getres tmpfile tmpnam toascii tolower toupper towctrans towlower towupper ungetc
ungetwc unreachable va_arg va_copy va_end va_list va_start vfprintf vfscanf vfwprintf vfwscanf
vprintf vscanf vsnprintf vsprintf vsscanf vswprintf vswscanf vwprintf vwscanf wcrtomb wcscat
wcschr wcscmp wcscoll wcscpy wcscspn wcsftime wcslen wcsncat wcsncmp wcsncpy wcspbrk wcsrchr
wcsrtombs wcsspn wcsstr wcstod wcstof wcstoimax wcstok wcstol wcstold wcstoll wcstombs wcstoul
wcstoull wcstoumax wcsxfrm wctob wctomb wctrans wctrans_t wctype wctype_t wint_t wmemchr wmemcmp
wmemcpy wmemmove wmemset wprintf wscanf
"""
"""Functions, types and macros of the other headers."""

TYPES = "f|l|d32|d64|d128|f16|f32|f64|f128|f32x|f64x"
FAMILIES = [
    rf"({'|'.join(MATHEMATICS.split())})({TYPES})?(_r)?",
    r"[fd](add|sub|mul|div|fma|sqrt)l?",
    r"f(32|64)x?(add|sub|mul|div|fma|sqrt)f(32|64|128)x?",
    r"is\w*(greater|less|equal|unordered)\w*",
    r"is(finite|normal|signaling|subnormal|zero|canonical|eqsig)",
    r"u?int(_fast|_least)?(8|16|32|64)_t|u?int(max|ptr)_t",
    r"U?INT(_FAST|_LEAST)?(8|16|32|64)_(MAX|MIN|C|WIDTH)|U?INT(MAX|PTR)_(MAX|MIN|C|WIDTH)",
    r"(S?CHAR|UCHAR|U?SHRT|U?INT|U?LONG|U?LLONG)_(BIT|MAX|MIN|WIDTH)",
    r"(BOOL|SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC|BITINT)_(MAX|MIN|WIDTH|MAXWIDTH)",
    r"(FLT|DBL|LDBL|DEC|DEC32|DEC64|DEC128|FE|FP|LC|M|SIG|ATOMIC|MATH|SEEK|EXIT|TIME)_[A-Z0-9_]+",
    r"SIG[A-Z0-9]+|E[A-Z0-9]{2,}",
    r"(BIG|LITTLE|PDP)_ENDIAN|BYTE_ORDER|FD_[A-Z]+|NFDBITS|(be|le)\d+toh|hto(be|le)\d+",
    r"W(IF)?(CONTINUED|EXITED|SIGNALED|STOPPED)|W(EXITSTATUS|NOHANG|NOWAIT|STOPSIG|TERMSIG|UNTRACED)",
    rf"M_[A-Z0-9_]+({TYPES})|HUGE_VAL_[FD]\w+|SNAN[A-Z0-9]*|MAXFLOAT",
    r"(PRI|SCN)[bBdiouxX](MAX|PTR|(FAST|LEAST)?(8|16|32|64))",
    r"(atomic|memory_order|cnd|mtx|thrd|tss|ckd|stdc)_\w+",
    r"_\w*|\w*__\w*",  # in C those that begin with it, in C++ those with two of it anywhere
]
"""Names of one kind, as regular expressions."""

_NAMES = frozenset(f"{KEYWORDS} {LIBRARY}".split())
_FAMILY = re.compile("|".join(f"(?:{family})" for family in FAMILIES), re.ASCII)


def is_reserved(name: str) -> bool:
    """Whether a name means something in C or C++ already, or may.

    >>> [name for name in ("x", "exp2f", "new", "NAN", "_t", "index") if not is_reserved(name)]
    ['x']
    """
    return name in _NAMES or _FAMILY.fullmatch(name) is not None


def free_name(text: str, taken: Container[str] = (), default: str = "x") -> str:
    """A name in C for what is called so elsewhere: the same where it may be, else a like one.

    >>> free_name("x"), free_name("new"), free_name("θ₁"), free_name("a b", {"a_b", "a_b_"})
    ('x', 'new_', 'x', 'a_b_2')
    >>> free_name("atomic_mass"), free_name("1st")
    ('x_atomic_mass', 'x1st')
    """
    name = re.sub(r"[\W_]+", "_", text, flags=re.ASCII)[:56].strip("_")
    name = name if re.match("[A-Za-z]", name) else f"{default}{name}"
    if is_reserved(f"{name}_"):  # of a family that goes by how names begin
        name = f"{default}_{name}"
    free, count = name, 1
    while is_reserved(free) or free in taken:
        free = f"{name}_" if count == 1 else f"{name}_{count}"
        count += 1
    return free
