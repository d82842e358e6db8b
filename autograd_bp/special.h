/* Functions that C lacks, as special.py has them in Python, operation by operation: both round alike. */

static const double bernoulli[] = {
    1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6, -3617.0 / 510,
    43867.0 / 798, -174611.0 / 330, 854513.0 / 138, -236364091.0 / 2730, 8553103.0 / 6,
    -23749461029.0 / 870, 8615841276005.0 / 14322};

/* A sum that is rounded once, at its end: numbers that do not overlap, the smallest first, as many as
   terms at most, of which polygamma_scaled has 649. */
typedef struct { int count; double infinite, parts[649]; } ExactSum;

static void exact_add(ExactSum *sum, double x)
{
    int count = 0;
    if (sum->infinite != 0.0) return;
    for (int i = 0; i < sum->count; i++) {
        double y = sum->parts[i], high = x + y;
        if (fabs(high) == INFINITY) {
            sum->infinite = high;
            return;
        }
        double low = fabs(x) < fabs(y) ? x - (high - y) : y - (high - x);
        if (low != 0.0) sum->parts[count++] = low;
        x = high;
    }
    if (fabs(x) == INFINITY) sum->infinite = x;
    if (x != 0.0) sum->parts[count++] = x;
    sum->count = count;
}

static double exact_total(const ExactSum *sum)
{
    int i = sum->count;
    if (sum->infinite != 0.0) return sum->infinite;
    if (i == 0) return 0.0;
    double high = sum->parts[--i], low = 0.0;
    while (i > 0 && low == 0.0) {
        double x = high, y = sum->parts[--i];
        high = x + y;
        low = y - (high - x);
    }
    if (i > 0 && low * sum->parts[i - 1] > 0.0) { /* what is left decides a tie */
        double x = high + low * 2.0;
        if (x - high == low * 2.0) return x;
    }
    return high;
}

/* n!/m!·high, rounded once: low is what high lacks. */
static double times_factorial(double high, int m, int n)
{
    double low = 0.0;
    for (int k = m + 1; k <= n; k++) {
        double y = high * k, lost = fma(high, k, -y) + low * k;
        high = y + lost;
        low = lost - (high - y);
    }
    return high;
}

static double factorial(int n) { return times_factorial(1.0, 0, n); }

static double polygamma_of_positive(int n, double x)
{
    double sign = n % 2 == 0 ? -1.0 : 1.0, all = factorial(n);
    ExactSum sum;
    sum.count = 0;
    sum.infinite = 0.0;
    for (; x < 16 + n; x += 1) exact_add(&sum, sign * all * pow(x, -(n + 1)));
    exact_add(&sum, n == 0 ? log(x) : sign * factorial(n - 1) * pow(x, -n));
    exact_add(&sum, n == 0 ? -0.5 / x : sign * all * 0.5 * pow(x, -(n + 1)));
    for (int k = 1; k <= 15; k++) {
        double coefficient = bernoulli[k - 1] * factorial(2 * k + n - 1) / factorial(2 * k);
        exact_add(&sum, sign * coefficient * pow(x, -(2 * k + n)));
    }
    return exact_total(&sum);
}

static double polygamma_reflected(int n, double x)
{
    const double pi = 3.141592653589793;
    double r = x - rint(x), coefficients[2][104] = {{0.0, 1.0}}, total = 0.0;
    double cot = fabs(r) < 0.25 ? 1.0 / tan(pi * r) : copysign(tan(pi * (0.5 - fabs(r))), r);
    for (int i = 0; i < n; i++) {
        const double *c = coefficients[i % 2];
        double *next = coefficients[(i + 1) % 2];
        for (int k = 0; k <= i + 2; k++)
            next[k] = -((k <= i ? (k + 1) * c[k + 1] : 0.0) + (k >= 2 ? (k - 1) * c[k - 1] : 0.0));
    }
    for (int k = (n + 1) % 2; k <= n + 1; k += 2) total += coefficients[n % 2][k] * pow(cot, k);
    double derivative = pow(pi, n + 1) * total;
    return (n % 2 ? -1.0 : 1.0) * polygamma_of_positive(n, 1.0 - x) - derivative;
}

static double polygamma_scaled(int n, double x)
{
    double away = x > 0.0 ? x : x - rint(x), d = fabs(away);
    ExactSum sum;
    sum.count = 0;
    sum.infinite = 0.0;
    int k = x > 0.0 ? 0 : (int)fmax(rint(x), -16 - n);
    for (; away + k < 16 + n; k++) exact_add(&sum, pow(d / (away + k), n + 1));
    x = away + k;
    double term = d / n * pow(d / x, n);
    exact_add(&sum, term);
    exact_add(&sum, term * n * 0.5 / x);
    for (k = 1; k <= 15; k++) {
        term *= (2 * k + n - 2) / x * ((2 * k + n - 1) / x) / (2 * k * (2 * k - 1));
        exact_add(&sum, bernoulli[k - 1] * term);
    }
    double y = (n % 2 == 0 ? -1.0 : 1.0) * exact_total(&sum) / d;
    for (k = 1; k <= n; k++) y *= k / d;
    return y;
}

static double polygamma(double n, double x)
{
    int inside = n >= 0.0 && n <= 300.0 && n == floor(n) && (x > 0.0 || x != floor(x));
    if (!inside) return NAN;
    if (x == INFINITY) return n == 0.0 ? INFINITY : 0.0;
    if (n > 100.0) return polygamma_scaled((int)n, x);
    return x < 0.0 ? polygamma_reflected((int)n, x) : polygamma_of_positive((int)n, x);
}
