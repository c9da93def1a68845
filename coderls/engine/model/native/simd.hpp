// Vectors of sixteen lanes: AVX-512, AVX2 in two halves, or what the compiler makes of vectors of any size.
//
// F16: sixteen floats. I16: sixteen 32-bit integers. B64: sixty-four bytes, four to a lane.
// CODERLS_PORTABLE chooses the last whatever the processor has: tests compare all three.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if !defined(CODERLS_PORTABLE) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define CODERLS_AVX512 1
#include <immintrin.h>
#elif !defined(CODERLS_PORTABLE) && defined(__AVX2__) && defined(__FMA__)
#define CODERLS_AVX2 1
#include <immintrin.h>
#endif

namespace simd {

// ROWS: how many rows' sums the registers hold beside a weight. Loops over them are unrolled where vectors are native;
// plain vectors make so much code of it that compiling takes minutes.
#if defined(CODERLS_AVX512)
#if defined(__AVX512VNNI__)
constexpr const char* NAME = "AVX-512 VNNI";
#else
constexpr const char* NAME = "AVX-512";
#endif
constexpr int ROWS = 8;
#define CODERLS_UNROLL _Pragma("GCC unroll 8")
#elif defined(CODERLS_AVX2)
constexpr const char* NAME = "AVX2";
constexpr int ROWS = 4;
#define CODERLS_UNROLL _Pragma("GCC unroll 8")
#else
constexpr const char* NAME = "portable";
constexpr int ROWS = 2;
#define CODERLS_UNROLL _Pragma("GCC unroll 1")
#endif

inline float from_bf16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

// To the nearest, ties to even; a NaN stays one.
inline uint16_t to_bf16(float value) {
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  if ((wide & 0x7fffffffu) > 0x7f800000u) return uint16_t((wide >> 16) | 0x40);
  return uint16_t((wide + 0x7fff + ((wide >> 16) & 1)) >> 16);
}

#if defined(CODERLS_AVX512)

struct F16 { __m512 v; };
struct I16 { __m512i v; };
struct B64 { __m512i v; };

inline F16 splat(float x) { return {_mm512_set1_ps(x)}; }
inline F16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
inline F16 add(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F16 mul(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F16 div(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 max(F16 a, F16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F16 abs(F16 a) { return {_mm512_abs_ps(a.v)}; }
inline F16 round(F16 a) { return {_mm512_roundscale_ps(a.v, 8)}; }
inline float sum(F16 a) { return _mm512_reduce_add_ps(a.v); }
inline float largest(F16 a) { return _mm512_reduce_max_ps(a.v); }
inline F16 load_bf16(const uint16_t* p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
// 2 to the power of a whole number.
inline F16 power2(F16 n) {
  __m512i bits = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_castsi512_ps(bits)};
}
inline I16 splat_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline F16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
// 128 * high + low
inline I16 join(I16 high, I16 low) { return {_mm512_add_epi32(_mm512_slli_epi32(high.v, 7), low.v)}; }
inline B64 load_bytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
inline B64 low_nibbles(B64 a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))}; }
inline B64 high_nibbles(B64 a) { return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))}; }
// acc + the four unsigned bytes of each lane of w times the four signed bytes of x.
inline I16 dot4(I16 acc, B64 w, int32_t x) {
#if defined(__AVX512VNNI__)
  return {_mm512_dpbusd_epi32(acc.v, w.v, _mm512_set1_epi32(x))};
#else
  __m512i pairs = _mm512_maddubs_epi16(w.v, _mm512_set1_epi32(x));
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
#endif
}
// acc + the two bfloat16 of each lane of w times the two of x.
inline F16 dot2(F16 acc, const uint32_t* w, uint32_t x) {
#if defined(__AVX512BF16__)
  return {_mm512_dpbf16_ps(acc.v, (__m512bh)_mm512_loadu_si512(w), (__m512bh)_mm512_set1_epi32(int32_t(x)))};
#else
  __m512i both = _mm512_loadu_si512(w), high = _mm512_set1_epi32(int32_t(0xffff0000u));
  __m512i xs = _mm512_set1_epi32(int32_t(x));
  acc.v = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)),
                          _mm512_castsi512_ps(_mm512_slli_epi32(xs, 16)), acc.v);
  acc.v = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(both, high)),
                          _mm512_castsi512_ps(_mm512_and_si512(xs, high)), acc.v);
  return acc;
#endif
}
// Sixteen rows of sixteen words to sixteen columns.
inline void transpose(const uint32_t* const* rows, uint32_t* out) {
  __m512 a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(rows[i]);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      __m512d low = _mm512_castps_pd(b[i + j]), high = _mm512_castps_pd(b[i + j + 2]);
      a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
  // a[4 * i + j]: of rows 4i to 4i + 3, columns j, j + 4, j + 8 and j + 12, a quarter each.
  for (int j = 0; j < 4; ++j) {
    __m512 low01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88), high01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xdd);
    __m512 low23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
    __m512 high23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xdd);
    _mm512_storeu_ps(out + 16 * j, _mm512_shuffle_f32x4(low01, low23, 0x88));
    _mm512_storeu_ps(out + 16 * (j + 4), _mm512_shuffle_f32x4(high01, high23, 0x88));
    _mm512_storeu_ps(out + 16 * (j + 8), _mm512_shuffle_f32x4(low01, low23, 0xdd));
    _mm512_storeu_ps(out + 16 * (j + 12), _mm512_shuffle_f32x4(high01, high23, 0xdd));
  }
}

#elif defined(CODERLS_AVX2)

struct F16 { __m256 a, b; };
struct I16 { __m256i a, b; };
struct B64 { __m256i a, b; };

inline F16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F16 x) { _mm256_storeu_ps(p, x.a), _mm256_storeu_ps(p + 8, x.b); }
inline F16 add(F16 x, F16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F16 mul(F16 x, F16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F16 div(F16 x, F16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F16 fma(F16 x, F16 y, F16 z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline F16 max(F16 x, F16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F16 abs(F16 x) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline F16 round(F16 x) { return {_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)}; }
inline float sum(F16 x) {
  __m256 eight = _mm256_add_ps(x.a, x.b);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest(F16 x) {
  __m256 eight = _mm256_max_ps(x.a, x.b);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline __m256 half_bf16(const uint16_t* p) {
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline F16 load_bf16(const uint16_t* p) { return {half_bf16(p), half_bf16(p + 8)}; }
inline __m256 half_power2(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F16 power2(F16 n) { return {half_power2(n.a), half_power2(n.b)}; }
inline I16 splat_int(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline F16 to_float(I16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I16 join(I16 high, I16 low) {
  return {_mm256_add_epi32(_mm256_slli_epi32(high.a, 7), low.a), _mm256_add_epi32(_mm256_slli_epi32(high.b, 7), low.b)};
}
inline B64 load_bytes(const uint8_t* p) {
  const __m256i* at = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
inline B64 low_nibbles(B64 x) {
  __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
inline B64 high_nibbles(B64 x) { return low_nibbles({_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)}); }
inline __m256i half_dot4(__m256i acc, __m256i w, __m256i x) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}
inline I16 dot4(I16 acc, B64 w, int32_t x) {
  __m256i xs = _mm256_set1_epi32(x);
  return {half_dot4(acc.a, w.a, xs), half_dot4(acc.b, w.b, xs)};
}
inline __m256 half_dot2(__m256 acc, const uint32_t* w, __m256 even, __m256 odd) {
  __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  acc = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), even, acc);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(int(0xffff0000u)))), odd, acc);
}
inline F16 dot2(F16 acc, const uint32_t* w, uint32_t x) {
  __m256 even = _mm256_castsi256_ps(_mm256_set1_epi32(int(x << 16)));
  __m256 odd = _mm256_castsi256_ps(_mm256_set1_epi32(int(x & 0xffff0000u)));
  return {half_dot2(acc.a, w, even, odd), half_dot2(acc.b, w + 8, even, odd)};
}

#else

// GCC's and Clang's own vectors, four of the size that every processor has.
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));

struct F16 { Floats v[4]; };
struct I16 { Ints v[4]; };
struct B64 { Ints v[4]; };

template <class T> inline T read(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

#define CODERLS_EACH(Type, expression)                    \
  Type r;                                                 \
  for (int k = 0; k < 4; ++k) r.v[k] = (expression);      \
  return r

inline F16 splat(float x) { CODERLS_EACH(F16, x - Floats{}); }
inline F16 load(const float* p) { CODERLS_EACH(F16, read<Floats>(p + 4 * k)); }
inline void store(float* p, F16 a) { std::memcpy(p, a.v, sizeof a.v); }
inline F16 add(F16 a, F16 b) { CODERLS_EACH(F16, a.v[k] + b.v[k]); }
inline F16 mul(F16 a, F16 b) { CODERLS_EACH(F16, a.v[k] * b.v[k]); }
inline F16 div(F16 a, F16 b) { CODERLS_EACH(F16, a.v[k] / b.v[k]); }
inline F16 fma(F16 a, F16 b, F16 c) { CODERLS_EACH(F16, a.v[k] * b.v[k] + c.v[k]); }
inline F16 max(F16 a, F16 b) { CODERLS_EACH(F16, a.v[k] > b.v[k] ? a.v[k] : b.v[k]); }
inline F16 abs(F16 a) { CODERLS_EACH(F16, (Floats)((Ints)a.v[k] & 0x7fffffff)); }
// Adding 1.5 * 2^23 leaves no room for a fraction; good for what is smaller than 2^22.
inline F16 round(F16 a) { CODERLS_EACH(F16, (a.v[k] + 12582912.0f) - 12582912.0f); }
inline float sum(F16 a) {
  Floats four = (a.v[0] + a.v[1]) + (a.v[2] + a.v[3]);
  return (four[0] + four[1]) + (four[2] + four[3]);
}
inline float largest(F16 a) {
  float most = a.v[0][0];
  for (int i = 1; i < 16; ++i) most = a.v[i / 4][i % 4] > most ? a.v[i / 4][i % 4] : most;
  return most;
}
inline F16 load_bf16(const uint16_t* p) {
  typedef uint16_t Halves __attribute__((vector_size(8)));
  CODERLS_EACH(F16, (Floats)(__builtin_convertvector(read<Halves>(p + 4 * k), Ints) << 16));
}
inline F16 power2(F16 n) { CODERLS_EACH(F16, (Floats)((__builtin_convertvector(n.v[k], Ints) + 127) << 23)); }
inline I16 splat_int(int32_t x) { CODERLS_EACH(I16, x - Ints{}); }
inline F16 to_float(I16 a) { CODERLS_EACH(F16, __builtin_convertvector(a.v[k], Floats)); }
inline I16 join(I16 high, I16 low) { CODERLS_EACH(I16, (high.v[k] << 7) + low.v[k]); }
inline B64 load_bytes(const uint8_t* p) { CODERLS_EACH(B64, read<Ints>(p + 16 * k)); }
inline B64 low_nibbles(B64 a) { CODERLS_EACH(B64, a.v[k] & 0x0f0f0f0f); }
inline B64 high_nibbles(B64 a) { CODERLS_EACH(B64, (a.v[k] >> 4) & 0x0f0f0f0f); }
inline I16 dot4(I16 acc, B64 w, int32_t x) {
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 4; ++j) acc.v[k] += ((w.v[k] >> 8 * j) & 255) * int8_t(x >> 8 * j);
  return acc;
}
inline F16 dot2(F16 acc, const uint32_t* w, uint32_t x) {
  float even = from_bf16(uint16_t(x)), odd = from_bf16(uint16_t(x >> 16));
  for (int k = 0; k < 4; ++k) {
    Ints both = read<Ints>(w + 4 * k);
    acc.v[k] += (Floats)(both << 16) * even;
    acc.v[k] += (Floats)(both & int32_t(0xffff0000u)) * odd;
  }
  return acc;
}

#endif

#if !defined(CODERLS_AVX512)
inline void transpose(const uint32_t* const* rows, uint32_t* out) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) out[16 * j + i] = rows[i][j];
}
#endif

// e to the power of x, to about one part in 10^7: 2^n times the Taylor series of what is left.
inline F16 exp(F16 x) {
  x = max(x, splat(-87.0f));
  F16 n = round(mul(x, splat(1.44269504f)));
  F16 r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  F16 p = splat(1.0f / 720);
  for (float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = fma(p, r, splat(c));
  return mul(p, power2(n));
}

// x / (1 + e^-x)
inline F16 silu(F16 x) {
  // e^88 is the last finite one; x / 10^38 is nothing either way.
  F16 bounded = mul(max(x, splat(-88.0f)), splat(-1.0f));
  return div(x, add(splat(1.0f), exp(bounded)));
}

}  // namespace simd
