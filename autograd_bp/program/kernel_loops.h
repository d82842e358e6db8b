/* The loops of the kernel, for one set of instructions: kernel.c includes this file once for
   each, with V(name) giving every function a name of its own.

   The mathematical functions have no branches, so that a compiler turns the loops around them
   into vector instructions. Each is within 4 ulp (tests/program/test_program_kernel.py measures it), and
   NaN and infinity go through as in the C library. */

#define LANES for (int l = 0; l < n; l++)

/* All loops go over multiples of 8 lanes: saying so saves the compiler loops for a remainder. */
#define WHOLE_VECTORS n &= ~7;
static inline int V(whole)(int n) { return (n + 7) & ~7; }

/* A vector of lanes as wide as the registers. */
typedef double V(Vec) __attribute__((vector_size(8 * WIDTH), aligned(8), may_alias));

/* Adding 1.5·2^52 to a number below 2^51 rounds it to a whole one, in the low bits. */
#define ROUNDER 0x1.8p52

/* 2^k · (1 + p): the parts of exp x, with p = expm1 of what is left of x. */
static inline double V(exp_parts)(double x, double *k)
{
    *k = (x * 0x1.71547652b82fep0 + ROUNDER) - ROUNDER;
    double r = (x - *k * 0x1.62e42feep-1) - *k * 0x1.a39ef35793c76p-33;
    /* Taylor's series: |r| < 0.35, so the next term would be below 1e-17. */
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * r * r + r;
}

/* 2^k for a whole k from -1022 to 1023. */
static inline double V(power_of_two)(double k)
{
    return number_of((bits_of(k + ROUNDER) << 52) + (UINT64_C(1023) << 52));
}

static inline double V(exp)(double x)
{
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    double k, p = V(exp_parts)(x, &k);
    double half = (k * 0.5 + ROUNDER) - ROUNDER; /* 2^k may be too large or small for one factor */
    return (1.0 + p) * V(power_of_two)(half) * V(power_of_two)(k - half);
}

static inline double V(expm1)(double x)
{
    double bounded = x > 700.0 ? 700.0 : x < -50.0 ? -50.0 : x;
    double k, p = V(exp_parts)(bounded, &k);
    double scale = V(power_of_two)(k);
    double y = scale * p + (scale - 1.0);
    y = x > 700.0 ? V(exp)(x) : y;
    return x == 0.0 ? x : y; /* so -0.0 stays */
}

/* x = 2^e · m with m near 1, and ln m = f - f²/2 + s·(f²/2 + R(s²)), s = f/(2 + f): fdlibm. */
static inline double V(log)(double x)
{
    int small = x < 0x1p-1022;
    uint64_t bits = bits_of(small ? x * 0x1p54 : x);
    double e = number_of((bits >> 52) | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023.0);
    double m = number_of((bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    int high = m > 1.4142135623730951;
    m = high ? m * 0.5 : m;
    e = (high ? e + 1.0 : e) - (small ? 54.0 : 0.0);
    double f = m - 1.0, s = f / (2.0 + f), z = s * s;
    double r = 1.479819860511658591e-01;
    r = r * z + 1.531383769920937332e-01;
    r = r * z + 1.818357216161805012e-01;
    r = r * z + 2.222219843214978396e-01;
    r = r * z + 2.857142874366239149e-01;
    r = r * z + 3.999999999940941908e-01;
    r = r * z + 6.666666666666735130e-01;
    r = r * z;
    double h = 0.5 * f * f;
    double y = e * 6.93147180369123816490e-01
             - ((h - (s * (h + r) + e * 1.90821492927058770002e-10)) - f);
    y = x == 0.0 ? -INFINITY : y;
    y = x < 0.0 ? NAN : y;
    return x < INFINITY ? y : x; /* so NaN stays */
}

static inline double V(log1p)(double x)
{
    double u = 1.0 + x;
    double y = V(log)(u) + (x - (u - 1.0)) / u; /* what 1 + x lost by rounding */
    y = u == 0.0 ? -INFINITY : y;
    y = x == 0.0 ? x : y;
    return x < INFINITY ? y : x;
}

static inline double V(sigmoid)(double x)
{
    double e = V(exp)(-fabs(x)); /* NaN stays in e */
    return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

/* Below 0.625 Cephes' rational approximation, above it 1 - 2/(e^2x + 1). */
static inline double V(tanh)(double x)
{
    double z = x * x, a = fabs(x);
    double p = -9.64399179425052238628e-1;
    p = p * z - 9.92877231001918586564e1;
    p = p * z - 1.61468768441708447952e3;
    double q = z + 1.12811678491632931402e2;
    q = q * z + 2.23548839060100448583e3;
    q = q * z + 4.84406305325125486048e3;
    double small = x == 0.0 ? x : x + x * z * (p / q);
    double large = copysign(1.0 - 2.0 / (V(exp)(2.0 * a) + 1.0), x);
    return a < 0.625 ? small : large;
}

/* x = k·π/2 + r with |r| < π/4, π/2 in three parts; valid for |x| < 1e5. Then fdlibm's series. */
static inline double V(sine)(double x, uint64_t quarter)
{
    double t = x * 0x1.45f306dc9c883p-1 + ROUNDER, k = t - ROUNDER;
    quarter += bits_of(t);
    double r = ((x - k * 1.57079632673412561417e+00) - k * 6.07710050630396597660e-11)
             - k * 2.02226624879595063154e-21;
    double z = r * r;
    double s = 1.58969099521155010221e-10;
    s = s * z - 2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z - 1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z - 1.66666666666666324348e-01;
    s = r + r * z * s;
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z - 2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z - 1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    double h = 0.5 * z, w = 1.0 - h;
    c = w + (((1.0 - w) - h) + z * z * c);
    double y = quarter & 1 ? c : s;
    return number_of(bits_of(y) ^ ((quarter & 2) << 62));
}

static inline double V(sin)(double x) { double y = V(sine)(x, 0); return x == 0.0 ? x : y; }
static inline double V(cos)(double x) { return V(sine)(x, 1); }

#define LARGE_ANGLES(f) \
    { int large = 0; LANES large |= !(fabs(p0[l]) < 1e5); \
      if (large) for (int l = 0; l < n; l++) if (!(fabs(p0[l]) < 1e5)) out[l] = f(p0[l]); }

/* e^(-x²): x² is rounded, and what that lost matters in the exponent (Dekker's product). */
static inline double V(exp_of_minus_square)(double x)
{
    double high = number_of(bits_of(x) & UINT64_C(0xfffffffff8000000)), low = x - high;
    double square = x * x;
    double lost = ((high * high - square) + 2.0 * high * low) + low * low;
    return V(exp)(-square) * (1.0 - lost);
}

/* Cephes' rational approximations. */
static inline double V(erf_below_one)(double x)
{
    double z = x * x;
    double t = 9.60497373987051638749e0;
    t = t * z + 9.00260197203842689217e1;
    t = t * z + 2.23200534594684319226e3;
    t = t * z + 7.00332514112805075473e3;
    t = t * z + 5.55923013010394962768e4;
    double u = z + 3.35617141647503099647e1;
    u = u * z + 5.21357949780152679795e2;
    u = u * z + 4.59432382970980127987e3;
    u = u * z + 2.26290000613890934246e4;
    u = u * z + 4.92673942608635921086e4;
    return x * t / u;
}

static inline double V(erfc_from_one)(double a)
{
    a = a > 28.0 ? 28.0 : a;
    double p = 2.46196981473530512524e-10;
    p = p * a + 5.64189564831068821977e-1;
    p = p * a + 7.46321056442269912687e0;
    p = p * a + 4.86371970985681366614e1;
    p = p * a + 1.96520832956077098242e2;
    p = p * a + 5.26445194995477358631e2;
    p = p * a + 9.34528527171957607540e2;
    p = p * a + 1.02755188689515710272e3;
    p = p * a + 5.57535335369399327526e2;
    double q = a + 1.32281951154744992508e1;
    q = q * a + 8.67072140885989742329e1;
    q = q * a + 3.54937778887819891062e2;
    q = q * a + 9.75708501743205489753e2;
    q = q * a + 1.82390916687909736289e3;
    q = q * a + 2.24633760818710981792e3;
    q = q * a + 1.65666309194161350182e3;
    q = q * a + 5.57535340817727675546e2;
    double r = 5.64189583547755073984e-1;
    r = r * a + 1.27536670759978104416e0;
    r = r * a + 5.01905042251180477414e0;
    r = r * a + 6.16021097993053585195e0;
    r = r * a + 7.40974269950448939160e0;
    r = r * a + 2.97886665372100240670e0;
    double s = a + 2.26052863220117276590e0;
    s = s * a + 9.39603524938001434673e0;
    s = s * a + 1.20489539808096656605e1;
    s = s * a + 1.70814450747565897222e1;
    s = s * a + 9.60896809063285878198e0;
    s = s * a + 3.36907645100081516050e0;
    return V(exp_of_minus_square)(a) * (a < 8.0 ? p / q : r / s);
}

static inline double V(erf)(double x)
{
    double a = fabs(x);
    double tail = copysign(1.0 - V(erfc_from_one)(a), x);
    return a > 1.0 ? tail : V(erf_below_one)(x);
}

static inline double V(erfc)(double x)
{
    double a = fabs(x), tail = V(erfc_from_one)(a);
    double y = x > 0.0 ? tail : 2.0 - tail;
    return a > 1.0 ? y : 1.0 - V(erf_below_one)(x);
}

#include "kernel_rows.h"

/* --- what is exactly 0 carries nothing --------------------------------------------------------

   In sums of products of the chain rule, 0·∞ and 0·NaN are 0. An ordinary sum tells where there
   was one, as then it is NaN: it is made again, product by product. */

static double V(carry_sum)(int k, const double *p, long p_step, const double *q, long q_step)
{
    double sum = 0.0;
    for (int i = 0; i < k; i++) sum += V(row_carry)(p[i * p_step], q[i * q_step]);
    return sum;
}

/* --- products of matrices ------------------------------------------------------------------ */

/* Products of TILE rows p with `vectors` vectors of columns, summed over their k numbers.
   `columns` is q turned over: number l of all of them lie together. */
static inline __attribute__((always_inline)) void V(outer_tile)(
    const double *const *p, const double *columns, size_t width, int k, double *out,
    const int vectors)
{
    V(Vec) sum[TILE][2];
    for (int r = 0; r < TILE; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = (V(Vec)){0};
    for (int l = 0; l < k; l++, columns += width) {
        V(Vec) u[2];
        for (int v = 0; v < vectors; v++) u[v] = *(const V(Vec) *)(columns + v * WIDTH);
        for (int r = 0; r < TILE; r++)
            for (int v = 0; v < vectors; v++) sum[r][v] += p[r][l] * u[v];
    }
    for (int r = 0; r < TILE; r++)
        for (int v = 0; v < vectors; v++) *(V(Vec) *)(out + (r * 2 + v) * WIDTH) = sum[r][v];
}

/* --- slots: loops over instructions ------------------------------------------------------ */

static double V(dot)(int k, const double *slots, const int32_t *w)
{
    double sum = 0.0;
    const int32_t *x = w + k;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < k; i++) sum += slots[w[i]] * slots[x[i]];
    return slots[w[2 * k]] + sum;
}

static double V(carry_dot)(int k, const double *slots, const int32_t *w)
{
    double y = V(dot)(k, slots, w);
    if (y == y) return y;
    const int32_t *x = w + k;
    y = 0.0;
    for (int i = 0; i < k; i++) y += V(row_carry)(slots[w[i]], slots[x[i]]);
    return slots[w[2 * k]] + y;
}

static double V(sum_of)(int k, const double *slots, const int32_t *x)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < k; i++) sum += slots[x[i]];
    return sum;
}

/* Slots next to each other, in whole vectors. */
static void V(gather)(const double *slots, const int32_t *from, int n, double *to)
{
    LANES to[l] = slots[from[l]];
    for (int l = n; l < V(whole)(n); l++) to[l] = to[n - 1];
}

/* A step PRODUCT. Operands are brought together first: index by index, that is most of its time.
   Not inlined, so that the loops of other steps have the registers. */
static __attribute__((noinline)) void V(product)(const Step *s, const int32_t *index, double *slots,
                                                   double *p)
{
    int n = s->n, m = s->extra, k = s->k, width = V(whole)(m);
    double *columns = p + (size_t)n * k;
    double found[TILE * 2 * WIDTH], *y = slots + s->out;
    for (int i = 0; i < n * k; i++) p[i] = slots[*index++];
    for (int l = 0; l < k; l++, index += m) V(gather)(slots, index, m, columns + (size_t)l * width);
    for (int i = 0; i < n; i += TILE) {
        const double *tile[TILE];
        for (int r = 0; r < TILE; r++) tile[r] = p + (size_t)(i + r < n ? i + r : i) * k;
        for (int j = 0; j < width; j += 2 * WIDTH) {
            if (j + WIDTH < width)
                V(outer_tile)(tile, columns + j, width, k, found, 2);
            else
                V(outer_tile)(tile, columns + j, width, k, found, 1);
            for (int r = i; r < i + TILE && r < n; r++)
                for (int c = j; c < j + 2 * WIDTH && c < m; c++) {
                    double sum = found[(r - i) * 2 * WIDTH + c - j];
                    if (sum != sum && s->op == CARRY_PRODUCT)
                        sum = V(carry_sum)(k, p + (size_t)r * k, 1, columns + c, width);
                    y[(size_t)r * m + c] = slots[index[(size_t)r * m + c]] + sum;
                }
        }
    }
}

static void V(run_slots)(const Step *step, const Step *end, const int32_t *indices, double *slots,
                         Room room)
{
    static const int32_t in_order[] = {0, 1, 2};
    double gathered[3 * LARGEST], result[LARGEST];
    for (; step < end; step++) {
        const int32_t *index = indices + step->args;
        double *y = slots + step->out;
        int n = step->n, k = step->k;
        if (step->op == COPY) {
            LANES y[l] = slots[index[l]];
        } else if (step->op == PRODUCT || step->op == CARRY_PRODUCT) {
            V(product)(step, index, slots, room.numbers);
        } else if (step->op == DOT && n == 1) {
            *y = V(dot)(k, slots, index);
        } else if (step->op == CARRY_DOT && n == 1) {
            *y = V(carry_dot)(k, slots, index);
        } else if (step->op == SUM_OF && n == 1) {
            *y = V(sum_of)(k, slots, index);
        } else if (is_nary(step->op)) {
            int count = operands_of(step);
            for (int begin = 0; begin < n; begin += PART) {
                int size = n - begin < PART ? n - begin : PART, width = V(whole)(size);
                double *to = room.numbers;
                const double **p = room.end - count;
                for (int i = 0; i < count; i++, to += width) {
                    p[i] = to;
                    V(gather)(slots, index + (size_t)i * n + begin, size, to);
                }
                V(many)(step->op, k, width, result, p);
                memcpy(y + begin, result, size * 8);
            }
        } else {
            int count = operand_count[step->op];
            for (int begin = 0; begin < n; begin += LARGEST) {
                int size = n - begin < LARGEST ? n - begin : LARGEST;
                for (int i = 0; i < count; i++)
                    V(gather)(slots, index + (size_t)i * n + begin, size, gathered + i * LARGEST);
                V(elementwise)(step->op, 1, V(whole)(size), result, gathered, in_order, LARGEST);
                memcpy(y + begin, result, size * 8);
            }
        }
    }
}

/* --- rows: loops over lanes --------------------------------------------------------------- */

/* `tile` neurons (TILE of them, or what is left) from k rows, for `vectors` vectors of lanes. */
static inline __attribute__((always_inline)) void V(layer_tile)(
    const Step *s, const int32_t *x, const double *w, double *out, const double *rows, int tile,
    int stride, const int vectors)
{
    V(Vec) sum[TILE][2];
    for (int r = 0; r < TILE; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = w[r] - (V(Vec)){0};
    for (int j = 0; j < s->k; j++) {
        const double *from = rows + (size_t)x[j] * stride, *weight = w + TILE * (j + 1);
        V(Vec) u[2];
        for (int v = 0; v < vectors; v++) u[v] = *(const V(Vec) *)(from + v * WIDTH);
        for (int r = 0; r < TILE; r++)
            for (int v = 0; v < vectors; v++) sum[r][v] += weight[r] * u[v];
    }
    for (int r = 0; r < tile; r++)
        for (int v = 0; v < vectors; v++)
            *(V(Vec) *)(out + (size_t)r * stride + v * WIDTH) = sum[r][v];
}

static void V(layer)(const Step *s, const int32_t *x, const double *slots, double *rows, int n,
                     int stride)
{
    for (int r = 0; r < s->n; r += TILE) {
        int tile = s->n - r < TILE ? s->n - r : TILE;
        const double *w = slots + s->extra + (size_t)r * (s->k + 1);
        double *out = rows + (size_t)(s->out + r) * stride;
        int l = 0;
        for (; l + 2 * WIDTH <= n; l += 2 * WIDTH)
            V(layer_tile)(s, x, w, out + l, rows + l, tile, stride, 2);
        for (; l < n; l += WIDTH) V(layer_tile)(s, x, w, out + l, rows + l, tile, stride, 1);
    }
}

/* Not inlined, so that the loops of a plain layer have the registers. */
static __attribute__((noinline)) void V(carry_layer)(
    const Step *s, const int32_t *x, const double *slots, double *rows, int n, int stride)
{
    V(layer)(s, x, slots, rows, n, stride);
    for (int r = 0; r < s->n; r++) {
        double *out = rows + (size_t)(s->out + r) * stride;
        int wrong = 0;
        LANES wrong |= out[l] != out[l];
        if (!wrong) continue;
        const double *w = slots + s->extra + (size_t)(r - r % TILE) * (s->k + 1) + r % TILE;
        for (int l = 0; l < n; l++) {
            if (out[l] == out[l]) continue;
            double sum = 0.0;
            for (int j = 0; j < s->k; j++)
                sum += V(row_carry)(w[TILE * (j + 1)], rows[(size_t)x[j] * stride + l]);
            out[l] = w[0] + sum;
        }
    }
}

/* The same as `outer_tile` for few products: vectors run over the lanes, and are added up at the end. */
static inline __attribute__((always_inline)) void V(narrow_tile)(
    const Step *s, const double *rows, const int32_t *p, const int32_t *q, const int32_t *places,
    double *sums, int n, int stride, const int tall, const int wide)
{
    V(Vec) sum[TILE][2] = {{{0}}};
    for (int l = 0; l < n; l += WIDTH) {
        V(Vec) v[2];
        for (int j = 0; j < wide; j++) v[j] = *(const V(Vec) *)(rows + (size_t)q[j] * stride + l);
        for (int i = 0; i < tall; i++) {
            V(Vec) u = *(const V(Vec) *)(rows + (size_t)p[i] * stride + l);
            for (int j = 0; j < wide; j++) sum[i][j] += u * v[j];
        }
    }
    for (int i = 0; i < tall; i++)
        for (int j = 0; j < wide; j++) {
            double part[WIDTH];
            memcpy(part, &sum[i][j], sizeof part);
            for (int half = WIDTH / 2; half; half /= 2)
                for (int l = 0; l < half; l++) part[l] += part[l + half];
            if (part[0] != part[0] && s->op == CARRY_OUTER)
                part[0] = V(carry_sum)(n, rows + (size_t)p[i] * stride, 1,
                                       rows + (size_t)q[j] * stride, 1);
            sums[places[(size_t)i * s->k + j]] += part[0];
        }
}

static void V(narrow_outer)(const Step *s, const int32_t *p, double *rows, double *sums, int lanes,
                            int stride)
{
    const int32_t *q = p + s->n, *places = q + s->k;
    int n = V(whole)(lanes);
    for (int i = 0; i < s->n + s->k; i++) /* lanes that are none add nothing */
        for (int l = lanes; l < n; l++) rows[(size_t)p[i] * stride + l] = 0.0;
    for (int i = 0, tall; i < s->n; i += tall) {
        tall = s->n - i >= TILE ? TILE : 1;
        for (int j = 0, wide; j < s->k; j += wide) {
            wide = s->k - j >= 2 ? 2 : 1;
            const int32_t *at = places + (size_t)i * s->k + j;
            if (tall == TILE && wide == 2)
                V(narrow_tile)(s, rows, p + i, q + j, at, sums, n, stride, TILE, 2);
            else if (tall == TILE)
                V(narrow_tile)(s, rows, p + i, q + j, at, sums, n, stride, TILE, 1);
            else if (wide == 2)
                V(narrow_tile)(s, rows, p + i, q + j, at, sums, n, stride, 1, 2);
            else
                V(narrow_tile)(s, rows, p + i, q + j, at, sums, n, stride, 1, 1);
        }
    }
}

static void V(outer)(const Step *s, const int32_t *p, double *rows, double *sums, int lanes,
                     int stride, double *columns)
{
    if (s->n * s->k < MANY_PRODUCTS) {
        V(narrow_outer)(s, p, rows, sums, lanes, stride);
        return;
    }
    const int32_t *q = p + s->n, *places = q + s->k;
    size_t width = (s->k + WIDTH - 1) / WIDTH * WIDTH;
    double found[TILE * 2 * WIDTH];
    for (int j = 0; j < (int)width; j++) {
        const double *row = rows + (size_t)q[j < s->k ? j : 0] * stride;
        for (int l = 0; l < lanes; l++) columns[l * width + j] = row[l];
    }
    for (int i = 0; i < s->n; i += TILE) {
        const double *tile[TILE];
        for (int r = 0; r < TILE; r++)
            tile[r] = rows + (size_t)p[i + r < s->n ? i + r : i] * stride;
        for (int j = 0; j < (int)width; j += 2 * WIDTH) {
            if (j + WIDTH < (int)width)
                V(outer_tile)(tile, columns + j, width, lanes, found, 2);
            else
                V(outer_tile)(tile, columns + j, width, lanes, found, 1);
            for (int r = 0; r < TILE && i + r < s->n; r++)
                for (int c = 0; c < 2 * WIDTH && j + c < s->k; c++) {
                    double sum = found[r * 2 * WIDTH + c];
                    if (sum != sum && s->op == CARRY_OUTER)
                        sum = V(carry_sum)(lanes, tile[r], 1, columns + j + c, width);
                    sums[places[(size_t)(i + r) * s->k + j + c]] += sum;
                }
        }
    }
}

/* One block of `lanes` lanes; rows lie `stride` numbers apart. */
static void V(run_rows)(const Step *step, const Step *end, const int32_t *indices,
                        const double *slots, double *rows, double *sums, int lanes, int stride,
                        Room room)
{
    int n = V(whole)(lanes); /* whole vectors: the lanes beyond are computed and left alone */
    for (; step < end; step++) {
        const int32_t *index = indices + step->args;
        double *y = rows + (size_t)step->out * stride;
        if (step->op == LAYER) {
            V(layer)(step, index, slots, rows, n, stride);
        } else if (step->op == CARRY_LAYER) {
            V(carry_layer)(step, index, slots, rows, n, stride);
        } else if (step->op == OUTER || step->op == CARRY_OUTER) {
            V(outer)(step, index, rows, sums, lanes, stride, room.numbers);
        } else if (is_nary(step->op)) {
            int count = operands_of(step);
            const double **p = room.end - count;
            for (int i = 0; i < step->n; i++, index += count, y += stride) {
                for (int j = 0; j < count; j++) p[j] = rows + (size_t)index[j] * stride;
                V(many)(step->op, step->k, n, y, p);
            }
        } else {
            V(elementwise)(step->op, step->n, n, y, rows, index, stride);
        }
    }
}

#undef LANES
#undef WHOLE_VECTORS
#undef LARGE_ANGLES
